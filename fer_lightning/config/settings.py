"""Settings of the commands. Each is one field of a dataclass, with its type, default, range and comment.

    @dataclass(frozen=True, kw_only=True)
    class Fetch(Settings):
        at_once: int = setting(4, "simultaneous downloads; at most two from one host", minimum=1)

The class is next to the code that uses it. `command.py` derives the keys of a command and its --help.
"""

import math
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass
from functools import cache
from importlib import import_module
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from fer_lightning.errors import UserError
from fer_lightning.paths import with_home
from fer_lightning.wording import did_you_mean

PACKAGE = __name__.partition(".")[0]
KEY = "setting"  # key of the metadata of a field
TARGET = "_target_"  # key of an option's YAML that names the class of its settings
KINDS = {int: "a whole number", float: "a number", bool: "true or false", str: "a text", type(None): "null"}
Chosen = TypeVar("Chosen", bound="Settings")


@dataclass(frozen=True)
class Rule:
    """Comment and range of one field.

    comment                        noun phrase with the unit and the special values
    minimum, above, maximum, below  limits of a number; `minimum` and `maximum` themselves are allowed
    choices                        the only allowed values
    group                          config group whose options are the values, e.g. "live/policy"; the type is the class
                                   of the options' keys, or its base class: see `option_settings.py`; "": none
    path                           True: the text, or each text of the list, is a path; ~ is the home folder
    without                        fields of a nested dataclass that have no effect in this command
    """

    comment: str
    minimum: float | None = None
    above: float | None = None
    maximum: float | None = None
    below: float | None = None
    choices: Collection[Any] = ()
    group: str = ""
    path: bool = False
    without: tuple[str, ...] = ()

    def range(self) -> str:
        """Return the allowed values as a phrase after "must be"; "" if the type is the only limit."""
        if self.choices:
            return f"one of {', '.join(map(str, self.choices))}"
        if self.minimum is not None and self.maximum is not None:
            return f"from {self.minimum} to {self.maximum}"
        if self.minimum is not None and self.below is None:
            return f"{self.minimum} or more"
        limits = {
            "at least": self.minimum,
            "greater than": self.above,
            "at most": self.maximum,
            "less than": self.below,
        }
        return " and ".join(f"{words} {limit}" for words, limit in limits.items() if limit is not None)

    def accepts(self, value: Any) -> bool:
        """Return True if a value of the right type is allowed."""
        if self.choices:
            return value in self.choices
        return (
            (self.minimum is None or value >= self.minimum)
            and (self.above is None or value > self.above)
            and (self.maximum is None or value <= self.maximum)
            and (self.below is None or value < self.below)
        )


class InvalidSetting(UserError):
    """Error for a value outside the range of its setting. `key` is the setting with the names of its groups."""

    def __init__(self, key: str, value: Any, allowed: str, comment: str) -> None:
        super().__init__(f"{key}={value!r}: must be {allowed} ({comment}).")
        self.key = key


def setting(
    default: Any = MISSING, comment: str = "", *, factory: Callable[[], Any] | None = None, **limits: Any
) -> Any:
    """Return a field. Without `default` and `factory` the setting is required. `limits` are fields of Rule."""
    metadata = {KEY: Rule(comment, **limits)}
    if factory is not None:
        return field(default_factory=factory, metadata=metadata)
    return field(default=default, metadata=metadata)


