"""Factorial designs: the factors that vary between the arms of a sweep, names of the arms, and main effects."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from fer_lightning.statistics.significance import Difference, differences


@dataclass(frozen=True)
class Effect:
    """Main effect of one level of a factor: the mean difference over all pairs of arms that differ only in it."""

    factor: str
    level: str
    reference: str
    pairs: int
    differences: dict[str, Difference]  # by name, on all rows


def factors(arms: Sequence[Sequence[str]]) -> list[dict[str, str]]:
    """Return, for each arm, the value of each override that varies between arms.

    The result is [] unless two or more overrides vary and every arm sets all of them.

    arms  the overrides `key=value` of each arm
    """
    chosen = [dict(o.split("=", 1) for o in arm if "=" in o and not o.startswith(("seed=", "hydra."))) for arm in arms]
    keys = [key for key in chosen[0] if len({arm.get(key) for arm in chosen}) > 1]
    if len(keys) < 2 or any(key not in arm for arm in chosen for key in keys):
        return []
    return [{key: arm[key] for key in keys} for arm in chosen]


def arm_names(keys: Sequence[str], cells: Sequence[dict[str, str]]) -> list[str]:
    """Return the arms' names; an arm of a factorial design is named by its differences from the first arm.

    Examples: `stn + loss`, or `stn=affine` if a factor has more than two levels.

    keys   names of the arms in the sweep
    cells  as `factors` returns them
    """
    if not cells:
        return list(keys)
    levels, base = _levels(cells), cells[0]
    names = [
        " + ".join(key if len(levels[key]) == 2 else f"{key}={cell[key]}" for key in cell if cell[key] != base[key])
        for cell in cells
    ]
    return ["baseline", *names[1:]] if len(set(names)) == len(names) else list(keys)


def main_effects(
    cells: Sequence[dict[str, str]], means: Mapping[str, np.ndarray], samples: Mapping[str, np.ndarray]
) -> list[Effect]:
    """Return the effect of every level except the baseline's; [] unless the cells form a full factorial.

    cells    as `factors` returns them, one per arm
    means    means of the arms (A,) by metric; Holm's correction is applied to each metric separately
    samples  their resamples (R, A) by metric
    """
    levels = _levels(cells) if cells else {}
    if not cells or not len({tuple(cell.values()) for cell in cells}) == len(cells) == prod(map(len, levels.values())):
        return []
    contrasts = [(factor, level, reference) for factor, (reference, *others) in levels.items() for level in others]
    weights = np.array([_contrast(cells, *contrast) for contrast in contrasts])
    families = [differences(weights @ means[name], samples[name] @ weights.T) for name in means]
    return [
        Effect(*contrast, int((one > 0).sum()), dict(zip(means, family, strict=True)))
        for contrast, one, *family in zip(contrasts, weights, *families, strict=True)
    ]


def _contrast(cells: Sequence[dict[str, str]], factor: str, level: str, reference: str) -> np.ndarray:
    """Return the weights (A,) of the arms in the mean difference of a level from the reference."""
    signs = np.array([{level: 1, reference: -1}.get(cell[factor], 0) for cell in cells])
    return signs / (signs > 0).sum()


def _levels(cells: Sequence[dict[str, str]]) -> dict[str, list[str]]:
    """Return the levels of each factor, the baseline's level first."""
    return {key: list(dict.fromkeys(cell[key] for cell in cells)) for key in cells[0]}
