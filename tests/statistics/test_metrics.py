import subprocess
import sys
import warnings

import numpy as np
import pytest
from sklearn import metrics as reference

from fer_lightning.statistics import metrics


def calibration_error(probabilities, labels) -> float:
    return metrics.RowOutcomes.of(labels, probabilities).metrics(["ece"])["ece"].item()


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
    for metric in (metrics.accuracy, metrics.f1_macro, metrics.recall_mean):
        assert np.isnan(metric(empty))
    assert np.isnan(calibration_error(np.zeros((0, 7)), np.zeros(0, int)))
    assert metrics.confusion_matrix(np.zeros(0, int), np.zeros(0, int), 7).shape == (7, 7)


def test_calibration_error_by_hand():
    """Four rows at 0.8 of which two are right, six at 0.6 of which all are: 0.4 * 0.3 + 0.6 * 0.4."""
    probabilities = np.array([[0.8, 0.2]] * 4 + [[0.4, 0.6]] * 6)
    assert calibration_error(probabilities, np.array([0, 0, 1, 1] + [1] * 6)) == pytest.approx(0.36)


def test_calibration_error_against_torchmetrics():
    import torch
    from torchmetrics.functional.classification import multiclass_calibration_error

    rng = np.random.default_rng(1)
    probabilities = rng.dirichlet(np.full(7, 0.3), 2000).astype(np.float32)
    truth = rng.integers(7, size=2000)
    expected = multiclass_calibration_error(torch.tensor(probabilities), torch.tensor(truth), 7, n_bins=15)
    assert calibration_error(probabilities, truth) == pytest.approx(expected.item(), abs=1e-6)


def test_calibration_error_at_its_ends():
    certain = np.eye(7)
    assert calibration_error(certain, np.arange(7)) == 0
    assert calibration_error(certain, (np.arange(7) + 1) % 7) == 1


def test_metrics_load_no_torch():
    code = "import sys, fer_lightning.statistics.metrics; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_many_matrices_at_once_are_scored_as_one_by_one():
    rng = np.random.default_rng(3)
    matrices = rng.integers(0, 4, (2, 5, 7, 7))
    matrices[0, 0, 2] = matrices[0, 0, :, 2] = matrices[1, 1] = 0
    for metric in (metrics.accuracy, metrics.f1_macro, metrics.recall_mean):
        one_by_one = [[metric(matrix) for matrix in line] for line in matrices]
        np.testing.assert_array_equal(metric(matrices), one_by_one)
        assert type(metric(matrices[0, 0])) is float
    recall = metrics.per_class(matrices)["recall"]
    np.testing.assert_array_equal(recall[1, 4], metrics.per_class(matrices[1, 4])["recall"])


def test_figures_by_hand():
    """Four rows, two classes: right, right, wrong, right; votes for 0, for nothing, for the predicted class, for 0."""
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.3, 0.7]])
    outcomes = metrics.RowOutcomes.of([0, 1, 1, 1], probabilities, plurality=[0, -1, 0, 0])
    found = {name: values[0] for name, values in outcomes.metrics().items()}
    assert found["acc"] == 0.75
    assert found["recall_mean"] == pytest.approx((1 + 2 / 3) / 2)
    assert found["f1_macro"] == pytest.approx((2 / 3 + 4 / 5) / 2)
    assert found["ce"] == pytest.approx(-np.log([0.9, 0.8, 0.4, 0.7]).mean())
    # Each row has a bin of its own: |1 - .9|, |1 - .8|, |0 - .6|, |1 - .7|.
    assert found["ece"] == pytest.approx((0.1 + 0.2 + 0.6 + 0.3) / 4)
    assert found["ferplus_acc"] == pytest.approx(2 / 3)
    np.testing.assert_allclose(found["precision"], [0.5, 1])


def test_cross_entropy_against_scikit_learn():
    rng = np.random.default_rng(2)
    probabilities, truth = rng.dirichlet(np.ones(7), 300), rng.integers(7, size=300)
    found = metrics.RowOutcomes.of(truth, probabilities).metrics()
    assert found["ce"].item() == pytest.approx(reference.log_loss(truth, probabilities, labels=range(7)))
    assert np.isnan(found["ferplus_acc"])


def test_a_probability_of_zero_does_not_make_the_mean_infinite():
    found = metrics.RowOutcomes.of([1, 0], np.array([[1.0, 0.0], [1.0, 0.0]])).metrics()
    assert found["ce"].item() == pytest.approx(87.3 / 2, abs=0.1)


def test_weighted_figures_are_those_of_the_repeated_rows():
    rng = np.random.default_rng(4)
    probabilities, truth, votes = rng.dirichlet(np.ones(5), 40), rng.integers(5, size=40), rng.integers(-1, 5, size=40)
    draws = rng.integers(40, size=(6, 40))
    weights = np.array([np.bincount(rows, minlength=40) for rows in draws])
    many = metrics.RowOutcomes.of(truth, probabilities, plurality=votes).metrics(weights=weights)
    for place, rows in enumerate(draws):
        one = metrics.RowOutcomes.of(truth[rows], probabilities[rows], plurality=votes[rows]).metrics()
        for name, value in one.items():
            np.testing.assert_allclose(many[name][place], value, err_msg=name)


def test_figures_agree_with_those_of_the_confusion_matrix():
    rng = np.random.default_rng(5)
    truth, several = rng.integers(7, size=200), [rng.dirichlet(np.ones(7), 200) for _ in range(3)]
    found = metrics.RowOutcomes.of(truth, *several).metrics()
    for place, probabilities in enumerate(several):
        matrix = metrics.confusion_matrix(truth, probabilities.argmax(axis=1), 7)
        expected = {
            "acc": metrics.accuracy(matrix),
            "f1_macro": metrics.f1_macro(matrix),
            "recall_mean": metrics.recall_mean(matrix),
            **metrics.per_class(matrix),
        }
        for name, value in expected.items():
            np.testing.assert_array_equal(found[name][place], value, err_msg=name)