def nested(settings: type["Settings"], *, without: tuple[str, ...] = ()) -> Any:
    """Return a field that holds other settings, written as `field.name=value`."""
    return setting(factory=settings, without=without)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Base class of settings. A value outside its range raises InvalidSetting, which is a UserError.

    A field that is not made by `setting` is not a setting: it has no key, and the code that builds the object sets it.
    """

    def __post_init__(self) -> None:
        check(type(self), values_of(self))


@dataclass(frozen=True)
class Declared:
    """One declared setting. `default` is MISSING if the setting is required."""

    name: str
    kind: Any
    default: Any
    rule: Rule

    @property
    def nested(self) -> bool:
        return is_dataclass(self.kind)

    @property
    def required(self) -> bool:
        return self.default is MISSING and not self.rule.group

    @property
    def members(self) -> tuple[Any, ...]:
        """Types of a union, or the only type. A Literal counts as str."""
        return get_args(self.kind) if type(None) in get_args(self.kind) else (self.kind,)

    @property
    def is_text(self) -> bool:
        return str in self.members and not self.rule.choices

    @property
    def is_list(self) -> bool:
        return get_origin(self.members[0]) is list

    def values(self) -> str:
        """Return the allowed values, e.g. "a number from 0 to 1" or "a whole number, 1 or more, or null"."""
        if self.rule.choices:
            return self.rule.range()
        kinds = [KINDS.get(kind, "a list" if get_origin(kind) is list else "a mapping") for kind in self.members]
        limits = self.rule.range()
        first = f"{kinds[0]}{' ' if limits.startswith('from') else ', '}{limits}" if limits else kinds[0]
        return f"{first}{', or ' if limits else ' or '}{kinds[1]}" if kinds[1:] else first


@cache
def declared(settings: type[Settings]) -> dict[str, Declared]:
    """Return the settings of a class by name."""
    hints = get_type_hints(settings)
    return {one.name: _declared(one, hints[one.name]) for one in fields(settings) if KEY in one.metadata}


def values_of(settings: Settings) -> dict[str, Any]:
    """Return the values of the settings by name."""
    return {name: getattr(settings, name) for name in declared(type(settings))}


def _declared(one: Field, hint: Any) -> Declared:
    rule = one.metadata[KEY]
    if get_origin(hint) is Literal:
        hint, rule = str, Rule(rule.comment, choices=get_args(hint))
    default = one.default_factory() if one.default_factory is not MISSING else one.default
    return Declared(one.name, hint, default, rule)


def check(settings: type[Settings], values: Mapping[str, Any], prefix: str = "") -> None:
    """Raise InvalidSetting for the first value outside its range. `values` may lack settings.

    prefix  names of the groups in front of each key, e.g. "fetch."
    """
    _refuse_unknown(declared(settings), values, prefix)
    for name, value in values.items():
        one = declared(settings)[name]
        if value is None and type(None) in one.members:
            continue
        if not _is_of(one, value):
            raise InvalidSetting(f"{prefix}{name}", value, one.values(), one.rule.comment)
        if one.rule.path and not one.required and "" in (value if one.is_list else [value]):  # it is the current folder
            raise InvalidSetting(f"{prefix}{name}", value, "a path, such as . for the current folder", one.rule.comment)
        if not one.rule.accepts(value):
            raise InvalidSetting(f"{prefix}{name}", value, one.rule.range(), one.rule.comment)
        if isinstance(value, float) and not math.isfinite(value):
            raise InvalidSetting(f"{prefix}{name}", value, "a finite number", one.rule.comment)


def _refuse_unknown(allowed: Collection[str], names: Iterable[str], prefix: str) -> None:
    for name in names:
        if name not in allowed:
            hint = did_you_mean(name, list(allowed), prefix=prefix)
            raise UserError(f"{prefix}{name}: no such key.{hint} Allowed: {', '.join(allowed)}.")


def _is_of(one: Declared, value: Any) -> bool:
    """Return True unless a setting that is a number has another value, or a whole number a fraction."""
    numbers = (int, float) if float in one.members else (int,)
    is_number = isinstance(value, numbers) and not isinstance(value, bool)
    return is_number or not {int, float} & set(one.members)


def build(settings: type[Chosen], values: Mapping[str, Any], prefix: str = "", without: Collection[str] = ()) -> Chosen:
    """Return the object for nested values. Raise UserError for an unknown key or a value outside its range.

    `_target_` in the values names a subclass of `settings` that is built instead.
    """
    if target := values.get(TARGET):
        settings = named_class(settings, target, f"{prefix}{TARGET}")
    values = {name: value for name, value in values.items() if name != TARGET}
    declarations = {name: one for name, one in declared(settings).items() if name not in without}
    _refuse_unknown(declarations, values, prefix)
    built = {name: _built(declarations[name], value, f"{prefix}{name}.") for name, value in values.items()}
    check(settings, built, prefix)
    return settings(**built)


def _built(one: Declared, value: Any, prefix: str) -> Any:
    if one.nested:
        return build(one.kind, value, prefix, one.rule.without)
    if one.rule.path and value is not None:
        return list(map(with_home, value)) if one.is_list else with_home(value)
    return value


def named_class(base: type[Chosen], target: Any, key: str) -> type[Chosen]:
    """Return the subclass of `base` that a dotted name of this package names. Raise UserError for any other name."""
    module, _, name = str(target).rpartition(".")
    if module.startswith(f"{PACKAGE}."):
        try:
            candidate = getattr(import_module(module), name, None)
        except ModuleNotFoundError:
            candidate = None
        if isinstance(candidate, type) and issubclass(candidate, base):
            return candidate
    raise UserError(
        f"{key}={target}: not allowed here. Name a class of this package that is a subclass of "
        f"{base.__module__}.{base.__name__}."
    )


def part(settings: type[Chosen], whole: Settings) -> Chosen:
    """Return the fields of `settings` that the object of a subclass holds."""
    return settings(**{name: getattr(whole, name) for name in declared(settings)})
