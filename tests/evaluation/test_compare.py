"""Paired comparisons: counts by hand, SciPy's exact test, symmetry, verdicts that claim no more than is shown."""

import dataclasses
import math

import numpy as np
import pytest
from conftest import shown
from scipy import stats

from fer_lightning.errors import UserError
from fer_lightning.evaluation.paired import compare, difference_table
from fer_lightning.evaluation.predictions import Predictions
from fer_lightning.statistics.significance import mcnemar, smallest_shown

CLASSES = ("angry", "happy", "sad")
FAST = {"resamples": 400}


def run(right: np.ndarray, labels: np.ndarray | None = None, clean: np.ndarray | None = None) -> Predictions:
    """Predictions that are right on the given rows, and otherwise the next class."""
    labels = np.arange(len(right)) % 3 if labels is None else labels
    predicted = np.where(right, labels, (labels + 1) % 3)
    everywhere = np.ones(len(right), bool)
    return Predictions(
        rows=np.arange(len(right)),
        images=np.array([f"{row:064x}" for row in range(len(right))]),
        labels=labels,
        probabilities=(0.2 + 0.4 * np.eye(3)[predicted]).astype(np.float32),
        unseen=everywhere,
        clean=everywhere if clean is None else clean,
        plurality=None,
        classes=CLASSES,
    )


def pair(rows: int, only_a: int, only_b: int, share: float = 0.6) -> tuple[Predictions, Predictions]:
    """Two runs: only A is right on the first rows, only B on the next, and both on a share of the others."""
    place = np.arange(rows)
    both = place >= rows - share * (rows - only_a - only_b)
    return run(both | (place < only_a)), run(both | ((place >= only_a) & (place < only_a + only_b)))


def test_counts_by_hand():
    a, b = run(np.array([1, 1, 1, 0, 0, 1], bool)), run(np.array([1, 0, 1, 1, 1, 1], bool))
    entry = compare(a, b, **FAST)["all"]
    assert (entry["rows"], entry["only_a_right"], entry["only_b_right"]) == (6, 1, 2)
    assert entry["acc"]["a"] == pytest.approx(4 / 6)
    assert entry["acc"]["difference"] == pytest.approx(1 / 6)
    assert entry["mcnemar_p"] == 1
    assert entry["smallest_shown"] is None
    assert "differ on too few rows" in entry["verdict"]


@pytest.mark.parametrize(("only_a", "only_b"), [(0, 0), (0, 1), (3, 3), (0, 6), (10, 25), (96, 130), (400, 520)])
def test_p_is_scipys(only_a, only_b):
    expected = stats.binomtest(only_a, only_a + only_b).pvalue if only_a + only_b else 1
    assert mcnemar(only_a, only_b) == pytest.approx(expected)
    assert mcnemar(only_b, only_a) == mcnemar(only_a, only_b)


def test_p_does_not_underflow_where_it_matters():
    assert 0 < mcnemar(10, 300) < 1e-60
    assert mcnemar(5000, 5100) == pytest.approx(stats.binomtest(5000, 10100).pvalue)


