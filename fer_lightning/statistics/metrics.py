"""Figures of a classifier from its confusion matrix and its probabilities, without torch.

A confusion matrix is (K, K): rows are true classes, columns predicted ones; every function also takes many at once,
(..., K, K), and then gives arrays (...). A figure of a class that is 0/0 is NaN, and the means leave it out: recall
without rows of that class, precision when it was never predicted, F1 when both. So the means equal scikit-learn's
`f1_score(average="macro")` and `balanced_accuracy_score`.
"""

from dataclasses import dataclass

import numpy as np

FIGURES = ("acc", "f1_macro", "recall_mean", "ece", "ce", "ferplus_acc")
CLASS_FIGURES = ("recall", "precision", "f1")
BINS = 15  # of confidence, in the calibration error
LEAST_PROBABILITY = float(np.finfo(np.float32).tiny)  # a probability of 0 counts as this, so that logarithms are finite


def confusion_matrix(labels: np.ndarray, predictions: np.ndarray, num_classes: int) -> np.ndarray:
    """Counts int64 (K, K) from class indices (N,) and (N,)."""
    cells = np.asarray(labels, np.int64) * num_classes + np.asarray(predictions, np.int64)
    return np.bincount(cells, minlength=num_classes**2).reshape(num_classes, num_classes)


def accuracy(matrix: np.ndarray) -> float | np.ndarray:
    """Share of rows on the diagonal, 0 to 1; NaN without rows."""
    return _plain(_ratio(np.trace(matrix, axis1=-2, axis2=-1), np.sum(matrix, axis=(-2, -1))))


def per_class(matrix: np.ndarray) -> dict[str, np.ndarray]:
    """Each (..., K): `recall` TP / (TP + FN), `precision` TP / (TP + FP), `f1` 2 TP / (2 TP + FP + FN)."""
    hits, true = np.diagonal(matrix, axis1=-2, axis2=-1), np.sum(matrix, axis=-1)
    predicted = np.sum(matrix, axis=-2)
    return {
        "recall": _ratio(hits, true),
        "precision": _ratio(hits, predicted),
        "f1": _ratio(2 * hits, true + predicted),
    }


def f1_macro(matrix: np.ndarray) -> float | np.ndarray:
    """Mean F1 of the classes that occur in the truth or the predictions."""
    return _mean(per_class(matrix)["f1"])


def recall_mean(matrix: np.ndarray) -> float | np.ndarray:
    """Mean recall of the classes that occur in the truth: balanced accuracy."""
    return _mean(per_class(matrix)["recall"])


def expected_calibration_error(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Mean distance of confidence from accuracy over 15 equal bins of confidence (Guo et al. 2017, eq. 3).

    probabilities (N, K), labels (N,) class indices. 0 is perfect; NaN without rows.
    """
    return RowOutcomes(labels, probabilities).tally().figures()["ece"]


class RowOutcomes:
    """What each of N rows adds to the figures, so that resamples of the rows can be scored many at a time.

    labels         int (N,), class indices
    probabilities  float (N, K); the largest is the prediction, the first of equal ones
    plurality      int (N,), the class that most FER+ votes name, -1 where none does; None without votes
    """

    def __init__(self, labels: np.ndarray, probabilities: np.ndarray, plurality: np.ndarray | None = None) -> None:
        labels, probabilities = np.asarray(labels, np.int64), np.asarray(probabilities, np.float64)
        self.num_classes = probabilities.shape[1]
        predicted = probabilities.argmax(axis=1)
        confidence = probabilities.max(axis=1)
        self.loss = -np.log(np.maximum(probabilities[np.arange(len(labels)), labels], LEAST_PROBABILITY))
        self.surplus = (predicted == labels) - confidence
        self.bin = np.clip(np.ceil(confidence * BINS).astype(np.int64) - 1, 0, BINS - 1)
        # One number for true class, predicted class and the votes' verdict: 0 none, 1 another class, 2 the prediction.
        verdict = np.zeros(len(labels), np.int64)
        if plurality is not None:
            verdict = np.where(np.asarray(plurality) < 0, 0, 1 + (predicted == plurality))
        self.cell = (labels * self.num_classes + predicted) * 3 + verdict

    def __len__(self) -> int:
        return len(self.cell)

    def tally(self, draws: np.ndarray | None = None) -> "Tally":
        """The sums over all rows, or those of resamples: draws int (R, M) are positions of rows."""
        single = draws is None
        draws = np.arange(len(self))[None] if single else draws
        cells = _count(self.cell[draws], 3 * self.num_classes**2)
        surplus = _count(self.bin[draws], BINS, weights=self.surplus[draws])
        cells = cells.reshape(-1, self.num_classes, self.num_classes, 3)
        tally = Tally(cells.sum(axis=-1), surplus, self.loss[draws].sum(axis=1), cells.sum(axis=(1, 2)))
        return tally[0] if single else tally


@dataclass(frozen=True)
class Tally:
    """Sums over rows from which every figure follows; one set of rows, or many along leading axes.

    confusion  (..., K, K) counts
    surplus    (..., BINS) hits less confidence, by bin of confidence
    loss       (...) negative logarithms of the true class's probability
    verdicts   (..., 3) rows whose FER+ plurality is no class, is another class than the predicted one, is that class
    """

    confusion: np.ndarray
    surplus: np.ndarray
    loss: np.ndarray
    verdicts: np.ndarray

    def __getitem__(self, place: int) -> "Tally":
        return Tally(self.confusion[place], self.surplus[place], self.loss[place], self.verdicts[place])

    def figures(self) -> dict[str, float | np.ndarray]:
        """Each (...), of a class (..., K): what `FIGURES` and `CLASS_FIGURES` name; NaN where there are no rows.

        `ce` is cross-entropy in nats; `ferplus_acc` the share of rows, of those whose FER+ plurality is a class,
        that are predicted so.
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
    """`np.bincount` of each line: int (R, M), all below `size`, to (R, size)."""
    places = values + np.arange(len(values))[:, None] * size
    flat = None if weights is None else weights.ravel()
    return np.bincount(places.ravel(), flat, minlength=len(values) * size).reshape(-1, size)


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """part / whole, NaN where whole is 0."""
    part, whole = np.asarray(part, np.float64), np.asarray(whole, np.float64)
    return np.divide(part, whole, out=np.full_like(whole, np.nan), where=whole > 0)


def _mean(values: np.ndarray) -> float | np.ndarray:
    """Mean over the last axis of what is not NaN; NaN where nothing is left."""
    known = ~np.isnan(values)
    return _plain(_ratio(np.where(known, values, 0).sum(axis=-1), known.sum(axis=-1)))


def _plain(values: np.ndarray) -> float | np.ndarray:
    """A Python float where there is one value."""
    return float(values) if values.ndim == 0 else values
