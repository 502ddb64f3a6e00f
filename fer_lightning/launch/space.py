"""Space of a search: what may be tried for each key, from Hydra's words to Optuna's distributions and back."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override, RangeSweep

from fer_lightning.errors import UserError
from fer_lightning.failures import require_package

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

FORMS = "interval(low,high), tag(log,interval(low,high)), range(first,end) or choice(a,b)"
DIGITS = 4  # of a number that is tried, so that names of folders stay short


@dataclass(frozen=True)
class Space:
    """Keys that a search changes, and the overrides that all its runs have."""

    distributions: "dict[str, BaseDistribution]"
    fixed: tuple[str, ...]

    def overrides(self, params: dict[str, Any]) -> tuple[str, ...]:
        """Return the overrides of a run with these values."""
        return (*self.fixed, *(f"{key}={_as_text(params[key])}" for key in self.distributions))

    def params(self, overrides: Sequence[str]) -> dict[str, Any] | None:
        """Return the values of a run with these overrides; None if it is not a run of this space."""
        values = dict(override.partition("=")[::2] for override in overrides if override not in self.fixed)
        if not set(self.fixed) <= set(overrides) or values.keys() != self.distributions.keys():
            return None
        parameters = {key: _from_text(self.distributions[key], value) for key, value in values.items()}
        return None if None in parameters.values() else parameters


def read_space(params: dict[str, Any], typed: Sequence[str]) -> Space:
    """Return the space of the sweeper's params and the overrides, which replace params of the same key.

    Raise UserError for a form that is not known, or if nothing is searched.
    """
    require_package("optuna")
    parser = OverridesParser.create()
    given = parser.parse_overrides(list(typed))
    keys = {override.get_key_element() for override in given}
    added = parser.parse_overrides([f"{key}={value}" for key, value in params.items() if key not in keys])
    searched = {one.get_key_element(): _distribution(one) for one in (*added, *given) if one.is_sweep_override()}
    if not searched:
        raise UserError(f"sweep=search: no key has a space, so there is nothing to search. Write KEY={FORMS}.")
    return Space(searched, tuple(one.input_line for one in (*added, *given) if not one.is_sweep_override()))


def _distribution(override: Override) -> "BaseDistribution":
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    space = override.value()
    if isinstance(space, IntervalSweep):
        logarithmic, ends = "log" in space.tags, (space.start, space.end)
        kind = IntDistribution if all(isinstance(end, int) for end in ends) else FloatDistribution
        try:
            return kind(*ends, log=logarithmic)
        except ValueError as error:
            raise UserError(f"{override.input_line}: {error} Fix the interval.") from None
    if isinstance(space, ChoiceSweep | RangeSweep):
        return CategoricalDistribution([str(value) for value in override.sweep_string_iterator()])
    raise UserError(f"{override.input_line}: must be {FORMS}.")


def _as_text(value: Any) -> str:
    return f"{value:.{DIGITS}g}" if isinstance(value, float) else str(value)


def _from_text(distribution: "BaseDistribution", word: str) -> Any:
    """Return the value of a word; None if it is outside the distribution."""
    from optuna.distributions import CategoricalDistribution, IntDistribution

    if isinstance(distribution, CategoricalDistribution):
        return word if word in distribution.choices else None
    try:
        value = int(word) if isinstance(distribution, IntDistribution) else float(word)
    except ValueError:
        return None
    return value if distribution.low <= value <= distribution.high else None
