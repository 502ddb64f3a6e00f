"""Statistics of an ablation: by hand, against SciPy and scikit-learn, and by how often they err."""

import math

import numpy as np
import pytest
from scipy import stats

from fer_lightning.statistics.metrics import RowOutcomes
from fer_lightning.statistics.resampling import mean_over_seeds, resampled
from fer_lightning.statistics.significance import (
    Difference,
    corrected,
    difference_of_means,
    differences,
    holm,
    margin,
    only_one_right,
    two_sided_p,
    wilson,
)

CLASSES = 3


def networks(random, rows: int, seeds: int, arms: int = 2, own: float = 0.8, seed_scatter: float = 0.0):
    """Labels (N,) and answers (arms * seeds, N) of equally good networks; hard rows are hard for all of them."""
    labels, ease = random.integers(CLASSES, size=rows), random.normal(1.2, 1.8, rows)
    scatter = random.normal(0, own, (arms * seeds, rows)) + random.normal(0, seed_scatter, (arms * seeds, 1))
    right = random.random(scatter.shape) < 1 / (1 + np.exp(-ease - scatter))
    return labels, np.where(right, labels, (labels + 1) % CLASSES)


def resampled_accuracy(labels, predicted, **how) -> np.ndarray:
    """Resampled accuracies (R, M) of predicted classes (M, N)."""
    unknown = np.zeros(predicted.shape)
    return resampled(RowOutcomes(labels, predicted, unknown, unknown, CLASSES), ["acc"], **how)["acc"]


def test_the_bootstrap_has_the_variance_of_a_mean():
    """Over rows that of a mean of paired differences, whatever the seeds."""
    labels, predicted = networks(np.random.default_rng(2), 500, 3)
    samples = resampled_accuracy(labels, predicted, resamples=4000)
    means = mean_over_seeds(samples, [[0, 1, 2], [3, 4, 5]], [(0, 1, 2)] * 2)
    right = predicted == labels
    each = right[3:].mean(axis=0) - right[:3].mean(axis=0)
    assert (means[:, 1] - means[:, 0]).std() == pytest.approx(each.std() / math.sqrt(500), rel=0.05)


BEFORE, AFTER = np.array([0.60, 0.62, 0.65, 0.61, 0.69]), np.array([0.64, 0.69, 0.66, 0.66, 0.75])


def compared(seeds) -> Difference:
    """Return the difference of two arms of five networks with these seeds, whose resamples of rows are all equal."""
    samples = np.tile(np.concatenate([BEFORE, AFTER]), (100_000, 1))
    means = mean_over_seeds(samples, [range(5), range(5, 10)], seeds)
    (found,) = differences(np.array([AFTER.mean() - BEFORE.mean()]), means[:, 1:] - means[:, :1])
    return found


def test_if_only_seeds_vary_interval_and_p_are_those_of_the_t_test():
    found, expected = compared([range(5)] * 2), stats.ttest_rel(AFTER, BEFORE)
    ends = expected.confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((ends.low, ends.high), abs=0.03 * (ends.high - ends.low))
    assert found.p == pytest.approx(expected.pvalue, rel=0.12)


def test_the_spreads_of_arms_with_other_seeds_add_up():
    """The difference is that of two independent t variables (Behrens and Fisher)."""
    found = compared([range(5), range(5, 10)])
    errors = [values.std(ddof=1) / math.sqrt(5) for values in (BEFORE, AFTER)]
    drawn = stats.t(4).rvs((400_000, 2), random_state=1) @ errors + AFTER.mean() - BEFORE.mean()
    low, high = np.quantile(drawn, [0.025, 0.975])
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.03 * (high - low))
    assert found.p == pytest.approx(2 * (drawn < 0).mean(), rel=0.05)


def test_arms_with_the_same_seeds_are_paired_by_seed():
    scatter = np.array([0.0, 0.05, -0.05, 0.1, -0.1])
    samples = np.tile(np.concatenate([0.6 + scatter, 0.62 + scatter]), (500, 1))
    places = [range(5), range(5, 10)]
    paired = mean_over_seeds(samples, places, [range(5)] * 2)
    np.testing.assert_allclose(paired[:, 1] - paired[:, 0], 0.02, atol=1e-6)
    other = mean_over_seeds(samples, places, [range(5), range(5, 10)])
    assert (other[:, 1] - other[:, 0]).std() > 0.03


def test_fewer_than_five_seeds_add_no_spread():
    samples = np.tile(np.array([0.5, 0.6, 0.7, 0.8]), (50, 1))
    np.testing.assert_allclose(mean_over_seeds(samples, [range(4)], [range(4)]), 0.65, atol=1e-6)


def test_p_by_hand():
    assert two_sided_p(np.array([1.0] * 98 + [-1.0])) == pytest.approx(2 * 2 / 100)
    assert two_sided_p(np.array([-1.0] * 99)) == pytest.approx(2 * 1 / 100)
    assert two_sided_p(np.array([0.0] * 99)) == 1  # 0 counts on both sides
    assert two_sided_p(np.array([1e-8, -1e-8] * 50)) == 1  # and so does what rounding makes of it


def test_p_is_below_5_percent_where_the_interval_leaves_out_0():
    random = np.random.default_rng(3)
    for shift in (0.5, 1.0, 1.9, 2.02, 2.5):
        samples = random.normal(shift, 1, 9999)
        ((low, high, p),) = [(d.low, d.high, d.p) for d in differences(np.array([shift]), samples[:, None])]
        assert (p < 0.05) == (low > 0 or high < 0)


