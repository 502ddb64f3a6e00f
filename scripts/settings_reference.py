"""Write docs/settings.md, the reference of the commands' settings, from their declarations.

python scripts/settings_reference.py           write the page; `make docs` does this
python scripts/settings_reference.py --check   exit with status 1 if the page differs from the declarations
"""

import sys
from importlib import import_module

from fer_lightning.config import reference
from fer_lightning.config.command import composed
from fer_lightning.config.messages import Command
from fer_lightning.files import write_atomically
from fer_lightning.paths import DOCS, ROOT

PAGE = DOCS / "settings.md"
# Modules with a COMMAND, in the order of the page.
MODULES = (
    "data.ingest",
    "audit.audit",
    "evaluation.evaluate",
    "evaluation.compare",
    "report.__main__",
    "teach.__main__",
    "export.__main__",
    "predict.__main__",
    "site.__main__",
    "live.__main__",
    "simulate.__main__",
    "collect.__main__",
)
HEAD = """# Settings of the commands

Each setting is written as `key=value` behind the command. `--help` of a command prints the same list. The settings of
`python train.py` are in [Options](options.md).

This page is written by `python scripts/settings_reference.py` from the declarations in the code. To change a default
for all calls on this machine, write the key and the value into the YAML file of the command.
"""


def commands() -> list[Command]:
    return [import_module(f"fer_lightning.{name}").COMMAND for name in MODULES]


def page() -> str:
    """Return the content of the page."""
    return "\n".join([HEAD, *map(_section, commands())])


def _section(command: Command) -> str:
    table = reference.as_table(command, composed(command, []))
    name = command.program.removeprefix("python -m fer_lightning.")
    return f"## {name}\n\n`{command.program}`; YAML: `{command.file.relative_to(ROOT)}`\n\n{table}"


def main() -> int:
    if "--check" in sys.argv[1:]:
        return int(PAGE.read_text() != page())
    write_atomically(PAGE, page())
    return 0


if __name__ == "__main__":
    sys.exit(main())
