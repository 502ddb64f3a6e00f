"""Messages for overrides that Hydra rejects: the key, its value, what is allowed, and the most similar name."""

import dataclasses
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hydra.errors import HydraException, OverrideParseException
from omegaconf.errors import OmegaConfBaseException

from fer_lightning.config.check import nearest
from fer_lightning.config.schema import TrainConfig
from fer_lightning.paths import CONF


@dataclass(frozen=True)
class Command:
    """One command line of this project.

    program  words that start it, e.g. "python -m fer_lightning.predict"
    schema   dataclass of its keys
    file     YAML file with its defaults
    texts    keys that hold a path or a name; their values may contain any letter
    """

    program: str
    schema: type
    file: Path
    texts: tuple[str, ...] = ()


TRAIN = Command("python train.py", TrainConfig, CONF / "train.yaml")
# Descriptions of types, by OmegaConf's names.
TYPES = {"Integer": "a whole number", "Float": "a number", "Boolean": "true or false"}
# Folders of conf/ that are not config groups of train.py.
NO_GROUPS = ("hydra", "collect", "evaluate", "live", "predict", "scaled")


def explain(error: HydraException | OmegaConfBaseException, command: Command = TRAIN) -> str:
    """Return the message for a user of the command, or Hydra's own first lines if no pattern matches."""
    syntax = "key=value, or group=option" if command is TRAIN else "key=value"
    if isinstance(error, OverrideParseException):
        return f"cannot read the override {error.override!r}: expected {syntax}. {_help(command)}"
    text = "\n".join(str(part) for part in (error, error.__cause__) if part)
    for pattern, write in _MESSAGES:
        found = re.search(pattern, text)
        if found:
            return _no_key_of(command, found, text) if write is _no_key and command is not TRAIN else write(found, text)
    return text.partition("\nConfig search path")[0].strip() + f"\n{_help(command)}"


def _help(command: Command) -> str:
    return f"See: {command.program} --help"


def options(group: str) -> list[str]:
    """Return the options of a config group, from the names of their files."""
    folder = CONF / group
    return sorted(str(path.relative_to(folder).with_suffix("")) for path in folder.rglob("*.yaml"))


def groups() -> list[str]:
    """Return the config groups of train.py."""
    return sorted(path.name for path in CONF.iterdir() if path.is_dir() and path.name not in NO_GROUPS)


def _no_option(found: re.Match[str], text: str) -> str:
    group, _, option = found[1].rpartition("/")
    known = options(group) or re.findall(r"^\t(\S+)$", text, flags=re.M)
    return f"{group}={option}: no such option.{nearest(option, known, prefix=f'{group}=')} Allowed: {', '.join(known)}."


def _no_key(found: re.Match[str], text: str) -> str:
    key = found[1]
    full = re.search(r"full_key: (\S+)", text)
    path = full[1] if full else key
    parent, _, leaf = path.rpartition(".")
    known = [known for known in (_keys_below(parent) if parent else [*_root_keys(), *groups()]) if known != leaf]
    prefix = f"{parent}." if parent else ""
    hint = nearest(leaf, known, prefix=prefix)
    return f"{_experiment_file(text)}{path}: no such key.{hint} Allowed: {', '.join(sorted(set(known)))}."


def _no_key_of(command: Command, found: re.Match[str], text: str) -> str:
    """Return the message for an unknown key of another command, whose nested keys are typed or in an option's YAML."""
    full = re.search(r"full_key: (\S+)", text)
    parent, _, key = (full[1] if full else found[1]).rpartition(".")
    fields = {field.name: field.type for field in dataclasses.fields(command.schema)}
    if dataclasses.is_dataclass(fields.get(parent)):
        known = [field.name for field in dataclasses.fields(fields[parent])]
    elif parent:
        known = sorted(_keys_below(parent, command.file))
    else:
        known = list(fields)
    prefix = f"{parent}." if parent else ""
    return f"{prefix}{key}: no such key.{nearest(key, known, prefix=prefix)} Allowed: {', '.join(known)}."


def _wrong_type(found: re.Match[str], text: str) -> str:
    full = re.search(r"full_key: (\S+)", text)
    kind = TYPES.get(found[2], found[2])
    return f"{_experiment_file(text)}{full[1] if full else 'a key'}={found[1]!r}: expected {kind}."


def _wrong_choice(found: re.Match[str], text: str) -> str:
    full = re.search(r"full_key: (\S+)", text)
    return f"{_experiment_file(text)}{full[1] if full else 'a key'}={found[1]!r}: expected one of {found[2]}."


def _experiment_file(text: str) -> str:
    found = re.search(r"In '((?:experiment|sweep|debug|local)/[^']+)'", text)
    return f"conf/{found[1]}.yaml: " if found else ""


def _root_keys() -> list[str]:
    return [field.name for field in dataclasses.fields(TrainConfig)]


def _chosen_option(group: str, root: Path) -> str:
    """Return the option that the command line or the root config chooses; * if another file may choose it."""
    options = [argument.partition("=")[2] for argument in sys.argv if argument.startswith(f"{group}=")]
    if options:
        return options[-1]
    if any(argument.startswith(("experiment=", "debug=")) for argument in sys.argv):
        return "*"
    default = re.search(rf"^  - (?:override )?{group}: (\w+)$", root.read_text(), flags=re.M)
    return default[1] if default else "*"


def _keys_below(parent: str, root: Path = CONF / "train.yaml") -> list[str]:
    """Return the keys below `parent` in the chosen option of a group, or in any option, by indentation of the file."""
    group, *nested = parent.replace("hydra.", "hydra/", 1).split(".")
    keys: set[str] = set()
    for path in (root.parent / group).glob(f"{_chosen_option(group, root)}.yaml"):
        stack: list[str] = []
        for indent, key in re.findall(r"^( *)(\w+):", path.read_text(), flags=re.M):
            del stack[len(indent) // 2 :]
            if stack == nested and key != "defaults" and not key.startswith("_"):
                keys.add(key)
            stack.append(key)
    return sorted(keys)


_MESSAGES: list[tuple[str, Callable[[re.Match[str], str], str]]] = [
    (r"Could not find '([\w/]+/[^'\n]+)'", _no_option),
    (r"Could not override '([^']+)'\.\s+No match in the defaults list", _no_key),
    (r"Invalid value '([^']*)', expected one of (\[[^\]]*\])", _wrong_choice),
    (r"Value '(.*?)' of type '\w+' could not be converted to (\w+)", _wrong_type),
    (r"Key '(\w+)' (?:is not in struct|not in '\w+')", _no_key),
    (r"Could not override '([^']+)'", _no_key),
    (r"Could not delete from config\. '?([\w.]+)'?", _no_key),
]
