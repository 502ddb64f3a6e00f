"""Cohen's kappa against scikit-learn's, its edges, and whose decisions it compares."""

import math
import warnings

import numpy as np
import pytest
from collect_review import CLASSES, collection_for_review, event
from sklearn.metrics import cohen_kappa_score

from fer_lightning.collect.review import decisions
from fer_lightning.collect.review.agreement import agreement, between, category, cohen_kappa, contingency
from fer_lightning.collect.review.decisions import ReviewDecision

LABELS = np.array(["frustration", "boredom", "unsure", "left out"])


@pytest.mark.parametrize("seed", range(8))
def test_kappa_is_that_of_scikit_learn(seed):
    random = np.random.default_rng(seed)
    first = random.choice(LABELS, 60)
    second = np.where(random.random(60) < seed / 8, first, random.choice(LABELS, 60))
    found = between(first.tolist(), second.tolist())
    assert found.kappa == pytest.approx(cohen_kappa_score(first, second), abs=1e-12)
    assert found.observed == pytest.approx((first == second).mean())
    assert found.faces == 60
    assert found.low <= found.kappa <= found.high


def test_the_interval_is_that_of_resampled_faces():
    random = np.random.default_rng(3)
    first = random.choice(LABELS, 40)
    second = np.where(random.random(40) < 0.7, first, random.choice(LABELS, 40))
    rows = random.integers(40, size=(2000, 40))
    kappas = [cohen_kappa(contingency(first[row].tolist(), second[row].tolist())) for row in rows]
    found = between(first.tolist(), second.tolist())
    assert (found.low, found.high) == pytest.approx(np.quantile(kappas, [0.025, 0.975]), abs=0.04)


def test_known_value():
    """Cohen 1960's form by hand: 20 of 50 and 15 of 50 agreed, so (0.7 - 0.5) / (1 - 0.5)."""
    assert cohen_kappa(np.array([[20, 5], [10, 15]])) == pytest.approx(0.4)


def test_one_category_throughout_has_no_kappa():
    with warnings.catch_warnings(action="error"):
        found = between(["frustration"] * 5, ["frustration"] * 5)
    assert found.observed == 1
    assert all(math.isnan(value) for value in (found.kappa, found.low, found.high))
    assert "not defined" in found.describe()


def test_nothing_decided_twice():
    with warnings.catch_warnings(action="error"):
        found = between([], [])
    assert found.faces == 0
    assert math.isnan(found.kappa)
    assert found.describe() == "No face was decided by two people in the two passes."


def test_one_face_has_no_interval_but_words():
    found = between(["frustration"], ["boredom"])
    assert found.kappa == 0
    assert "kappa 0.00" in found.describe()
    assert "nan" not in found.describe()


def test_many_tables_at_once_are_each_alone():
    tables = np.array([[[3, 1], [0, 4]], [[5, 0], [0, 0]], [[0, 2], [2, 0]]])
    assert cohen_kappa(tables) == pytest.approx([float(cohen_kappa(table)) for table in tables], nan_ok=True)


def test_rows_of_the_table_are_the_first_look():
    assert contingency(["a", "a", "b"], ["a", "b", "b"]).tolist() == [[1, 1], [0, 1]]


@pytest.mark.parametrize(
    ("action", "label", "expected"),
    [
        ("accept", "boredom", "boredom"),
        ("unsure", None, "unsure"),
        ("reject", None, "left out"),
        ("minor", None, "left out"),
        ("duplicate", None, "left out"),
        ("illustration", None, "left out"),
    ],
)
def test_categories(action, label, expected):
    assert category(ReviewDecision("e", "t", 1, 1, "anna", action, label)) == expected


def test_only_faces_of_both_passes_count_and_only_what_stands(tmp_path):
    with collection_for_review(tmp_path, 4, size=(64, 48)) as collection:
        crops = dict(collection.rows("SELECT id, crop_id FROM face"))
        wrong = event(1, crops[1], label="boredom")
        first = [event(face, crops[face]) for face in (2, 3)]
        first += [wrong, event(1, crops[1], "undo", undoes=wrong["event"]), event(1, crops[1])]
        second = [event(face, crops[face], **{"pass": 2}) for face in (1, 2)] + [
            event(4, crops[4], "reject", **{"pass": 2})
        ]
        decisions.record(collection, first, pass_=1, annotator="anna", classes=CLASSES)
        decisions.record(collection, second, pass_=2, annotator="bob", classes=CLASSES)
        found = agreement(decisions.current(collection, pass_=1), decisions.current(collection, pass_=2))
    assert (found.faces, found.observed) == (2, 1)


def test_who_decided_twice_does_not_agree_with_themselves():
    first = {face: ReviewDecision(f"{face}", "t", face, 1, "anna", "reject", None) for face in (1, 2, 3)}
    second = {face: ReviewDecision(f"{face}", "t", face, 2, "anna", "reject", None) for face in (1, 2)}
    second[3] = ReviewDecision("3", "t", 3, 2, "bob", "unsure", None)
    found = agreement(first, second)
    assert (found.faces, found.observed) == (1, 0)
