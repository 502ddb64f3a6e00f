"""Intervals by resampling rows with replacement (Efron and Tibshirani 1993, An Introduction to the Bootstrap, 13.3)."""

from collections.abc import Iterator

import numpy as np

from fer_lightning.statistics.metrics import RowOutcomes

RESAMPLES = 2000
SEED = 0
LEVEL = 0.95
POSITIONS = 2**19  # drawn at once: bounds the memory at some 30 MB


def resampled(*outcomes: RowOutcomes, resamples: int = RESAMPLES, seed: int = SEED) -> list[dict[str, np.ndarray]]:
    """The figures of `resamples` resamples, (R,) or (R, K) each, of every one of the outcomes.

    Outcomes of several networks on the same N rows see the same resamples, so that their differences are paired.
    """
    rows = len(outcomes[0])
    parts = [[outcome.tally(draws).figures() for outcome in outcomes] for draws in _draws(rows, resamples, seed)]
    return [
        {name: np.concatenate([part[place][name] for part in parts]) for name in parts[0][place]}
        for place in range(len(outcomes))
    ]


def interval(samples: np.ndarray) -> tuple[float, float]:
    """The central 95 % of resamples (R,), those without the figure (NaN) left out; NaN where all are."""
    known = samples[~np.isnan(samples)]
    if not known.size:
        return float("nan"), float("nan")
    low, high = np.quantile(known, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def _draws(rows: int, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """Positions (r, rows) of resamples, some at a time."""
    random = np.random.default_rng(seed)
    at_once = max(1, POSITIONS // max(rows, 1))
    for first in range(0, resamples, at_once):
        shape = (min(at_once, resamples - first), rows)
        yield random.integers(max(rows, 1), size=shape)
