"""Temperature scaling against scikit-learn and by hand."""

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression

from fer_lightning.statistics.calibration import TEMPERATURES, accuracy_by_confidence, at_temperature, fit_temperature
from fer_lightning.statistics.metrics import RowOutcomes


def logits(rows: int, classes: int, seed: int = 0) -> np.ndarray:
    return 3 * np.random.default_rng(seed).standard_normal((rows, classes))


def drawn_labels(probabilities: np.ndarray, seed: int = 1) -> np.ndarray:
    random = np.random.default_rng(seed).random((len(probabilities), 1))
    return (probabilities.cumsum(axis=1) < random).sum(axis=1).clip(max=probabilities.shape[1] - 1)


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.5])
def test_probabilities_are_those_of_the_divided_logits(temperature):
    values = logits(50, 7)
    found = at_temperature(softmax(values, axis=1), temperature)
    np.testing.assert_allclose(found, softmax(values / temperature, axis=1), rtol=1e-9)


def test_a_probability_of_zero_stays_zero():
    np.testing.assert_allclose(at_temperature(np.array([[1, 0, 0]], np.float32), 2.0), [[1, 0, 0]])


def test_two_classes_are_logistic_regression_without_intercept():
    values = logits(3000, 2)
    labels = drawn_labels(softmax(values / 1.7, axis=1))
    slope = LogisticRegression(C=np.inf, fit_intercept=False, tol=1e-8).fit(values[:, 1:] - values[:, :1], labels).coef_
    assert fit_temperature(softmax(values, axis=1), labels) == pytest.approx(1 / slope.item(), rel=1e-4)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_temperature_behind_the_labels_is_found(temperature):
    values = logits(20_000, 7)
    labels = drawn_labels(softmax(values / temperature, axis=1))
    assert fit_temperature(softmax(values, axis=1).astype(np.float32), labels) == pytest.approx(temperature, rel=0.05)


def test_labels_stay_and_both_errors_fall():
    probabilities = softmax(logits(5000, 7), axis=1)
    labels = drawn_labels(at_temperature(probabilities, 2.0))
    better = at_temperature(probabilities, fit_temperature(probabilities, labels))
    np.testing.assert_array_equal(better.argmax(axis=1), probabilities.argmax(axis=1))
    metrics = RowOutcomes.of(labels, probabilities, better).metrics()
    (before, after), (first, second) = metrics["ce"], metrics["ece"]
    assert after < before - 0.05
    assert second < first / 4


def test_the_range_bounds_what_has_no_best_temperature():
    right = np.eye(3)[np.arange(30) % 3] * 0.4 + 0.2
    low, high = TEMPERATURES
    assert fit_temperature(right, np.arange(30) % 3) == pytest.approx(low, rel=1e-3)
    assert fit_temperature(right, (np.arange(30) + 1) % 3) == pytest.approx(high, rel=1e-2)


def test_without_rows_the_temperature_is_one():
    assert fit_temperature(np.zeros((0, 7)), np.zeros(0, np.int64)) == 1


def test_accuracy_by_confidence_by_hand():
    probabilities = np.array([[0.95, 0.05], [0.3, 0.7], [0.55, 0.45], [0.4, 0.6]])
    assert accuracy_by_confidence(probabilities, np.array([0, 0, 0, 1]), (0.5, 0.7, 0.99)) == [
        {"threshold": 0.5, "coverage": 1.0, "accuracy": 0.75},
        {"threshold": 0.7, "coverage": 0.5, "accuracy": 0.5},
        {"threshold": 0.99, "coverage": 0.0, "accuracy": None},
    ]
