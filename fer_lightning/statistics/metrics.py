"""Metrics of a classifier from its confusion matrix and its probabilities, without torch.

A confusion matrix is (K, K): rows are true classes, columns are predicted classes. Every function also takes many of
them, (..., K, K), and then returns arrays (...). A metric of a class that is 0/0 is NaN, and the means omit it: recall
if the class has no rows, precision if it was never predicted, F1 if both. So the means equal scikit-learn's
`f1_score(average="macro")` and `balanced_accuracy_score`.
"""

from dataclasses import dataclass

import numpy as np

FIGURES = ("acc", "f1_macro", "recall_mean", "ece", "ce", "ferplus_acc")
CLASS_FIGURES = ("recall", "precision", "f1")
BINS = 15  # bins of confidence in the calibration error
LEAST_PROBABILITY = float(np.finfo(np.float32).tiny)  # replaces 0, so that logarithms are finite


def confusion_matrix(labels: np.ndarray, predictions: np.ndarray, num_classes: int) -> np.ndarray:
    """Return counts int64 (K, K) from true and predicted class indices, each (N,)."""
    cells = np.asarray(labels, np.int64) * num_classes + np.asarray(predictions, np.int64)
    return np.bincount(cells, minlength=num_classes**2).reshape(num_classes, num_classes)


def accuracy(matrix: np.ndarray) -> float | np.ndarray:
    """Return the share of rows on the diagonal, 0 to 1; NaN without rows."""
    return _plain(_ratio(np.trace(matrix, axis1=-2, axis2=-1), np.sum(matrix, axis=(-2, -1))))


def per_class(matrix: np.ndarray) -> dict[str, np.ndarray]:
    """Return `recall` TP / (TP + FN), `precision` TP / (TP + FP), `f1` 2 TP / (2 TP + FP + FN), each (..., K)."""
    hits, true = np.diagonal(matrix, axis1=-2, axis2=-1), np.sum(matrix, axis=-1)
    predicted = np.sum(matrix, axis=-2)
    return {
        "recall": _ratio(hits, true),
        "precision": _ratio(hits, predicted),
        "f1": _ratio(2 * hits, true + predicted),
    }


def f1_macro(matrix: np.ndarray) -> float | np.ndarray:
    """Return the mean F1 of the classes that occur in the truth or the predictions."""
    return _mean(per_class(matrix)["f1"])


def recall_mean(matrix: np.ndarray) -> float | np.ndarray:
    """Return the mean recall of the classes that occur in the truth (balanced accuracy)."""
    return _mean(per_class(matrix)["recall"])


def expected_calibration_error(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Return the mean distance of confidence from accuracy over 15 equal bins of confidence (Guo et al. 2017, eq. 3).

    probabilities (N, K), labels (N,) class indices. 0 is perfect; NaN without rows.
    """
    return RowOutcomes(labels, probabilities).tally().figures()["ece"]


class RowOutcomes:
    """Contribution of each of N rows to the metrics, so that many resamples of the rows are measured at once.

    labels         int (N,), class indices
    probabilities  float (N, K); the prediction is the largest, and of equal ones the first
    plurality      int (N,), class with the most FER+ votes, -1 if there is no such class; None: no votes
    """

    def __init__(self, labels: np.ndarray, probabilities: np.ndarray, plurality: np.ndarray | None = None) -> None:
        labels, probabilities = np.asarray(labels, np.int64), np.asarray(probabilities, np.float64)
        self.num_classes = probabilities.shape[1]
        predicted = probabilities.argmax(axis=1)
        confidence = probabilities.max(axis=1)
        self.loss = -np.log(np.maximum(probabilities[np.arange(len(labels)), labels], LEAST_PROBABILITY))
        self.surplus = (predicted == labels) - confidence
        self.bin = np.clip(np.ceil(confidence * BINS).astype(np.int64) - 1, 0, BINS - 1)
        # One number for true class, predicted class and FER+ verdict: 0 no class, 1 another class, 2 the prediction.
        verdict = np.zeros(len(labels), np.int64)
        if plurality is not None:
            verdict = np.where(np.asarray(plurality) < 0, 0, 1 + (predicted == plurality))
        self.cell = (labels * self.num_classes + predicted) * 3 + verdict

    def __len__(self) -> int:
        return len(self.cell)

    def tally(self, draws: np.ndarray | None = None) -> "Tally":
        """Return the sums over all rows, or over resamples with the row positions draws, int (R, M)."""
        single = draws is None
        draws = np.arange(len(self))[None] if single else draws
        cells = _count(self.cell[draws], 3 * self.num_classes**2)
        surplus = _count(self.bin[draws], BINS, weights=self.surplus[draws])
        cells = cells.reshape(-1, self.num_classes, self.num_classes, 3)
        tally = Tally(cells.sum(axis=-1), surplus, self.loss[draws].sum(axis=1), cells.sum(axis=(1, 2)))
        return tally[0] if single else tally


@dataclass(frozen=True)
class Tally:
    """Sums over rows from which every metric is computed; one set of rows, or many along leading axes.

    confusion  (..., K, K) counts
    surplus    (..., BINS) hits minus confidence, by bin of confidence
    loss       (...) negative logarithms of the true class's probability
    verdicts   (..., 3) numbers of rows: without a FER+ plurality, with one that is another class than the prediction,
               with one that equals the prediction
    """

    confusion: np.ndarray
    surplus: np.ndarray
    loss: np.ndarray
    verdicts: np.ndarray

    def __getitem__(self, index: int) -> "Tally":
        return Tally(self.confusion[index], self.surplus[index], self.loss[index], self.verdicts[index])

    def figures(self) -> dict[str, float | np.ndarray]:
        """Return the metrics in `FIGURES`, (...) each, and those in `CLASS_FIGURES`, (..., K) each; NaN without rows.

        `ce` is cross-entropy in nats. `ferplus_acc` is the share of correct predictions of the FER+ plurality, over
        the rows that have one.
        """
        rows = np.sum(self.confusion, axis=(-2, -1))
        return {
            "acc": accuracy(self.confusion),
            "f1_macro": f1_macro(self.confusion),
            "recall_mean": recall_mean(self.confusion),
            "ece": _plain(_ratio(np.abs(self.surplus).sum(axis=-1), rows)),
            "ce": _plain(_ratio(self.loss, rows)),
            "ferplus_acc": _plain(_ratio(self.verdicts[..., 2], self.verdicts[..., 1:].sum(axis=-1))),
            **per_class(self.confusion),
        }


def _count(values: np.ndarray, size: int, weights: np.ndarray | None = None) -> np.ndarray:
    """Return `np.bincount` of each line of int (R, M), all below `size`, as (R, size)."""
    cells = values + np.arange(len(values))[:, None] * size
    flat = None if weights is None else weights.ravel()
    return np.bincount(cells.ravel(), flat, minlength=len(values) * size).reshape(-1, size)


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Return part / whole; NaN if whole is 0."""
    part, whole = np.asarray(part, np.float64), np.asarray(whole, np.float64)
    return np.divide(part, whole, out=np.full_like(whole, np.nan), where=whole > 0)


def _mean(values: np.ndarray) -> float | np.ndarray:
    """Return the mean over the last axis without NaN; NaN if all are NaN."""
    finite = ~np.isnan(values)
    return _plain(_ratio(np.where(finite, values, 0).sum(axis=-1), finite.sum(axis=-1)))


def _plain(values: np.ndarray) -> float | np.ndarray:
    """Return a Python float if there is a single value."""
    return float(values) if values.ndim == 0 else values
