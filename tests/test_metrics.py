import subprocess
import sys
import warnings

import numpy as np
import pytest
from sklearn import metrics as reference

from fer_lightning import metrics


def draw(seed, true_classes, predicted_classes, rows=500):
    rng = np.random.default_rng(seed)
    return rng.choice(true_classes, rows), rng.choice(predicted_classes, rows)


CASES = {
    "every class": (range(7), range(7)),
    "class absent in the truth": ([0, 2, 3, 4, 5, 6], range(7)),
    "class never predicted": (range(7), [0, 1, 2, 4, 5, 6]),
    "class in neither": ([0, 2, 3], [0, 3, 4]),
    "one class": ([2], [2]),
}


@pytest.fixture(params=CASES.values(), ids=CASES)
def labels(request):
    return draw(0, *map(list, request.param))


@pytest.fixture(autouse=True)
def _silent():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", module="sklearn")
        yield


def test_against_scikit_learn(labels):
    truth, predicted = labels
    matrix = metrics.confusion_matrix(truth, predicted, 7)
    np.testing.assert_array_equal(matrix, reference.confusion_matrix(truth, predicted, labels=range(7)))
    assert metrics.accuracy(matrix) == pytest.approx(reference.accuracy_score(truth, predicted))
    assert metrics.f1_macro(matrix) == pytest.approx(reference.f1_score(truth, predicted, average="macro"))
    assert metrics.recall_mean(matrix) == pytest.approx(reference.balanced_accuracy_score(truth, predicted))
    precision, recall, f1, support = reference.precision_recall_fscore_support(
        truth, predicted, labels=range(7), zero_division=np.nan
    )
    scores = metrics.per_class(matrix)
    np.testing.assert_allclose(scores["precision"], precision)
    np.testing.assert_allclose(scores["recall"], recall)
    np.testing.assert_allclose(scores["f1"], f1)
    np.testing.assert_array_equal(matrix.sum(1), support)


def test_nothing_known_without_rows():
    empty = np.zeros((7, 7), int)
    for figure in (metrics.accuracy, metrics.f1_macro, metrics.recall_mean):
        assert np.isnan(figure(empty))
    assert np.isnan(metrics.expected_calibration_error(np.zeros((0, 7)), np.zeros(0, int)))
    assert metrics.confusion_matrix(np.zeros(0, int), np.zeros(0, int), 7).shape == (7, 7)


def test_calibration_error_by_hand():
    """Four rows at 0.8 of which two are right, six at 0.6 of which all are: 0.4 * 0.3 + 0.6 * 0.4."""
    probabilities = np.array([[0.8, 0.2]] * 4 + [[0.4, 0.6]] * 6)
    assert metrics.expected_calibration_error(probabilities, np.array([0, 0, 1, 1] + [1] * 6)) == pytest.approx(0.36)


def test_calibration_error_against_torchmetrics():
    import torch
    from torchmetrics.functional.classification import multiclass_calibration_error

    rng = np.random.default_rng(1)
    probabilities = rng.dirichlet(np.full(7, 0.3), 2000).astype(np.float32)
    truth = rng.integers(7, size=2000)
    expected = multiclass_calibration_error(torch.tensor(probabilities), torch.tensor(truth), 7, n_bins=15)
    assert metrics.expected_calibration_error(probabilities, truth) == pytest.approx(expected.item(), abs=1e-6)


def test_calibration_error_at_its_ends():
    certain = np.eye(7)
    assert metrics.expected_calibration_error(certain, np.arange(7)) == 0
    assert metrics.expected_calibration_error(certain, (np.arange(7) + 1) % 7) == 1


def test_metrics_load_no_torch():
    code = "import sys, fer_lightning.metrics; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_wilsons_interval_is_the_textbooks():
    assert metrics.wilson_interval(50, 100) == pytest.approx((0.40383, 0.59617), abs=1e-5)
    low, high = metrics.wilson_interval(0, 10)
    assert low == pytest.approx(0, abs=1e-9)
    assert high == pytest.approx(0.27753, abs=1e-5)
