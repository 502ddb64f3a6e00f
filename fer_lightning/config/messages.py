"""Messages for overrides that Hydra rejects: the key, its value, what is allowed, and the most similar name."""

import dataclasses
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.errors import OverrideParseException

from fer_lightning.compat.hydra import Fault, first_lines, read_fault, wants_search
from fer_lightning.config.groups import groups, options
from fer_lightning.config.schema import TrainConfig
from fer_lightning.config.settings import KINDS, Declared, declared
from fer_lightning.errors import UserError
from fer_lightning.paths import CONF
from fer_lightning.wording import did_you_mean, typed


@dataclass(frozen=True)
class Command:
    """One command line of this project.

    program  command line without arguments, e.g. "python -m fer_lightning.predict"
    schema   dataclass of its keys
    file     YAML file with the values that differ from the defaults of the dataclass
    example  key=value arguments of a typical call
    """

    program: str
    schema: type
    file: Path
    example: str = ""


TRAIN = Command("python train.py", TrainConfig, CONF / "train.yaml")
# Groups whose options set keys of other groups.
FILES_OF_USERS = ("experiment/", "sweep/", "debug/", "local/")


def explain(error: Exception, command: Command = TRAIN) -> str:
    """Return the message for a user of the command, or Hydra's own first lines if no pattern matches."""
    syntax = "key=value, or group=option" if command is TRAIN else "key=value"
    if isinstance(error, OverrideParseException):
        example = _as_value(command, error.override)
        return f"cannot read the override {error.override!r}: expected {syntax}{example}. {_help(command)}"
    if wants_search(error):
        return "interval(low,high) has no list of values: only a search can use it. Add sweep=search."
    fault = read_fault(error)
    if fault is None:
        return f"{first_lines(error)}\n{_help(command)}"
    if fault.kind == "null":
        return _no_value(command, fault)
    if fault.kind == "key":
        return _no_key(fault) if command is TRAIN else _no_key_of(command, fault)
    if fault.kind == "shape":
        return _wrong_shape(command, fault)
    return _no_option(fault) if fault.kind == "option" else _wrong_value(command, fault)


def refuse_lists(overrides: list[str]) -> None:
    """Raise UserError for a list of options of a group; Hydra would merge them and the name would state another run."""
    for override in overrides:
        group, _, value = override.partition("=")
        if group in groups() and value.startswith("["):
            options = ",".join(option.strip() for option in value.strip("[]").split(","))
            raise UserError(
                f"{override}: a run has one option of {group}. Use {group}=OPTION, or -m {group}={options} for one run "
                "of each."
            )


def _help(command: Command) -> str:
    return f"See: {command.program} --help"


def _no_option(fault: Fault) -> str:
    group, option = _group_and_option(fault.subject)
    allowed = options(group) or fault.options
    in_folders = [allowed_name for allowed_name in allowed if allowed_name.rpartition("/")[2] == option]
    hint = did_you_mean(in_folders[0] if in_folders else option, allowed, prefix=f"{group}=")
    return f"{group}={option}: no such option.{hint} Allowed: {', '.join(allowed)}."


def _group_and_option(subject: str) -> tuple[str, str]:
    """Return the parts of a path such as `experiment/overfitting/plan`: an option of train.py may be in a folder."""
    first, _, rest = subject.partition("/")
    group, _, option = subject.rpartition("/")
    return (first, rest) if first in groups() else (group, option)


def _no_key(fault: Fault) -> str:
    path = fault.key or fault.subject
    parent, _, leaf = path.rpartition(".")
    if path in groups() and _file(fault):
        return f"{_file(fault)}{path}: no such key. Begin the file with the line: # @package _global_"
    allowed = [key for key in (_keys_below(parent) if parent else [*_root_keys(), *groups()]) if key != leaf]
    prefix = f"{parent}." if parent else ""
    hint = did_you_mean(leaf, allowed, prefix=prefix)
    more = "".join(f" Other arguments of {target}: +{parent}.KEY=VALUE." for target in _foreign_targets(parent))
    return f"{_file(fault)}{path}: no such key.{hint} {_allowed(parent, sorted(set(allowed)))}{more}"


def _no_key_of(command: Command, fault: Fault) -> str:
    parent, _, key = (fault.key or fault.subject).rpartition(".")
    allowed = list(_declared_below(command.schema, parent))
    prefix = f"{parent}." if parent else ""
    hint = did_you_mean(key, allowed, prefix=prefix)
    return f"{prefix}{key}: no such key.{hint} {_allowed(parent, allowed)}"


def _allowed(parent: str, keys: list[str]) -> str:
    return f"Allowed: {', '.join(keys)}." if keys else f"{parent} does not have keys here. Remove this one."


