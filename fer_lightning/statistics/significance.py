"""Tests of differences between networks, and intervals of shares. Imports no torch.

SciPy has no correction by Holm (only false discovery rates), so `holm` states it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from fer_lightning.statistics.resampling import LEVEL, interval

ALPHA = 0.05  # a difference is shown if its p is below this
QUANTILE = NormalDist().inv_cdf((1 + LEVEL) / 2)  # half the width of an interval, in standard errors
ROUNDING = 1e-6  # differences of metrics below this count as 0


def only_one_right(labels: np.ndarray, a: np.ndarray, b: np.ndarray) -> tuple[int, int]:
    """Return the number of rows on which only prediction `a` is right, and of those on which only `b` is."""
    right_a, right_b = a == labels, b == labels
    return int((right_a & ~right_b).sum()), int((right_b & ~right_a).sum())


def mcnemar(only_a: int, only_b: int) -> float:
    """Return the two-sided p of McNemar's exact test, from the numbers of rows on which only one network is right.

    It is the binomial test of scipy.stats.binomtest for a fair coin. Its distribution is in scipy.special, whose import
    takes a quarter of the time.
    """
    from scipy.special import bdtr

    return min(1.0, 2 * float(bdtr(min(only_a, only_b), only_a + only_b, 0.5)))


def smallest_shown(discordant: int, rows: int) -> float | None:
    """Return the smallest difference of accuracy that McNemar's test can show at the 5 % level; None if it cannot.

    discordant  number of rows on which only one network is right
    """
    from scipy.special import bdtr

    p = 2 * bdtr(np.arange(discordant // 2 + 1), discordant, 0.5)
    shown = int((p < ALPHA).sum())  # the test shows a difference if fewer than this many rows are on one side
    return (discordant - 2 * (shown - 1)) / rows if shown else None


def wilson(hits: int, rows: int) -> tuple[float, float]:
    """Return the 95 % interval of a share (Wilson 1927, J. Am. Stat. Assoc. 22:209); (0, 1) without rows.

    It is that of scipy.stats.binomtest. Model cards state it, also where SciPy is not installed.
    """
    return (_wilson_low(hits, rows), 1 - _wilson_low(rows - hits, rows)) if rows else (0.0, 1.0)


def _wilson_low(hits: int, rows: int) -> float:
    """Return the lower end of the interval, which is exactly 0 without hits."""
    scatter = math.sqrt(hits * (rows - hits) / rows + QUANTILE**2 / 4)
    return (hits + QUANTILE**2 / 2 - QUANTILE * scatter) / (rows + QUANTILE**2)


def margin(share: float, rows: int) -> float:
    """Return half the width of the 95 % normal interval of a share of that many rows."""
    return QUANTILE * math.sqrt(share * (1 - share) / rows)


@dataclass(frozen=True)
class Difference:
    """A difference with its 95 % interval, its two-sided p, and p after Holm's correction."""

    value: float
    low: float
    high: float
    p: float
    corrected: float = float("nan")

    @property
    def shown(self) -> bool:
        return self.corrected < ALPHA


def differences(values: np.ndarray, samples: np.ndarray) -> list[Difference]:
    """Return one family of comparisons, Holm-corrected, from differences (C,) and their resamples (R, C)."""
    family = [
        Difference(float(value), *interval(drawn), two_sided_p(drawn))
        for value, drawn in zip(values, samples.T, strict=True)
    ]
    return corrected(family)


def two_sided_p(samples: np.ndarray) -> float:
    """Return twice the share of resampled differences (R,) on the rarer side of 0; 0 itself counts on both sides.

    p = min(1, 2 (1 + min(#{d <= 0}, #{d >= 0})) / (R + 1)). If the percentile interval excludes 0, p is below 5 %
    or above it by at most 2 / R. The added 1 keeps p above 0 (Davison and Hinkley 1997, Bootstrap Methods and their
    Application, 4.2). If a difference is NaN, p is NaN.
    """
    if np.isnan(samples).any():
        return float("nan")
    rarer = min((samples <= ROUNDING).sum(), (samples >= -ROUNDING).sum())
    return min(1.0, 2 * (1 + float(rarer)) / (len(samples) + 1))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p after Holm's correction (1979, Scand. J. Statist. 6:65): the smallest times m, the next times m - 1, ...

    Each is at least the one before it and at most 1. NaN does not count as a comparison and stays NaN.
    """
    adjusted = [float("nan")] * len(p_values)
    ascending = sorted((p, index) for index, p in enumerate(p_values) if not np.isnan(p))
    least = 0.0
    for rank, (p, index) in enumerate(ascending):
        least = max(least, min(1.0, (len(ascending) - rank) * p))
        adjusted[index] = least
    return adjusted


def corrected(family: Sequence[Difference]) -> list[Difference]:
    """Return the same differences with Holm's correction over all of them."""
    adjusted = holm([one.p for one in family])
    return [Difference(d.value, d.low, d.high, d.p, p) for d, p in zip(family, adjusted, strict=True)]


def difference_of_means(before: dict[int, float], after: dict[int, float]) -> Difference:
    """Return after minus before, given by seed, with an interval over seeds.

    The test is Student's paired t if both sides have the same seeds, and Welch's t otherwise. If a side has one seed,
    or if nothing varies over seeds, all fields but the value are NaN.
    """
    first, second = (np.array(list(side.values())) for side in (before, after))
    paired = before.keys() == after.keys()
    if paired:
        second = np.array([after[seed] for seed in before])
    value = float(second.mean() - first.mean())
    scatter = [second - first] if paired else [first, second]
    if min(len(first), len(second)) < 2 or all(np.ptp(part) <= ROUNDING for part in scatter):
        return Difference(value, *[float("nan")] * 3)
    from scipy import stats

    result = stats.ttest_rel(second, first) if paired else stats.ttest_ind(second, first, equal_var=False)
    low, high = result.confidence_interval(LEVEL)
    return Difference(value, float(low), float(high), float(result.pvalue))
