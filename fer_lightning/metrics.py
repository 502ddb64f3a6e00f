"""Figures of a classifier from its confusion matrix and its probabilities, without torch.

A confusion matrix is (K, K): rows are true classes, columns predicted ones. A figure of a class that is
0/0 is NaN, and the means leave it out: recall without rows of that class, precision when it was never
predicted, F1 when both. So the means equal scikit-learn's `f1_score(average="macro")` and
`balanced_accuracy_score`.
"""

import numpy as np


def confusion_matrix(labels: np.ndarray, predictions: np.ndarray, num_classes: int) -> np.ndarray:
    """Counts int64 (K, K) from class indices (N,) and (N,)."""
    cells = np.asarray(labels, np.int64) * num_classes + np.asarray(predictions, np.int64)
    return np.bincount(cells, minlength=num_classes**2).reshape(num_classes, num_classes)


def accuracy(matrix: np.ndarray) -> float:
    """Share of rows on the diagonal, 0 to 1; NaN without rows."""
    return float(_ratio(np.trace(matrix), np.sum(matrix)))


def per_class(matrix: np.ndarray) -> dict[str, np.ndarray]:
    """Each (K,): `recall` TP / (TP + FN), `precision` TP / (TP + FP), `f1` 2 TP / (2 TP + FP + FN)."""
    hits, true, predicted = np.diag(matrix), np.sum(matrix, axis=1), np.sum(matrix, axis=0)
    return {
        "recall": _ratio(hits, true),
        "precision": _ratio(hits, predicted),
        "f1": _ratio(2 * hits, true + predicted),
    }


def f1_macro(matrix: np.ndarray) -> float:
    """Mean F1 of the classes that occur in the truth or the predictions."""
    return _mean(per_class(matrix)["f1"])


def recall_mean(matrix: np.ndarray) -> float:
    """Mean recall of the classes that occur in the truth: balanced accuracy."""
    return _mean(per_class(matrix)["recall"])


def expected_calibration_error(probabilities: np.ndarray, labels: np.ndarray, bins: int = 15) -> float:
    """Mean distance of confidence from accuracy over equal bins of confidence (Guo et al. 2017, eq. 3).

    probabilities (N, K), labels (N,) class indices. 0 is perfect; NaN without rows.
    """
    probabilities, labels = np.asarray(probabilities, np.float64), np.asarray(labels)
    if len(labels) == 0:
        return float("nan")
    confidence = probabilities.max(axis=1)
    hit = probabilities.argmax(axis=1) == labels
    which = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    return float(np.abs(np.bincount(which, hit - confidence, bins)).sum() / len(labels))


def wilson_interval(hits: int, rows: int) -> tuple[float, float]:
    """95 % interval of a share (Wilson 1927, doi:10.1080/01621459.1927.10502953); NaN without rows."""
    if rows == 0:
        return float("nan"), float("nan")
    z, share = 1.959964, hits / rows
    centre = (share + z**2 / (2 * rows)) / (1 + z**2 / rows)
    half = z / (1 + z**2 / rows) * np.sqrt(share * (1 - share) / rows + z**2 / (4 * rows**2))
    return float(centre - half), float(centre + half)


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """part / whole, NaN where whole is 0."""
    part, whole = np.asarray(part, np.float64), np.asarray(whole, np.float64)
    return np.divide(part, whole, out=np.full_like(whole, np.nan), where=whole > 0)


def _mean(values: np.ndarray) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")