@pytest.mark.parametrize("discordant", [6, 7, 40, 359, 718])
def test_the_smallest_difference_is_just_significant(discordant):
    difference = smallest_shown(discordant, 3589)
    gap = round(difference * 3589)
    assert mcnemar((discordant - gap) // 2, (discordant + gap) // 2) < 0.05
    assert mcnemar((discordant - gap) // 2 + 1, (discordant + gap) // 2 - 1) >= 0.05
    assert smallest_shown(5, 3589) is None


def test_the_smallest_differences_are_those_of_the_rule_of_thumb():
    """McNemar (1947): 1.96 standard errors; 1.0, 1.3 and 1.5 points of 3,589 rows at 10, 15 and 20 % discordance."""
    for share in (0.10, 0.15, 0.20):
        assert smallest_shown(round(share * 3589), 3589) == pytest.approx(1.96 * math.sqrt(share / 3589), abs=0.001)


def test_a_clear_difference_is_told_with_its_interval():
    a, b = pair(2000, 40, 120)
    entry = compare(a, b, **FAST)["all"]
    assert entry["better"] == "B"
    low, high = (100 * entry["acc"][end] for end in ("low", "high"))
    assert entry["verdict"].startswith(f"B is better by 4.00 points [{low:.2f}, {high:.2f}] on the 2,000 rows")
    half = 196 * math.sqrt((160 / 2000 - 0.04**2) / 2000)
    assert (low, high) == pytest.approx((4 - half, 4 + half), abs=0.3)


def test_no_difference_is_told_with_what_could_have_been_seen():
    entry = compare(*pair(2000, 100, 110), **FAST)["all"]
    assert entry["better"] is None
    assert entry["verdict"].startswith("no difference shown on the 2,000 rows: B − A is 0.50 points [−")
    assert f"is about {100 * entry['smallest_shown']:.1f} points" in entry["verdict"]


def test_each_figure_has_its_own_verdict():
    """B is as often right as A, and far surer."""
    a, _ = pair(2000, 0, 0)
    sure = np.where(a.probabilities == a.probabilities.max(axis=1, keepdims=True), 0.98, 0.01).astype(np.float32)
    entry = compare(a, dataclasses.replace(a, probabilities=sure), **FAST)["all"]
    assert entry["ece"]["difference"] == pytest.approx(np.abs(0.98 - 0.6) - np.abs(0.6 - 0.6), abs=0.02)
    assert {name: entry[name]["b_is"] for name in ("acc", "f1_macro", "recall_mean", "ece")} == {
        "acc": "no difference shown",
        "f1_macro": "no difference shown",
        "recall_mean": "no difference shown",
        "ece": "higher",
    }
    better = compare(*pair(2000, 40, 120), **FAST)["all"]
    assert better["acc"]["b_is"] == better["f1_macro"]["b_is"] == "higher"
    worse = compare(*pair(2000, 120, 40), **FAST)["all"]
    assert worse["acc"]["b_is"] == "lower"


def test_accuracy_is_undecided_if_either_test_is():
    """An interval that just excludes 0 does not decide without the exact test."""
    entry = compare(*pair(60, 0, 5), **FAST)["all"]
    assert entry["acc"]["low"] > 0
    assert entry["mcnemar_p"] > 0.05
    assert entry["acc"]["b_is"] == "no difference shown"


def test_the_interval_is_paired():
    """Two runs that mostly fail on the same rows differ by less than the intervals of each would allow."""
    metric = compare(*pair(2000, 5, 15), **FAST)["all"]["acc"]
    alone = 2 * 1.96 * math.sqrt(metric["a"] * (1 - metric["a"]) / 2000)
    assert metric["high"] - metric["low"] < alone / 4


def test_the_order_of_the_runs_changes_signs_alone():
    rng = np.random.default_rng(5)
    labels, clean = rng.integers(3, size=300), rng.random(300) < 0.8
    a, b = (run(rng.random(300) < share, labels, clean) for share in (0.45, 0.75))
    forth, back = compare(a, b, **FAST), compare(b, a, **FAST)
    for name, entry in forth.items():
        other = back[name]
        assert entry["rows"] == other["rows"]
        assert entry["mcnemar_p"] == other["mcnemar_p"]
        assert entry["only_a_right"] == other["only_b_right"]
        assert entry["better"] == {"A": "B", "B": "A"}.get(other["better"])
        for metric in ("acc", "f1_macro", "recall_mean"):
            assert entry[metric]["difference"] == pytest.approx(-other[metric]["difference"])
            assert entry[metric]["low"] == pytest.approx(-other[metric]["high"])
    said = forth["all"]["verdict"]
    assert said.startswith("B is better by ")
    by = said.split()[4]
    assert back["all"]["verdict"].startswith(f"A is better by {by} points [")


def test_clean_rows_are_clean_for_both():
    right = np.ones(40, bool)
    first, second = np.arange(40) < 30, np.arange(40) >= 10
    sets = compare(run(right, clean=first), run(~right, clean=second), **FAST)
    assert (sets["all"]["rows"], sets["clean"]["rows"]) == (40, 20)


def test_without_clean_rows_nothing_is_claimed():
    none = np.zeros(40, bool)
    entry = compare(run(~none, clean=none), run(none, clean=none), **FAST)["clean"]
    assert entry["better"] is None
    assert entry["verdict"] == "the runs have no clean rows to compare."


def test_a_run_equals_itself():
    one, _ = pair(100, 10, 10)
    entry = compare(one, one, **FAST)["all"]
    assert entry["acc"]["difference"] == entry["acc"]["low"] == entry["acc"]["high"] == 0
    assert entry["verdict"].startswith("no difference shown")


OTHERS = {
    "fewer rows": (lambda a: run(np.ones(30, bool)), "A was tested on 40 rows and B on 30, with 30 images in common"),
    "other images": (
        lambda a: dataclasses.replace(a, images=np.array([f"{row:063x}f" for row in range(40)])),
        "A paired test needs the same rows",
    ),
    "other labels": (
        lambda a: dataclasses.replace(a, labels=(a.labels + (a.rows < 2)) % 3),
        "different labels on 2 of 40",
    ),
    "other classes": (lambda a: dataclasses.replace(a, classes=("a", "b", "c")), "angry, happy, sad"),
}


@pytest.mark.parametrize(("other", "words"), OTHERS.values(), ids=OTHERS)
def test_other_data_is_refused(other, words):
    a = run(np.ones(40, bool))
    with pytest.raises(UserError, match=words):
        compare(a, other(a))


def test_the_table_fits_into_80_characters():
    lines = shown(difference_table(compare(*pair(2000, 40, 120), **FAST)["all"], "2,000 test rows, in %"))
    assert "B − A, points" in lines
    assert "…" not in lines
    assert len(lines.splitlines()) == 6
