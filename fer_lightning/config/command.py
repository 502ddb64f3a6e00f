"""Shared parts of the command lines: key=value words composed by Hydra, and errors without a traceback."""

import argparse
import sys
from collections.abc import Collection, Sequence

from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig

from fer_lightning.compat.hydra import quoted
from fer_lightning.compat.old_words import OldForm
from fer_lightning.config.messages import Command, explain
from fer_lightning.errors import UserError
from fer_lightning.failures import failures_in_words, refuse

__all__ = ["failures_in_words", "refuse", "settings", "typed"]


def settings(command: Command, words: list[str]) -> DictConfig:
    """Return the command's YAML with the typed words applied. Raise UserError for words that it does not accept.

    The file's defaults list begins with `<name>_schema`, the name under which Hydra finds the command's schema.
    """
    name = command.file.stem
    ConfigStore.instance().store(name=f"{name}_schema", node=command.schema)
    try:
        with initialize_config_dir(str(command.file.parent), version_base="1.3"):
            return compose(name, [_quoted(word, command.texts) for word in words])
    except Exception as error:  # the grammar and the merging of typed words raise errors of many classes
        raise UserError(explain(error, command)) from None


def typed(
    program: str,
    description: str | None,
    usage: str = "",
    arguments: Sequence[str] | None = None,
    old: OldForm | None = None,
) -> list[str]:
    """Return the key=value words of a command line whose only option is --help, which prints `description`.

    usage      text after the program's name in its usage line
    arguments  words to parse; None: the words of this process
    old        former words of the command, which are translated
    """
    words = sys.argv[1:] if arguments is None else arguments
    parser = argparse.ArgumentParser(
        program,
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage=f"{program} {usage}".strip(),
    )
    parser.add_argument("words", nargs="*", metavar="key=value", help="see above")
    return parser.parse_args(old.translate(words) if old else words).words


def _quoted(word: str, texts: Collection[str]) -> str:
    """Return the word with the value of a text key in quotes, inside which Hydra's grammar accepts any letter."""
    key, _, value = word.partition("=")
    if key not in texts or value == "null" or value[:1] in ("'", '"'):
        return word
    return f"{key}={quoted(value)}"
