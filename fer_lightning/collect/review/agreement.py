"""Agreement of two reviews of the same faces beyond chance: Cohen's kappa.

Cohen 1960, A Coefficient of Agreement for Nominal Scales: kappa = (observed - expected) / (1 - expected). The expected
agreement is that of two independent reviewers who choose each category as often as the real ones. A category is a
label, `unsure`, or `left out`, which includes every action that rejects a face.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fer_lightning.collect.review.decisions import ReviewDecision
from fer_lightning.statistics.resampling import SEED, interval, resampled_counts

UNSURE, LEFT_OUT = "unsure", "left out"


@dataclass(frozen=True)
class Agreement:
    """Agreement of two people about the same faces.

    faces      number of faces
    observed   share of the faces with the same category, 0 to 1; NaN without faces
    kappa      1: perfect, 0: chance, below 0: worse than chance; NaN if both chose the same category for all faces
    low, high  central 95 % of kappa over 2,000 resamples of the faces; NaN if kappa is NaN
    """

    faces: int
    observed: float
    kappa: float
    low: float
    high: float

    def describe(self) -> str:
        if not self.faces:
            return "No face was decided by two people in the two passes."
        twice = "1 face was" if self.faces == 1 else f"{self.faces:,} faces were"
        share = f"{twice} decided twice, {100 * self.observed:.0f} % of them the same way."
        if np.isnan(self.kappa):
            return f"{share} Cohen's kappa is not defined if only one category was chosen."
        ends = "" if np.isnan(self.low) else f" (95 % interval {self.low:.2f} to {self.high:.2f})"
        return f"{share} Cohen's kappa {self.kappa:.2f}{ends}; 1 is perfect, 0 is chance."


def agreement(first: Mapping[int, ReviewDecision], second: Mapping[int, ReviewDecision]) -> Agreement:
    """Return the agreement of two reviews {face: decision}: two passes, or two annotators of one pass.

    `decisions.current` returns such a review. A face that one annotator decided both times is not counted, because it
    does not show whether other people agree.
    """
    both = sorted(face for face in first.keys() & second.keys() if first[face].annotator != second[face].annotator)
    return between([category(first[face]) for face in both], [category(second[face]) for face in both])


def category(decision: ReviewDecision) -> str:
    if decision.label:
        return decision.label
    return UNSURE if decision.action == UNSURE else LEFT_OUT


def between(first: Sequence[str], second: Sequence[str]) -> Agreement:
    """Return the agreement of the categories that two reviews chose for the same N faces, in the same order."""
    table = contingency(first, second)
    faces = int(table.sum())
    if not faces:
        return Agreement(0, float("nan"), float("nan"), float("nan"), float("nan"))
    low, high = interval(cohen_kappa(resampled_counts(table, SEED)))
    return Agreement(faces, float(np.trace(table) / faces), float(cohen_kappa(table)), low, high)


def contingency(first: Sequence[str], second: Sequence[str]) -> np.ndarray:
    """Return counts int64 (K, K) of the K categories: rows belong to the first review, columns to the second."""
    names = sorted({*first, *second})
    table = np.zeros((len(names), len(names)), np.int64)
    for one, other in zip(first, second, strict=True):
        table[names.index(one), names.index(other)] += 1
    return table


def cohen_kappa(tables: np.ndarray) -> np.ndarray:
    """Return kappa of counts (..., K, K); NaN without faces, and NaN if the expected agreement is 1."""
    faces = tables.sum(axis=(-2, -1), dtype=float)
    with np.errstate(invalid="ignore", divide="ignore"):
        observed = np.trace(tables, axis1=-2, axis2=-1) / faces
        expected = (tables.sum(axis=-1) * tables.sum(axis=-2)).sum(axis=-1) / faces**2
        return np.where(expected < 1, (observed - expected) / (1 - expected), np.nan)
