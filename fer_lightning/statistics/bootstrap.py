"""Intervals by resampling rows with replacement (Efron and Tibshirani 1993, An Introduction to the Bootstrap, 13.3)."""

from collections.abc import Iterator

import numpy as np

from fer_lightning.statistics.metrics import RowOutcomes

RESAMPLES = 2000
SEED = 0
LEVEL = 0.95
POSITIONS = 2**19  # drawn at once; limits the memory to about 30 MB


def resampled(*outcomes: RowOutcomes, resamples: int = RESAMPLES, seed: int = SEED) -> list[dict[str, np.ndarray]]:
    """Return the metrics of R = `resamples` resamples, (R,) or (R, K) each, one dict per outcome.

    Outcomes of several networks on the same N rows get the same resamples, so that their differences are paired.
    """
    rows = len(outcomes[0])
    parts = [[outcome.tally(draws).figures() for outcome in outcomes] for draws in _draws(rows, resamples, seed)]
    return [
        {name: np.concatenate([part[index][name] for part in parts]) for name in parts[0][index]}
        for index in range(len(outcomes))
    ]


def interval(samples: np.ndarray) -> tuple[float, float]:
    """Return the central 95 % of resamples (R,) without NaN; (NaN, NaN) if all are NaN."""
    values = samples[~np.isnan(samples)]
    if not values.size:
        return float("nan"), float("nan")
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def _draws(rows: int, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """Yield row positions (r, rows) of resamples, in chunks of r resamples."""
    random = np.random.default_rng(seed)
    at_once = max(1, POSITIONS // max(rows, 1))
    for first in range(0, resamples, at_once):
        shape = (min(at_once, resamples - first), rows)
        yield random.integers(max(rows, 1), size=shape)
