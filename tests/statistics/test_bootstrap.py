"""Intervals: against SciPy's bootstrap, by coverage, and with the same resamples for all compared runs."""

import numpy as np
import pytest
from scipy import stats

from fer_lightning.statistics.metrics import RowOutcomes, accuracy, confusion_matrix, f1_macro, recall_mean
from fer_lightning.statistics.resampling import interval, resampled, resampled_counts, row_weights

CLASSES = 4


def network(seed: int, rows: int, right: float = 0.65) -> tuple[np.ndarray, np.ndarray]:
    """Labels with a rare class, and probabilities whose largest is the label's in a share `right` of the rows."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(CLASSES, rows, p=[0.5, 0.3, 0.15, 0.05])
    shown = np.where(rng.random(rows) < right, labels, rng.integers(CLASSES, size=rows))
    probabilities = rng.dirichlet(np.ones(CLASSES), rows) + 1.5 * np.eye(CLASSES)[shown]
    return labels, probabilities / probabilities.sum(axis=1, keepdims=True)


def outcomes(seed: int, rows: int, right: float = 0.65) -> RowOutcomes:
    return RowOutcomes.of(*network(seed, rows, right))


@pytest.mark.parametrize("metric", [accuracy, f1_macro, recall_mean])
def test_interval_is_scipys_within_its_own_scatter(metric):
    labels, probabilities = network(0, 600)
    predicted = probabilities.argmax(axis=1)

    def statistic(rows):
        return metric(confusion_matrix(labels[rows], predicted[rows], CLASSES))

    expected = stats.bootstrap(
        (np.arange(600),), statistic, n_resamples=2000, method="percentile", vectorized=False, rng=1
    ).confidence_interval
    name = {accuracy: "acc", f1_macro: "f1_macro", recall_mean: "recall_mean"}[metric]
    samples = resampled(RowOutcomes.of(labels, probabilities), [name])
    low, high = interval(samples[name][:, 0])
    scatter = (expected.high - expected.low) / 12  # some four standard errors of a difference of ends
    assert low == pytest.approx(expected.low, abs=scatter)
    assert high == pytest.approx(expected.high, abs=scatter)


def test_a_share_has_the_normal_interval_when_rows_are_many():
    samples = resampled(outcomes(1, 3589), ["acc"])
    share = outcomes(1, 3589).metrics()["acc"].item()
    half = 1.96 * np.sqrt(share * (1 - share) / 3589)
    assert interval(samples["acc"][:, 0]) == pytest.approx((share - half, share + half), abs=half / 10)


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    covered = {"acc": 0, "f1_macro": 0, "recall_mean": 0, "ce": 0}
    truth = outcomes(99, 400_000).metrics(list(covered))
    runs = 150
    for seed in range(runs):
        samples = resampled(outcomes(seed, 300), list(covered), resamples=200)
        for name in covered:
            low, high = interval(samples[name][:, 0])
            covered[name] += low <= truth[name].item() <= high
    for name, count in covered.items():
        assert 0.88 <= count / runs <= 0.99, name


def test_a_seed_gives_the_same_resamples_and_another_seed_others():
    first, again, other = (resampled(outcomes(2, 50), resamples=9, seed=seed)["acc"] for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_how_many_are_drawn_at_once_changes_nothing(monkeypatch):
    whole = resampled(outcomes(2, 50), resamples=9)
    monkeypatch.setattr("fer_lightning.statistics.resampling.POSITIONS", 120)
    pieces = resampled(outcomes(2, 50), resamples=9)
    for name, values in whole.items():
        np.testing.assert_allclose(values, pieces[name], rtol=1e-12)


def test_two_networks_see_the_same_resamples():
    labels, probabilities = network(3, 80)
    first, second = resampled(RowOutcomes.of(labels, probabilities, probabilities))["acc"].T
    np.testing.assert_array_equal(first, second)


def test_a_class_that_a_resample_lacks_is_left_out():
    labels = np.array([0] * 20 + [1])
    probabilities = np.tile([0.9, 0.1], (21, 1))
    samples = resampled(RowOutcomes.of(labels, probabilities))
    without = np.isnan(samples["recall"][:, 0, 1])
    assert 0.25 < without.mean() < 0.5  # (20/21)**21 is 0.36
    assert (samples["recall_mean"][without] == 1).all()
    assert interval(samples["recall"][:, 0, 1]) == (0, 0)
    assert np.isnan(interval(samples["precision"][:, 0, 1])).all()


def test_without_rows_nothing_is_known():
    samples = resampled(RowOutcomes.of(np.zeros(0, int), np.zeros((0, 3))), resamples=5)
    assert np.isnan(interval(samples["acc"][:, 0])).all()


def test_other_metrics_or_more_resamples_do_not_change_the_first_ones():
    few, many = resampled(outcomes(2, 50), ["f1_macro"], 5), resampled(outcomes(2, 50), resamples=9)
    np.testing.assert_array_equal(few["f1_macro"], many["f1_macro"][:5])


def test_counted_rows_are_resampled_like_single_ones():
    """A share of 30 of 100 rows has the same spread, counted in two cells or as 100 rows."""
    together = resampled_counts(np.array([30, 70]), seed=0)[:, 0]
    apart = resampled_counts(np.ones(100, int), seed=1)[:, :30].sum(axis=1)
    for counts in (together, apart):
        assert counts.mean() == pytest.approx(30, abs=0.5)
        assert counts.std() == pytest.approx(np.sqrt(100 * 0.3 * 0.7), rel=0.08)


def test_a_resample_has_as_many_rows_as_the_data():
    weights = np.concatenate(list(row_weights(60, 20, seed=0)))
    assert weights.shape == (20, 60)
    assert (weights.sum(axis=1) == 60).all()
    assert (weights == weights.astype(int)).all()
