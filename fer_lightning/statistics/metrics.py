"""Metrics of a classifier from its confusion matrix and its probabilities, without torch.

A confusion matrix is (K, K): rows are true classes, columns are predicted classes. Every function also takes many of
them, (..., K, K), and then returns arrays (...). A metric of a class that is 0/0 is NaN, and the means omit it: recall
if the class has no rows, precision if it was never predicted, F1 if both. So the means equal scikit-learn's
`f1_score(average="macro")` and `balanced_accuracy_score`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

NAMES = {
    "acc": "accuracy",
    "f1_macro": "macro-F1",
    "recall_mean": "mean recall",
    "ece": "calibration error",
    "ce": "cross-entropy, nats",
    "ferplus_acc": "FER+ agreement",
}
METRICS = tuple(NAMES)
LABEL_METRICS = ("acc", "f1_macro", "recall_mean")  # they need only the predicted labels
CLASS_METRICS = ("recall", "precision", "f1")
BINS = 15  # bins of confidence in the calibration error
LEAST_PROBABILITY = float(np.finfo(np.float32).tiny)  # replaces 0, so that logarithms are finite


def confusion_matrix(labels: np.ndarray, predictions: np.ndarray, num_classes: int) -> np.ndarray:
    """Return counts int64 (K, K) from true and predicted class indices, each (N,)."""
    cells = np.asarray(labels, np.int64) * num_classes + np.asarray(predictions, np.int64)
    return np.bincount(cells, minlength=num_classes**2).reshape(num_classes, num_classes)


def accuracy(matrix: np.ndarray) -> float | np.ndarray:
    """Return the share of rows on the diagonal, 0 to 1; NaN without rows."""
    return _plain(ratio(np.trace(matrix, axis1=-2, axis2=-1), np.sum(matrix, axis=(-2, -1))))


def per_class(matrix: np.ndarray) -> dict[str, np.ndarray]:
    """Return `recall` TP / (TP + FN), `precision` TP / (TP + FP), `f1` 2 TP / (2 TP + FP + FN), each (..., K)."""
    hits, true = np.diagonal(matrix, axis1=-2, axis2=-1), np.sum(matrix, axis=-1)
    predicted = np.sum(matrix, axis=-2)
    return {
        "recall": ratio(hits, true),
        "precision": ratio(hits, predicted),
        "f1": _f1(hits, true, predicted),
    }


def f1_macro(matrix: np.ndarray) -> float | np.ndarray:
    """Return the mean F1 of the classes that occur in the truth or the predictions."""
    return mean_over_classes(per_class(matrix)["f1"])


def recall_mean(matrix: np.ndarray) -> float | np.ndarray:
    """Return the mean recall of the classes that occur in the truth (balanced accuracy)."""
    return mean_over_classes(per_class(matrix)["recall"])


def bins_of(confidence: np.ndarray, bins: int = BINS) -> np.ndarray:
    """Return the index of the equal bin of each confidence, 0 to bins - 1; the upper edge belongs to a bin."""
    return np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)


@dataclass(frozen=True)
class RowOutcomes:
    """Answers of M networks on the same N rows; every metric follows from weighted sums over the rows.

    labels       int (N,), class indices
    predicted    int (M, N), class indices
    confidence   float (M, N), probability of the predicted class
    likelihood   float (M, N), probability of the label
    num_classes  K
    plurality    int (N,), class with the most FER+ votes, -1 if no class has it; None: no votes
    """

    labels: np.ndarray
    predicted: np.ndarray
    confidence: np.ndarray
    likelihood: np.ndarray
    num_classes: int
    plurality: np.ndarray | None = None

    @classmethod
    def of(cls, labels: np.ndarray, *probabilities: np.ndarray, plurality: np.ndarray | None = None) -> "RowOutcomes":
        """Return the outcomes of networks with probabilities (N, K); of equal largest ones the first is predicted."""
        labels, each = np.asarray(labels, np.int64), np.asarray(probabilities, np.float64)
        likelihood = each[:, np.arange(len(labels)), labels]
        return cls(labels, each.argmax(axis=2), each.max(axis=2), likelihood, each.shape[2], plurality)

    def __len__(self) -> int:
        return len(self.labels)

    def metrics(
        self, names: Sequence[str] = (*METRICS, *CLASS_METRICS), weights: np.ndarray | None = None
    ) -> dict[str, np.ndarray]:
        """Return these metrics, (M,) each, (M, K) if it is a metric of a class; NaN without rows.

        `ece` is the mean distance of confidence from accuracy over 15 equal bins of confidence (Guo et al. 2017, eq. 3;
        torchmetrics has it too, but this module runs without torch). `ce` is cross-entropy in nats. `ferplus_acc` is
        the share of correct predictions of the FER+ plurality, over the rows that have one.

        weights  float (R, N), how often each row counts in each of R resamples; the result is (R, M) and (R, M, K)
        """
        sums = _Sums(self, np.ones((1, len(self)), np.float32) if weights is None else weights)
        values = {name: _FORMULAS[name](sums) for name in names}
        return {name: value[0] for name, value in values.items()} if weights is None else values

    @cached_property
    def members(self) -> np.ndarray:
        """Float32 (N, K), 1 for the label."""
        return np.eye(self.num_classes, dtype=np.float32)[self.labels]

    @cached_property
    def chosen(self) -> np.ndarray:
        """Float32 (N, M K), 1 for the class that each network predicts."""
        chosen = self.predicted.T[:, :, None] == np.arange(self.num_classes)
        return chosen.astype(np.float32).reshape(len(self), len(self.predicted) * self.num_classes)

    @cached_property
    def surplus(self) -> list[np.ndarray]:
        """Float (N, BINS) of each network: right (0 or 1) minus confidence, in the bin of the confidence."""
        surplus = (self.predicted == self.labels) - np.asarray(self.confidence, np.float64)
        bins = bins_of(np.asarray(self.confidence, np.float64))
        return [np.eye(BINS)[index] * value[:, None] for index, value in zip(bins, surplus, strict=True)]

    @cached_property
    def loss(self) -> np.ndarray:
        """Float (M, N), negative logarithm of the label's probability."""
        return -np.log(np.maximum(np.asarray(self.likelihood, np.float64), LEAST_PROBABILITY))


