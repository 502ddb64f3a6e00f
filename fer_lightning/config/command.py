"""Shared parts of the command lines: key=value arguments composed by Hydra, and errors without a traceback."""

import argparse
import sys
from collections.abc import Collection, Sequence
from dataclasses import field, make_dataclass
from typing import Any, NoReturn

from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from fer_lightning.compat.old_words import OldForm
from fer_lightning.config import reference
from fer_lightning.config.flags import is_option, no_such_option
from fer_lightning.config.messages import Command, explain
from fer_lightning.config.option_settings import options_in, with_chosen_options
from fer_lightning.config.quoting import in_quotes
from fer_lightning.config.settings import TARGET, InvalidSetting, Settings, build, declared
from fer_lightning.errors import UserError
from fer_lightning.failures import refuse, report_errors
from fer_lightning.paths import drop_empty_root
from fer_lightning.wording import hydra_text

__all__ = ["read_arguments", "refuse", "report_errors", "settings"]


def settings(command: Command, overrides: list[str]) -> Any:
    """Return the settings of a command line, an object of `command.schema`. Raise UserError if they are invalid."""
    shown = with_chosen_options(command, overrides)
    cfg = composed(command, overrides)
    try:
        made = build(command.schema, OmegaConf.to_container(cfg, resolve=True))
    except OmegaConfBaseException as error:
        raise UserError(explain(error, shown)) from None
    except InvalidSetting as error:
        default = reference.written(OmegaConf.select(composed(command, options_in(command, overrides)), error.key))
        raise UserError(f"{error} The default is {default}.") from None
    for name, one in declared(command.schema).items():
        if one.required and (OmegaConf.is_missing(cfg, name) or cfg[name] == ""):
            example = f"{command.program} {command.example}"
            raise UserError(f"{name} is not set. Set it to the {one.rule.comment}. Example: {example}")
    return made


def composed(command: Command, overrides: Sequence[str]) -> DictConfig:
    """Return the command's defaults with the overrides applied. Raise UserError if it does not accept one.

    The defaults list of its YAML begins with `<name>_schema`, the name under which Hydra finds the declared settings.
    """
    drop_empty_root()
    name = command.file.stem
    command = with_chosen_options(command, overrides)
    ConfigStore.instance().store(name=f"{name}_schema", node=_node(command.schema))
    try:
        with initialize_config_dir(str(command.file.parent), version_base="1.3"):
            return compose(name, [_quoted(override, command) for override in overrides])
    except Exception as error:  # the grammar and the merging of overrides raise errors of many classes
        raise UserError(explain(error, command)) from None


def read_arguments(
    command: Command, description: str, arguments: Sequence[str] | None = None, old: OldForm | None = None
) -> list[str]:
    """Return the key=value arguments of a command line, in today's form; print the help and exit if it is asked for.

    description  text in front of the list of settings
    arguments    arguments to parse; None: this process's own
    old          former arguments of the command, which are translated
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = Parser(command, description, arguments=arguments)
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="see below")
    return parser.parse_args(old.translate(arguments) if old else arguments).overrides


class Parser(argparse.ArgumentParser):
    """Parser whose --help ends with the settings of the command.

    usage      usage in front of the settings
    arguments  arguments of the command line; those that choose options of groups decide which keys are listed
    """

    def __init__(self, command: Command, description: str, usage: str = "", arguments: Sequence[str] = ()) -> None:
        required = [f"{name}=..." for name, one in declared(command.schema).items() if one.required]
        super().__init__(
            command.program,
            description=description,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            usage=" ".join(part for part in (command.program, usage, *required, "[key=value ...]") if part),
        )
        self.command, self.options = command, options_in(command, arguments)
        self.arguments = arguments

    def error(self, message: str) -> NoReturn:
        """End the process with status 2. For an unknown option, name the key that is meant."""
        unknown = message.partition("unrecognized arguments: ")[2].split()
        option = next(
            (argument for argument in self.arguments if is_option(argument) and argument.split()[0] in unknown), None
        )
        if option is None:
            super().error(message)
        keys = [key for key, _ in reference.leaves(self.command.schema)]
        refuse(self.prog, no_such_option(self.arguments, option, keys, self.prog))

    def format_help(self) -> str:
        command = with_chosen_options(self.command, self.options)
        return f"{super().format_help()}\n{reference.as_text(command, composed(command, self.options))}"


def _node(schema: type[Settings], without: Collection[str] = (), more: Sequence[tuple[str, type, Any]] = ()) -> type:
    """Return settings as a dataclass for Hydra, which changes values and does not know every type."""
    parts: list[Any] = list(more)
    for name, one in declared(schema).items():
        if one.nested:
            nested = _node(one.kind, one.rule.without, [(TARGET, str, "")] if one.rule.group else [])
            parts.append((name, nested, field(default_factory=nested)))
        elif name not in without:
            default = MISSING if one.required else one.default
            parts.append((name, one.kind, field(default_factory=lambda default=default: default)))
    return make_dataclass(schema.__name__, parts)


def _quoted(override: str, command: Command) -> str:
    """Return the override with a text, an option of a group or the texts of a list in quotes."""
    key, _, value = override.partition("=")
    one = dict(reference.leaves(command.schema)).get(key)
    if one is None:
        return override
    if one.rule.group:
        return override if value[:1] in ("'", '"') else f"{key}={hydra_text(value)}"
    return in_quotes(override, is_list=one.is_list) if one.is_text or one.is_list else override
