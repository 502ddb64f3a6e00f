"""What the command lines share: key=value words composed by Hydra, and mistakes told in words, without a traceback."""

import argparse
import re
import sys
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import NoReturn

from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from fer_lightning.config.messages import Command, explain
from fer_lightning.errors import UserError
from fer_lightning.files import in_words


def settings(command: Command, words: list[str]) -> DictConfig:
    """Return the command's YAML with the typed words over it; raise UserError for words that it does not take.

    The file's defaults list begins with `<name>_schema`, under which Hydra knows the command's schema.
    """
    name = command.file.stem
    ConfigStore.instance().store(name=f"{name}_schema", node=command.schema)
    try:
        with initialize_config_dir(str(command.file.parent), version_base="1.3"):
            return compose(name, [_quoted(word, command.texts) for word in words])
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(explain(error, command)) from None


def typed(program: str, description: str | None, usage: str = "", arguments: Sequence[str] | None = None) -> list[str]:
    """The key=value words of a command line that takes nothing else but --help, which prints `description`.

    usage  what follows the program's name in its usage; arguments: instead of the process's own
    """
    parser = argparse.ArgumentParser(
        program,
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage=f"{program} {usage}".strip(),
    )
    parser.add_argument("words", nargs="*", metavar="key=value", help="see above")
    return parser.parse_args(arguments).words


@contextmanager
def failures_in_words(program: str, kept: str, *, again: str | None = None) -> Iterator[None]:
    """Ends the process with status 2 and `program: what is wrong` for what a user can mend.

    kept   what became of the work after an error of the system: "Nothing is half written"
    again  what the same command does after Ctrl-C, which then ends the process with status 130: "begins anew"
    """
    try:
        yield
    except UserError as error:
        refuse(program, str(error))
    except OSError as error:
        refuse(program, f"{in_words(error)}. {kept}: mend that and give the same command again.")
    except KeyboardInterrupt:
        if again is None:
            raise
        print(f"\nStopped. {kept}; the same command {again}.", file=sys.stderr)
        sys.exit(130)


def refuse(program: str, message: str) -> NoReturn:
    print(f"{program}: {message}", file=sys.stderr)
    sys.exit(2)


def _quoted(word: str, texts: Collection[str]) -> str:
    """Hydra's grammar takes any letter in quotes."""
    key, _, value = word.partition("=")
    if key not in texts or value == "null" or value[:1] in ("'", '"'):
        return word
    escaped = re.sub(r"(\\*)('|$)", lambda found: found[1] * 2 + ("\\'" if found[2] else ""), value)
    return f"{key}='{escaped}'"
