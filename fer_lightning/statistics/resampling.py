"""Intervals by resampling rows with replacement (Efron and Tibshirani 1993, An Introduction to the Bootstrap, 13.3).

A resample is a weight per row: how often it was drawn. Every metric of a resample follows from weighted sums over rows.
All networks that are measured on the same rows share the resamples, so that their differences are paired: rows that are
difficult for all networks do not count as a difference.

With fewer than five seeds only rows are resampled, and an interval of a mean over seeds holds only for these networks.
From five seeds on, each resample also moves the mean over seeds by a random multiple of its standard error, which has
Student's t distribution. So if only seeds vary, the interval is that of the t test: a bootstrap over five seeds is too
narrow. Arms with the same seeds share the draw, so that they are paired by seed. The spread over seeds contains some of
that over rows, which counts twice (Owen 2007, doi:10.1214/07-AOAS122), so these intervals are slightly too wide.

R resamples, N rows, M networks, A arms, K classes.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from fer_lightning.statistics.metrics import CLASS_METRICS, METRICS, RowOutcomes

RESAMPLES = 2000
SEED = 0
LEVEL = 0.95
POSITIONS = 2**20  # drawn at once; limits the memory to about 30 MB
FEWEST_SEEDS = 5  # with fewer, only rows are resampled


def resampled(
    outcomes: RowOutcomes,
    names: Sequence[str] = (*METRICS, *CLASS_METRICS),
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> dict[str, np.ndarray]:
    """Return these metrics of resamples of the rows, (R, M) each, and (R, M, K) if it is a metric of a class.

    The first resamples are the same for any number of resamples and any choice of metrics.
    """
    parts = [outcomes.metrics(names, weights) for weights in row_weights(len(outcomes), resamples, seed)]
    return {name: np.concatenate([part[name] for part in parts]) for name in names}


def row_weights(rows: int, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """Yield how often each row is in each resample, float32 (r, rows), in chunks of r resamples."""
    random = np.random.default_rng(seed)
    at_once = max(1, POSITIONS // max(rows, 1))
    for first in range(0, resamples, at_once):
        count = min(at_once, resamples - first)
        positions = random.integers(max(rows, 1), size=(count, rows)) + rows * np.arange(count)[:, None]
        yield np.bincount(positions.ravel(), minlength=count * rows).reshape(count, rows).astype(np.float32)


def resampled_counts(counts: np.ndarray, seed: int | Sequence[int], resamples: int = RESAMPLES) -> np.ndarray:
    """Return resamples int (R, ...) of a table (...) that counts equal rows; a table of ones resamples single rows."""
    rows = counts.sum()
    draws = np.random.default_rng(seed).multinomial(rows, counts.ravel() / rows, size=resamples)
    return draws.reshape(resamples, *counts.shape)


def interval(samples: np.ndarray) -> tuple[float, float]:
    """Return the central 95 % of resamples (R,) without NaN; (NaN, NaN) if all are NaN."""
    values = samples[~np.isnan(samples)]
    if not values.size:
        return float("nan"), float("nan")
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def mean_over_seeds(
    samples: np.ndarray, arms: Sequence[Sequence[int]], seeds: Sequence[Sequence], seed: int = SEED
) -> np.ndarray:
    """Return the arms' means (R, A, ...) of resampled metrics (R, M, ...).

    From five seeds on they contain the variation between seeds.

    arms   indices of the networks of each arm in `samples`
    seeds  seeds of the networks of each arm, in the same order; arms with the same seeds share the draw
    """
    random = np.random.default_rng([seed, 1])
    weights: dict[tuple, np.ndarray] = {}
    means = []
    for indices, key in zip(arms, map(tuple, seeds), strict=True):
        if key not in weights:
            weights[key] = _seed_weights(len(key), len(samples), random)
        means.append(np.einsum("rm...,rm->r...", samples[:, indices], weights[key]))
    return np.stack(means, axis=1)


def _seed_weights(seeds: int, resamples: int, random: np.random.Generator) -> np.ndarray:
    """Return weights (R, seeds) of the seeds; each row sums to 1.

    From FEWEST_SEEDS on, sum_s w_s x_s = mean(x) + t std(x) / sqrt(n) for any values x of n seeds. t has Student's
    distribution with n - 1 degrees of freedom: a standard normal variable, divided by the root of an independent chi
    square over its degrees of freedom.
    """
    if seeds < FEWEST_SEEDS:
        return np.full((resamples, seeds), 1 / seeds)
    freedom = seeds - 1
    normal = random.standard_normal((resamples, seeds))
    normal -= normal.mean(axis=1, keepdims=True)
    chi_square = random.chisquare(freedom, size=(resamples, 1))
    return 1 / seeds + normal / np.sqrt(seeds * chi_square)