def _declared_below(schema: Any, parent: str) -> dict[str, Declared]:
    """Return the settings below a key, by name; none if it is not a group of settings."""
    without: tuple[str, ...] = ()
    for name in filter(None, parent.split(".")):
        one = declared(schema).get(name)
        if one is None or not one.nested:
            return {}
        schema, without = one.kind, one.rule.without
    return {name: one for name, one in declared(schema).items() if name not in without}


def _as_value(command: Command, argument: str | None) -> str:
    """Return `, such as input=photo.jpg` for an argument without a key; "" if the command has no key for it."""
    key = command.example.partition("=")[0]
    is_value = argument and "=" not in argument and not argument.startswith("-")
    return f", such as {typed(key, argument)}" if key.isidentifier() and is_value else ""


def _wrong_value(command: Command, fault: Fault) -> str:
    one_of = "one of " if fault.kind == "choice" else ""
    parent, _, name = fault.key.rpartition(".")
    one = None if command is TRAIN else _declared_below(command.schema, parent).get(name)
    allowed = f"{one.values()} ({one.rule.comment})" if one else f"{one_of}{fault.expected}"
    return f"{_file(fault)}{fault.key or 'a key'}={fault.subject!r}: must be {allowed}."


def _no_value(command: Command, fault: Fault) -> str:
    key = fault.key or fault.subject
    if command is TRAIN or key.partition(".")[0] not in declared(command.schema):
        return f"{_file(fault)}{key}: must have a value. Set it, or drop its null or ~."
    return _wrong_shape(command, dataclasses.replace(fault, key=key, subject=f"{key}=null"))


def _wrong_shape(command: Command, fault: Fault) -> str:
    """Return the message for null, a list or a mapping that the key cannot be."""
    parent, _, name = fault.key.rpartition(".")
    one = None if command is TRAIN else _declared_below(command.schema, parent).get(name)
    if one is None:
        kind = TrainConfig.__dataclass_fields__.get(fault.subject.partition("=")[0])
        allowed = f"must be {KINDS[kind.type]}" if kind and kind.type in KINDS else "not allowed for this key"
        return f"{fault.subject}: {allowed}. {_help(command)}"
    if one.nested:
        example = next(iter(declared(one.kind)))
        return f"{fault.subject}: must be a group of settings. Set one: {fault.key}.{example}=..."
    return f"{fault.subject}: must be {one.values()} ({one.rule.comment})."


def _file(fault: Fault) -> str:
    return f"conf/{fault.file}.yaml: " if fault.file.startswith(FILES_OF_USERS) else ""


def _root_keys() -> list[str]:
    return [field.name for field in dataclasses.fields(TrainConfig)]


def keys_of_runs() -> list[str]:
    """Return the root keys of a run's config, the groups, and the keys of their chosen options."""
    return [*_root_keys(), *groups(), *(f"{group}.{key}" for group in groups() for key in _keys_below(group))]


def _chosen_option(group: str) -> str:
    """Return the option that the command line or the root config chooses; * if another file may choose it."""
    options = [argument.partition("=")[2] for argument in sys.argv if argument.startswith(f"{group}=")]
    if options:
        return options[-1]
    if any(argument.startswith(("experiment=", "debug=")) for argument in sys.argv):
        return "*"
    default = re.search(rf"^  - (?:override )?{group}: (\w+)$", TRAIN.file.read_text(), flags=re.M)
    return default[1] if default else "*"


def _option_files(group: str, option: str) -> Iterator[Path]:
    """Yield the file of an option, and the files of the options of the same group that its defaults name."""
    for path in (CONF / group).glob(f"{option}.yaml"):
        yield path
        for base in re.findall(r"^  - ([a-z]\w*)$", path.read_text(), flags=re.M):
            yield from _option_files(group, base)


def _foreign_targets(group: str) -> list[str]:
    """Return the classes of other packages that the chosen option of a group names; its file has not all arguments."""
    texts = [path.read_text() for path in _option_files(group, _chosen_option(group))] if group else []
    targets = {target for text in texts for target in re.findall(r"^_target_: (\S+)$", text, flags=re.M)}
    return sorted(target for target in targets if not target.startswith("fer_lightning."))


def _keys_below(parent: str) -> list[str]:
    """Return the keys below `parent` in the chosen option of a group, or in any option, by indentation of the file."""
    group, *nested = parent.replace("hydra.", "hydra/", 1).split(".")
    keys: set[str] = set()
    for path in _option_files(group, _chosen_option(group)):
        stack: list[str] = []
        for indent, key in re.findall(r"^( *)(\w+):", path.read_text(), flags=re.M):
            del stack[len(indent) // 2 :]
            if stack == nested and key != "defaults" and not key.startswith("_"):
                keys.add(key)
            stack.append(key)
    return sorted(keys)
