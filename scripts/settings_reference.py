"""Write docs/settings.md, the reference of the commands' settings, from their declarations.

python scripts/settings_reference.py           write the page; `make docs` does this
python scripts/settings_reference.py --check   fail if the page differs from the declarations; `make lint` does this
"""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module

from fer_lightning.config import reference
from fer_lightning.config.command import composed
from fer_lightning.config.groups import options
from fer_lightning.config.messages import Command
from fer_lightning.config.option_settings import declared_groups, with_chosen_options
from fer_lightning.files import write_atomically
from fer_lightning.paths import DOCS, ROOT

PAGE = DOCS / "settings.md"
# Modules with a COMMAND, in the order of the page.
MODULES = (
    "data.ingest",
    "audit.audit",
    "evaluation.evaluate",
    "evaluation.compare",
    "explain.__main__",
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
    table = reference.as_table(entry for entry in _entries(command) if not _group(command, entry.key))
    name = command.program.removeprefix("python -m fer_lightning.")
    head = f"## {name}\n\n`{command.program}`; YAML: `{command.file.relative_to(ROOT)}`\n\n{table}"
    tables = [
        table for key, one in declared_groups(command) for table in _tables(command, key, options(one.rule.group))
    ]
    return "\n".join([head, *tables])


def _tables(command: Command, group: str, options: list[str]) -> Iterator[str]:
    """Yield the keys of the options of a group. Options with the same keys share a table."""
    by_keys: dict[tuple[tuple[str, str], ...], dict[str, list[reference.Entry]]] = {}
    for option in options:
        entries = [entry for entry in _entries(command, f"{group}={option}") if _group(command, entry.key) == group]
        by_keys.setdefault(tuple((entry.key, entry.comment) for entry in entries), {})[option] = entries
    for keys, tables in by_keys.items():
        shown = ", ".join(f"`{group}={option}`" for option in tables)
        same = [_common(entries) for entries in zip(*tables.values(), strict=True)]
        yield f"Keys of {shown}:\n\n{reference.as_table(same)}" if keys else f"{shown} has no keys.\n"


def _common(entries: tuple[reference.Entry, ...]) -> reference.Entry:
    """Return one entry for the same key of several options."""
    differs = len({entry.default for entry in entries}) > 1
    return replace(entries[0], default="set by the option") if differs else entries[0]


def _entries(command: Command, *words: str) -> list[reference.Entry]:
    return reference.entries(with_chosen_options(command, words), composed(command, words))


def _group(command: Command, key: str) -> str:
    """Return the group whose option has the key, or "" if it is a key of the command."""
    return next((group for group, _ in declared_groups(command) if key.startswith(f"{group}.")), "")


def main() -> int | str:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; status 1 if the page differs")
    if not parser.parse_args().check:
        write_atomically(PAGE, page())
    elif PAGE.read_text() != page():
        return f"{PAGE}: differs from the code. Run: python scripts/settings_reference.py"
    return 0


if __name__ == "__main__":
    sys.exit(main())
