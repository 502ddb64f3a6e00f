"""Config groups of the commands: options whose keys are declared settings.

The field of a group names a base class, and the `_target_` of an option's YAML names a subclass with more settings:

    policy: Policy = setting(comment="difficulty policy", group="live/policy")
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import field, make_dataclass, replace
from functools import cache
from typing import Any

import yaml

from fer_lightning.config.groups import options
from fer_lightning.config.messages import Command
from fer_lightning.config.settings import KEY, TARGET, Chosen, Declared, Settings, build, declared, named_class
from fer_lightning.paths import CONF


def with_chosen_options(command: Command, overrides: Sequence[str] = ()) -> Command:
    """Return the command with the keys of the options that the overrides, or else its YAML, choose."""
    classes = tuple(
        (key, option_class(one.kind, one.rule.group, chosen_option(command, key, overrides)))
        for key, one in declared_groups(command)
    )
    return replace(command, schema=_with_classes(command.schema, classes)) if classes else command


def declared_groups(command: Command) -> Iterator[tuple[str, Declared]]:
    """Yield the groups of a command with their declarations."""
    return ((key, one) for key, one in declared(command.schema).items() if one.rule.group)


def chosen_option(command: Command, key: str, overrides: Sequence[str] = ()) -> str:
    """Return the option of a group that the overrides choose, or else the command's YAML."""
    typed = [override.partition("=")[2] for override in overrides if override.startswith(f"{key}=")]
    return typed[-1].strip("'\"") if typed else re.search(rf"^  - {key}: (\w+)$", command.file.read_text(), re.M)[1]


def options_in(command: Command, overrides: Sequence[str]) -> list[str]:
    """Return the overrides that choose an option of a group."""
    return [override for override in overrides if override.partition("=")[0] in dict(declared_groups(command))]


def option_class(base: type[Chosen], group: str, option: str) -> type[Chosen]:
    """Return the class with the settings of an option; `base` if the option does not exist or names no class."""
    if option not in options(group):
        return base
    target = _content(group, option).get(TARGET)
    return named_class(base, target, f"conf/{group}/{option}.yaml: {TARGET}") if target else base


def read_options(base: type[Chosen], group: str) -> dict[str, Chosen]:
    """Return an object for each option of a group, by name."""
    return {option: build(base, _content(group, option), f"{group}/{option}: ") for option in options(group)}


def _content(group: str, option: str) -> dict[str, Any]:
    return yaml.safe_load((CONF / group / f"{option}.yaml").read_text()) or {}


@cache
def _with_classes(schema: type[Settings], classes: tuple[tuple[str, type], ...]) -> type[Settings]:
    """Return a subclass of the settings in which each group has the class of its option."""
    declarations = declared(schema)
    fields = [(key, kind, field(metadata={KEY: declarations[key].rule})) for key, kind in classes]
    return make_dataclass(schema.__name__, fields, bases=(schema,), frozen=True, kw_only=True)
