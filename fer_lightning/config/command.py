"""Shared parts of the command lines: key=value words composed by Hydra, and user errors without a traceback."""

import argparse
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
from fer_lightning.wording import message, quoted


def settings(command: Command, words: list[str]) -> DictConfig:
    """Return the command's YAML with the typed words applied. Raise UserError for words that it does not accept.

    The file's defaults list begins with `<name>_schema`, the name under which Hydra finds the command's schema.
    """
    name = command.file.stem
    ConfigStore.instance().store(name=f"{name}_schema", node=command.schema)
    try:
        with initialize_config_dir(str(command.file.parent), version_base="1.3"):
            return compose(name, [_quoted(word, command.texts) for word in words])
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(explain(error, command)) from None


def typed(program: str, description: str | None, usage: str = "", arguments: Sequence[str] | None = None) -> list[str]:
    """Return the key=value words of a command line whose only option is --help, which prints `description`.

    usage      text after the program's name in its usage line
    arguments  words to parse; None: the words of this process
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
    """End the process with status 2 and print `program: what is wrong` for an error that a user can fix.

    kept   state of the work after an error of the operating system, e.g. "Nothing is half written"
    again  effect of the same command after Ctrl-C, e.g. "starts over"; the process then ends with status 130.
           None: KeyboardInterrupt is raised
    """
    try:
        yield
    except UserError as error:
        refuse(program, str(error))
    except OSError as error:
        refuse(program, f"{in_words(error)}. {kept}. Fix this and run the same command again.")
    except KeyboardInterrupt:
        if again is None:
            raise
        print(f"\nStopped. {kept}; the same command {again}.", file=sys.stderr)
        sys.exit(130)


def refuse(program: str, reason: str) -> NoReturn:
    """Print the reason and end the process with status 2."""
    print(message(f"{program}: {reason}"), file=sys.stderr)
    sys.exit(2)


def _quoted(word: str, texts: Collection[str]) -> str:
    """Return the word with the value of a text key in quotes, inside which Hydra's grammar accepts any letter."""
    key, _, value = word.partition("=")
    if key not in texts or value == "null" or value[:1] in ("'", '"'):
        return word
    return f"{key}={quoted(value)}"
