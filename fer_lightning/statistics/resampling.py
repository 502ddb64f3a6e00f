"""Statistics of an ablation: means over seeds, paired differences and their uncertainty. Imports no torch.

The comparison is between arms (methods). Each arm has one network per seed, and all are tested on the same N rows.

Rows are resampled with replacement. Every network gets the same resample, so that rows that are difficult for all
networks do not count as a difference. With fewer than five seeds only rows are resampled, and an interval holds only
for these networks. From five seeds on, each resample also draws n - 1 of n seeds with replacement, which makes the
variance of a mean unbiased (Rao and Wu 1988, J. Am. Stat. Assoc. 83:231). Arms with the same seeds share the draw, so
that they are paired by seed. A draw of both rows and seeds counts the variance of their interaction several times
(Owen 2007, doi:10.1214/07-AOAS122), so these intervals are rather too wide than too narrow.

Metrics are shares of 1. R resamples, M networks, A arms, K classes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from fer_lightning.statistics import metrics
from fer_lightning.statistics.bootstrap import interval

FIGURES = ("acc", "f1_macro", "recall_mean")
RESAMPLES = 10_000  # smallest p is then 0.0002, which Holm's correction can still reject among 250 comparisons
RESAMPLES_OF_F1 = 2000
SEED = 0
FEWEST_SEEDS = 5  # with fewer, seeds are not resampled
LEVEL = 0.05
AT_ONCE = 250  # resamples per chunk; limits the memory
ROUNDING = 1e-6  # differences of metrics below this count as 0


def figures(labels: np.ndarray, predicted: np.ndarray, num_classes: int) -> dict[str, np.ndarray]:
    """Return each of `FIGURES`, (M,), from labels (N,) and predicted classes (M, N)."""
    matrices = confusions(labels, predicted, num_classes)
    scores = (metrics.accuracy, metrics.f1_macro, metrics.recall_mean)
    return {name: np.asarray(score(matrices)) for name, score in zip(FIGURES, scores, strict=True)}


def confusions(labels: np.ndarray, predicted: np.ndarray, num_classes: int) -> np.ndarray:
    """Return counts int64 (M, K, K); rows are true classes."""
    matrices = [metrics.confusion_matrix(labels, one, num_classes) for one in predicted]
    return np.array(matrices, np.int64).reshape(-1, num_classes, num_classes)


def resampled_figures(
    labels: np.ndarray, predicted: np.ndarray, num_classes: int, resamples: int = RESAMPLES, seed: int = SEED
) -> dict[str, np.ndarray]:
    """Return each of `FIGURES`, float32 (R, M), and `recall` by class, (R, M, K), of resamples of the N rows.

    All networks share the resamples. A class that a resample lacks is NaN in it and omitted from its means. Macro-F1
    is computed only from the first 2,000 resamples, because it takes most of the time and gets no p.
    """
    members = np.eye(num_classes, dtype=np.float32)[labels]
    chosen = (predicted.T[:, :, None] == np.arange(num_classes)).astype(np.float32).reshape(len(labels), -1)
    parts = [
        _figures_of(weights, labels, predicted, members, chosen if index * AT_ONCE < RESAMPLES_OF_F1 else None)
        for index, weights in enumerate(_row_weights(len(labels), resamples, seed))
    ]
    return {name: np.concatenate([part[name] for part in parts if name in part]) for name in (*FIGURES, "recall")}


def _figures_of(
    weights: np.ndarray, labels: np.ndarray, predicted: np.ndarray, members: np.ndarray, chosen: np.ndarray | None
) -> dict[str, np.ndarray]:
    """Return the metrics float32 (r, M); each count is a product of row weights (r, N) with zeros and ones.

    members  (N, K), 1 for the true class of a row
    chosen   (N, M K), 1 for the class that each network predicts; None: no F1
    """
    networks, num_classes = len(predicted), members.shape[1]
    hits = np.empty((len(weights), networks, num_classes), np.float32)
    for label in range(num_classes):
        rows = np.flatnonzero(labels == label)
        hits[:, :, label] = weights[:, rows] @ (predicted[:, rows] == label).T.astype(np.float32)
    true = np.broadcast_to((weights @ members)[:, None, :], hits.shape)
    recall = _ratio(hits, true)
    metrics_of_resamples = {"acc": hits.sum(axis=2) / weights.shape[1], "recall_mean": _mean(recall), "recall": recall}
    if chosen is not None:
        given = (weights @ chosen).reshape(hits.shape)
        metrics_of_resamples["f1_macro"] = _mean(_ratio(2 * hits, true + given))
    return metrics_of_resamples


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Return part / whole; NaN if whole is 0."""
    return np.divide(part, whole, out=np.full_like(part, np.nan), where=whole > 0)


def _mean(values: np.ndarray) -> np.ndarray:
    """Return the mean over the last axis without NaN; at least one value is not NaN."""
    return np.nanmean(values, axis=-1)


def _row_weights(rows: int, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """Yield the count of each row in each resample, float32 (r, rows), in chunks of r resamples."""
    random = np.random.default_rng([seed, 0])
    for first in range(0, resamples, AT_ONCE):
        count = min(AT_ONCE, resamples - first)
        positions = random.integers(rows, size=(count, rows)) + rows * np.arange(count)[:, None]
        yield np.bincount(positions.ravel(), minlength=count * rows).reshape(count, rows).astype(np.float32)


def mean_over_seeds(
    samples: np.ndarray, arms: Sequence[Sequence[int]], seeds: Sequence[Sequence], seed: int = SEED
) -> np.ndarray:
    """Return the arms' means (R, A, ...) of resampled metrics (R, M, ...); from five seeds on, seeds are resampled too.

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
    """Return weights (R, seeds) of the seeds; each row sums to 1."""
    if seeds < FEWEST_SEEDS:
        return np.full((resamples, seeds), 1 / seeds, np.float32)
    draws = random.multinomial(seeds - 1, [1 / seeds] * seeds, size=resamples)
    return draws.astype(np.float32) / (seeds - 1)


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
        return self.corrected < LEVEL


def differences(values: np.ndarray, samples: np.ndarray) -> list[Difference]:
    """Return one family of comparisons, Holm-corrected, from differences (C,) and their resamples (R, C)."""
    family = [
        Difference(float(value), *interval(drawn), two_sided_p(drawn))
        for value, drawn in zip(values, samples.T, strict=True)
    ]
    return corrected(family)


def two_sided_p(samples: np.ndarray) -> float:
    """Return twice the share of resampled differences (R,) on the rarer side of 0; 0 itself counts on both sides.

    p = min(1, 2 (1 + min(#{d <= 0}, #{d >= 0})) / (R + 1)). It is below 5 % if the percentile interval excludes 0. The
    added 1 keeps it above 0 (Davison and Hinkley 1997, Bootstrap Methods and their Application, 4.2).
    """
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

    The test is Student's paired t if both sides have the same seeds, and Welch's t otherwise. If a side has one seed or
    no variance, all fields but the value are NaN.
    """
    first, second = (np.array(list(side.values())) for side in (before, after))
    paired = before.keys() == after.keys()
    if paired:
        second = np.array([after[seed] for seed in before])
    value = float(second.mean() - first.mean())
    scatter = [second - first] if paired else [first, second]
    if min(len(first), len(second)) < 2 or all(np.ptp(part) <= ROUNDING for part in scatter):
        return Difference(value, *[float("nan")] * 3)
    result = stats.ttest_rel(second, first) if paired else stats.ttest_ind(second, first, equal_var=False)
    low, high = result.confidence_interval(1 - LEVEL)
    return Difference(value, float(low), float(high), float(result.pvalue))