def test_holm_by_hand():
    """0.01 * 4, 0.02 * 3, then never below the one before: 0.03 * 2 = 0.06, 0.04 * 1 raised to 0.06."""
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([0.03]) == [0.03]
    assert holm([]) == []


def test_holm_rejects_as_defined():
    """Holm 1979: go through the sorted p until one exceeds alpha / (m - rank)."""
    random = np.random.default_rng(4)
    for _ in range(200):
        p = random.random(6) ** 4
        rejected = set()
        for rank, place in enumerate(np.argsort(p)):
            if p[place] >= 0.05 / (6 - rank):
                break
            rejected.add(place)
        assert {place for place, one in enumerate(holm(p)) if one < 0.05} == rejected


def test_what_is_no_comparison_takes_no_part_in_the_correction():
    first, second = corrected([Difference(0, 0, 0, math.nan), Difference(0.1, 0, 0.2, 0.04)])
    assert math.isnan(first.corrected)
    assert not first.shown
    assert second.corrected == 0.04
    assert second.shown


def test_means_of_seeds_are_compared_by_students_t():
    before, after = {0: 0.30, 1: 0.34, 2: 0.32}, {2: 0.25, 0: 0.21, 1: 0.27}
    found = difference_of_means(before, after)
    expected = stats.ttest_rel([0.21, 0.27, 0.25], [0.30, 0.34, 0.32])
    assert found.value == pytest.approx(-0.0766667, abs=1e-6)
    assert found.p == pytest.approx(expected.pvalue)
    assert (found.low, found.high) == pytest.approx(tuple(expected.confidence_interval(0.95)))
    welch = difference_of_means(before, {3: 0.21, 4: 0.27})
    assert welch.p == pytest.approx(stats.ttest_ind([0.21, 0.27], [0.30, 0.34, 0.32], equal_var=False).pvalue)


def test_wilsons_interval_by_hand_and_against_scipy():
    """Wilson 1927: the shares whose distance from the observed one is 1.96 standard errors of the share itself."""
    for hits, rows in ((0, 3), (1, 1), (70, 100), (879, 879)):
        for end in wilson(hits, rows):
            error = math.sqrt(end * (1 - end) / rows)
            assert abs(hits / rows - end) == pytest.approx(stats.norm.ppf(0.975) * error, abs=1e-12)
        interval = stats.binomtest(hits, rows).proportion_ci(0.95, method="wilson")
        assert wilson(hits, rows) == pytest.approx((interval.low, interval.high), abs=1e-12)
    assert wilson(0, 0) == (0, 1)
    assert margin(0.73, 3140) == pytest.approx(1.959964 * math.sqrt(0.73 * 0.27 / 3140))


def test_rows_on_which_one_network_is_right_by_hand():
    assert only_one_right(np.array([0, 1, 2, 0]), np.array([0, 1, 0, 1]), np.array([0, 0, 2, 0])) == (1, 2)


@pytest.mark.parametrize("after", [{0: 0.2}, {0: 0.4, 1: 0.5}], ids=["one seed", "no scatter"])
def test_without_scatter_there_is_a_difference_and_no_interval(after):
    found = difference_of_means({0: 0.3, 1: 0.4}, after)
    assert math.isnan(found.p)
    assert math.isnan(found.low)
    assert not found.shown


@pytest.mark.parametrize(
    ("seeds", "seed_scatter", "rows"),
    [(1, 0.0, 200), (3, 0.0, 200), (5, 0.15, 200), (5, 0.6, 1000)],
    ids=["one seed", "three seeds", "five seeds", "five seeds of large scatter"],
)
def test_equal_arms_are_told_apart_in_about_one_of_twenty_cases_at_most(seeds, seed_scatter, rows):
    """Simulated under the null: rows shared by all networks, each network with its own scatter."""
    random, cases, errors = np.random.default_rng(7), 250, 0
    for case in range(cases):
        labels, predicted = networks(random, rows, seeds, seed_scatter=seed_scatter)
        samples = resampled_accuracy(labels, predicted, resamples=250, seed=case)
        means = mean_over_seeds(samples, [range(seeds), range(seeds, 2 * seeds)], [range(seeds)] * 2, seed=case)
        errors += two_sided_p(means[:, 1] - means[:, 0]) < 0.05
    assert errors / cases < 0.085  # 0.05 and 2.5 standard errors


def test_a_family_of_equal_arms_errs_in_about_one_of_twenty_cases_at_most():
    random, cases, errors = np.random.default_rng(8), 200, 0
    for case in range(cases):
        labels, predicted = networks(random, 150, 1, arms=6)
        samples = resampled_accuracy(labels, predicted, resamples=600, seed=case)
        values = (predicted == labels).mean(axis=1)
        family = differences(values[1:] - values[0], samples[:, 1:] - samples[:, :1])
        errors += any(one.shown for one in family)
    assert errors / cases < 0.09


def test_a_real_difference_is_shown_with_three_seeds():
    random = np.random.default_rng(9)
    labels, predicted = networks(random, 1500, 3)
    mended = random.random(predicted[3:].shape) < 0.15
    predicted[3:][mended] = np.broadcast_to(labels, predicted[3:].shape)[mended]
    samples = resampled_accuracy(labels, predicted, resamples=2000)
    means = mean_over_seeds(samples, [range(3), range(3, 6)], [range(3)] * 2)
    right = (predicted == labels).mean(axis=1)
    (found,) = differences(np.array([right[3:].mean() - right[:3].mean()]), means[:, 1:] - means[:, :1])
    assert found.shown
    assert 0 < found.low < found.value < found.high
