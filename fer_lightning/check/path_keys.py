"""Keys of a run whose values are paths: fields of the schema with PATH, and parameters that are annotated with Path."""

import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf

from fer_lightning.check.annotations import TargetNotFound, signature
from fer_lightning.check.check import SLOTS, extra_keys
from fer_lightning.config.groups import options
from fer_lightning.config.quoting import in_quotes
from fer_lightning.config.schema import PATH, TrainConfig
from fer_lightning.errors import UserError
from fer_lightning.paths import CONF, with_home

GROUPS = (*SLOTS, "callbacks", "logger", "hydra/launcher")
SWEEP = ("-m", "--multirun", "hydra.mode=MULTIRUN")


def quote_paths(words: Sequence[str]) -> list[str]:
    """Return the words of a command line with their paths in quotes, unless they are plain."""
    sweep = any(word in SWEEP or word.startswith("sweep=") for word in words)
    return [_quoted(word, sweep) for word in words]


def _quoted(word: str, sweep: bool) -> str:
    if in_quotes(word, sweep=sweep) == word or "=" not in word:
        return word
    key = word.partition("=")[0].lstrip("+")
    annotation = next((keys[key] for keys in map(typed_keys, _groups(key)) if key in keys), root_keys().get(key))
    return word if annotation is None else in_quotes(word, is_list=_is_list(annotation), sweep=sweep)


def _groups(key: str) -> list[str]:
    return [group for group in GROUPS if key.startswith(f"{group.replace('/', '.')}.")]


def expand_paths(config: DictConfig) -> None:
    """Replace ~ by the home folder in all paths of a composed config; the check rejects a value that contains ${.

    Raise UserError for an empty path, such as that of a variable of the shell which is not set.
    """
    content = OmegaConf.to_container(config, resolve=False)
    for key in (*root_keys(), *(key for group in GROUPS for key in _keys(group, content.get(group)))):
        _expand(config, key)


def _expand(config: DictConfig, key: str) -> None:
    value = OmegaConf.select(config, key)
    if OmegaConf.is_list(value):
        for index in range(len(value)):
            _expand(config, f"{key}[{index}]")
    elif value == "":
        raise UserError(f"{key}='': must be a path. Name one, or leave {key} out.")
    elif isinstance(value, str) and value.startswith("~") and "${" not in value:
        OmegaConf.update(config, key, with_home(value))


@cache
def typed_keys(group: str) -> dict[str, str]:
    """Return the annotation of each path key in the options of a config group."""
    keys = {}
    for option in options(group):
        content = yaml.safe_load((CONF / group / f"{option}.yaml").read_text())
        keys |= _keys(group.replace("/", "."), content)
    return keys


def root_keys() -> dict[str, str]:
    """Return the annotation of each path key outside of groups."""
    return {field.name: str(field.type) for field in dataclasses.fields(TrainConfig) if field.metadata.get(PATH)}


def _keys(key: str, node: Any) -> dict[str, str]:
    """Return the annotation of each path key of a node and of the nodes in it."""
    if not isinstance(node, Mapping):
        return {}
    keys = {f"{key}.{name}": text for name, text in _annotations(key, node.get("_target_")) if _is_path(text)}
    for name, inner in node.items():
        keys |= _keys(f"{key}.{name}", inner)
    return keys


def _annotations(key: str, target: Any) -> Iterator[tuple[str, str]]:
    try:
        accepted = signature(target).parameters if isinstance(target, str) else {}
    except TargetNotFound:  # the check reports it
        accepted = {}
    for name, parameter in (accepted | extra_keys(key)).items():
        yield name, parameter.annotation


def _is_path(annotation: str) -> bool:
    return re.search(r"\bPath\b", annotation) is not None


def _is_list(annotation: str) -> bool:
    return re.match(r"([Ll]ist|[Ss]equence)\[", annotation) is not None
