"""Temperature scaling and accuracy by confidence (Guo et al. 2017, arXiv:1706.04599, section 4.2), without torch."""

from typing import Any

import numpy as np

from fer_lightning.statistics.metrics import LEAST_PROBABILITY, bins_of, ratio

TEMPERATURES = (0.05, 20.0)  # the range that is searched
THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9)  # of confidence, the largest probability of a row


def at_temperature(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Return softmax(logits / temperature), float64 (N, K), given softmax(logits) (N, K)."""
    relative = np.asarray(probabilities, np.float64) / probabilities.max(axis=1, keepdims=True)
    powers = relative ** (1 / temperature)
    return powers / powers.sum(axis=1, keepdims=True)


def fit_temperature(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Return the temperature in [0.05, 20] at which the cross-entropy is smallest; 1 without rows.

    probabilities (N, K), labels (N,) class indices. Cross-entropy is convex in 1 / temperature.
    """
    if not len(labels):
        return 1.0
    from scipy.optimize import minimize_scalar
    from scipy.special import logsumexp

    logits = np.log(np.maximum(np.asarray(probabilities, np.float64), LEAST_PROBABILITY))
    true = logits[np.arange(len(labels)), labels]

    def cross_entropy(inverse: float) -> float:
        return float(np.mean(logsumexp(inverse * logits, axis=1) - inverse * true))

    low, high = TEMPERATURES
    minimum = minimize_scalar(cross_entropy, bounds=(1 / high, 1 / low), method="bounded", options={"xatol": 1e-6})
    return float(1 / minimum.x)


def reliability(confidence: np.ndarray, right: np.ndarray, bins: int) -> np.ndarray:
    """Return rows, mean confidence and accuracy (bins, 3) by equal bins of confidence; NaN in a bin without rows.

    confidence, right  (N,), the largest probability of a row, and True if it is that of the label
    """
    index = bins_of(confidence, bins)
    rows = np.bincount(index, minlength=bins)
    sums = [np.bincount(index, weights=values, minlength=bins) for values in (confidence, right)]
    return np.column_stack([rows, *(ratio(total, rows) for total in sums)])


def accuracy_by_confidence(
    probabilities: np.ndarray, labels: np.ndarray, thresholds: tuple[float, ...] = THRESHOLDS
) -> list[dict[str, Any]]:
    """Return, per threshold, the share of rows at or above it (`coverage`) and their accuracy; None without rows."""
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    entries = []
    for threshold in thresholds:
        sure = confidence >= threshold
        accuracy = float(right[sure].mean()) if sure.any() else None
        entries.append({"threshold": threshold, "coverage": float(sure.mean()), "accuracy": accuracy})
    return entries
