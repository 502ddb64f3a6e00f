"""List of a command's settings, as the end of its --help and as a table of the documentation."""

import shutil
import textwrap
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from textwrap import shorten
from typing import Any

from omegaconf import DictConfig, OmegaConf

from fer_lightning.config.groups import options
from fer_lightning.config.messages import Command
from fer_lightning.config.option_settings import chosen_option
from fer_lightning.config.settings import Declared, Settings, declared

LONGEST = 80  # characters of a default
FIRST_COLUMN = 32  # characters of the key and its default in --help


@dataclass(frozen=True)
class Entry:
    """One line of the list. `default` is None if the setting is required."""

    key: str
    default: str | None
    values: str
    comment: str


def leaves(schema: type[Settings], without: Collection[str] = (), prefix: str = "") -> Iterator[tuple[str, Declared]]:
    """Yield each setting with its full key; a nested class is replaced by its own settings, a group is before them."""
    for name, one in declared(schema).items():
        if one.rule.group:
            yield f"{prefix}{name}", one
        if one.nested:
            yield from leaves(one.kind, one.rule.without, f"{prefix}{name}.")
        elif name not in without:
            yield f"{prefix}{name}", one


def entries(command: Command, defaults: DictConfig) -> list[Entry]:
    """Return the settings of a command, required ones first. `defaults`: its config without other overrides."""
    listed = [_entry(command, defaults, key, one) for key, one in leaves(command.schema)]
    return sorted(listed, key=lambda entry: entry.default is not None)


def _entry(command: Command, defaults: DictConfig, key: str, one: Declared) -> Entry:
    if one.rule.group:
        return Entry(key, chosen_option(command, key), " | ".join(options(one.rule.group)), one.rule.comment)
    default = None if OmegaConf.is_missing(defaults, key) else _value(defaults, key)
    return Entry(key, default, one.values(), one.rule.comment)


def as_text(command: Command, defaults: DictConfig) -> str:
    """Return the list for a terminal."""
    width = min(shutil.get_terminal_size().columns, 120)
    lines = ["settings, with their defaults:"]
    for entry in entries(command, defaults):
        head = entry.key if entry.default is None else f"{entry.key}={entry.default}"
        needed = "required; " if entry.default is None else ""
        text = textwrap.wrap(f"{entry.comment} ({needed}{entry.values})", max(width - FIRST_COLUMN - 2, 30))
        if len(head) >= FIRST_COLUMN:
            lines.append(f"  {head}")
            head = ""
        lines += [f"  {'' if number else head:{FIRST_COLUMN}}{line}" for number, line in enumerate(text)]
    return "\n".join(lines) + "\n"


def as_table(listed: Iterable[Entry]) -> str:
    """Return the list as a table in Markdown."""
    lines = ["| setting | default | values | meaning |", "| --- | --- | --- | --- |"]
    for entry in listed:
        default = "required" if entry.default is None else f"`{entry.default}`"
        cells = (f"`{entry.key}`", default, entry.values, entry.comment)
        lines.append(f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |")
    return "\n".join(lines) + "\n"


def written(value: Any) -> str:
    """Return a value as it is written on a command line; a mapping as its size, a long text as its beginning."""
    if isinstance(value, dict):
        return f"{{{len(value)} entries}}"
    if isinstance(value, list):
        return f"[{', '.join(map(written, value))}]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return "null" if value is None else shorten(str(value), LONGEST, placeholder=" ...")


def _value(defaults: DictConfig, key: str) -> str:
    """Return the default of a key; an expression such as ${root} is not resolved."""
    value: Any = OmegaConf.to_container(defaults, resolve=False)
    for name in key.split("."):
        value = value[name]
    return written(value)