class _Sums:
    """Sums over the rows with weights (R, N). Counts are products of float32, exact up to 16 million rows."""

    def __init__(self, outcomes: RowOutcomes, weights: np.ndarray) -> None:
        self.outcomes, self.weights = outcomes, weights

    @cached_property
    def rows(self) -> np.ndarray:
        return self.weights.sum(axis=1)[:, None]

    @cached_property
    def hits(self) -> np.ndarray:
        """Correct predictions (R, M, K) by class; a product per class, as only its own rows can be hits."""
        labels, predicted = self.outcomes.labels, self.outcomes.predicted
        hits = np.empty((len(self.weights), len(predicted), self.outcomes.num_classes), np.float32)
        for label in range(self.outcomes.num_classes):
            rows = np.flatnonzero(labels == label)
            hits[:, :, label] = self.weights[:, rows] @ (predicted[:, rows] == label).T.astype(np.float32)
        return hits

    @cached_property
    def true(self) -> np.ndarray:
        return np.broadcast_to((self.weights @ self.outcomes.members)[:, None, :], self.hits.shape)

    @cached_property
    def predicted(self) -> np.ndarray:
        return (self.weights @ self.outcomes.chosen).reshape(self.hits.shape)

    @cached_property
    def recall(self) -> np.ndarray:
        return ratio(self.hits, self.true)

    @cached_property
    def f1(self) -> np.ndarray:
        return _f1(self.hits, self.true, self.predicted)

    def surplus(self) -> np.ndarray:
        """Sum over the bins (R, M) of the distances of confidence from accuracy, times the rows of the bin."""
        return np.stack([np.abs(self.weights @ one).sum(axis=-1) for one in self.outcomes.surplus], axis=1)

    def votes(self) -> np.ndarray:
        """Share (R, M) of the rows with a FER+ plurality on which it is predicted."""
        if self.outcomes.plurality is None:
            return np.full((len(self.weights), len(self.outcomes.predicted)), np.nan)
        has_plurality = np.asarray(self.outcomes.plurality) >= 0
        agreed = (self.outcomes.predicted == self.outcomes.plurality) & has_plurality
        return ratio(self.weights @ agreed.T, (self.weights @ has_plurality)[:, None])


_FORMULAS: dict[str, Callable[[_Sums], np.ndarray]] = {
    "acc": lambda sums: ratio(sums.hits.sum(axis=-1), sums.rows),
    "f1_macro": lambda sums: mean_over_classes(sums.f1),
    "recall_mean": lambda sums: mean_over_classes(sums.recall),
    "ece": lambda sums: ratio(sums.surplus(), sums.rows),
    "ce": lambda sums: ratio(sums.weights @ sums.outcomes.loss.T, sums.rows),
    "ferplus_acc": _Sums.votes,
    "recall": lambda sums: sums.recall,
    "precision": lambda sums: ratio(sums.hits, sums.predicted),
    "f1": lambda sums: sums.f1,
}


def ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Return part / whole; NaN if whole is 0."""
    part, whole = np.broadcast_arrays(np.asarray(part, np.float64), np.asarray(whole, np.float64))
    return np.divide(part, whole, out=np.full(whole.shape, np.nan), where=whole > 0)


def _f1(hits: np.ndarray, true: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    return ratio(2 * hits, true + predicted)


def mean_over_classes(values: np.ndarray) -> float | np.ndarray:
    """Return the mean over the last axis without NaN; NaN if all are NaN."""
    is_defined = ~np.isnan(values)
    return _plain(ratio(np.where(is_defined, values, 0).sum(axis=-1), is_defined.sum(axis=-1)))


def _plain(values: np.ndarray) -> float | np.ndarray:
    """Return a Python float if there is a single value."""
    return float(values) if values.ndim == 0 else values
