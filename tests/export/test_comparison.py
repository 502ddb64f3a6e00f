"""Limits for the difference of an exported file, and its calibration metrics."""

import numpy as np
import pytest

from fer_lightning.errors import UserError
from fer_lightning.export.comparison import calibration, compare_with_checkpoint, refuse_loss_of_accuracy
from fer_lightning.export.described import ComparisonFaces

ROWS = 300


@pytest.fixture
def answers():
    """Probabilities (300, 7) with one clearly largest class each."""
    random = np.random.default_rng(0)
    values = 0.3 * random.dirichlet(np.ones(7), ROWS) + 0.7 * np.eye(7)[random.integers(7, size=ROWS)]
    return values.astype(np.float32)


FACES = ComparisonFaces(np.zeros((ROWS, 48, 48), np.uint8), np.zeros(0, np.int64), "drawn faces")


def with_other_labels(answers: np.ndarray, number: int) -> np.ndarray:
    changed = answers.copy()
    changed[:number] = np.roll(changed[:number], 1, axis=1)
    return changed


def test_equal_answers_pass_in_every_form(answers):
    for form in ("float32", "float16", "int8", "codebook4"):
        entry = compare_with_checkpoint(answers, answers, FACES, form)
        assert entry == {"faces": ROWS, "words": "drawn faces", "difference": 0, "equal_labels": 1}


def test_float32_may_differ_by_a_ten_thousandth(answers):
    compare_with_checkpoint(answers + np.float32(0.9e-4), answers, FACES, "float32")
    with pytest.raises(UserError, match=r"differ by up to 0.0011 .* 300 faces, but only 0.0001 is allowed"):
        compare_with_checkpoint(answers + np.float32(1.1e-3), answers, FACES, "float32")


@pytest.mark.parametrize(("form", "other"), [("int8", "float16"), ("float16", "float32")])
def test_small_weights_may_change_one_label_in_a_hundred(answers, form, other):
    entry = compare_with_checkpoint(with_other_labels(answers, 3), answers, FACES, form)
    assert entry["equal_labels"] == pytest.approx(0.99)
    with pytest.raises(
        UserError, match=rf"weights={form}: .* 1.3 % of 300 faces, but only 1 % is allowed.*weights={other}"
    ):
        compare_with_checkpoint(with_other_labels(answers, 4), answers, FACES, form)


@pytest.mark.parametrize("form", ["float32", "float16", "int8", "codebook4"])
def test_what_is_not_a_number_fails(answers, form):
    with pytest.raises(UserError, match="was not kept"):
        compare_with_checkpoint(answers * np.float32("nan"), answers, FACES, form)


def test_calibration_is_of_both(answers):
    labels = answers.argmax(axis=1)
    entry = calibration(answers, with_other_labels(answers, 30), labels)
    assert entry["rows"] == ROWS
    assert entry["before"]["acc"] == pytest.approx(0.9)
    assert entry["after"]["acc"] == 1
    assert entry["after"]["ce"] < entry["before"]["ce"]
    assert [part["threshold"] for part in entry["by_confidence"]] == [0.5, 0.6, 0.7, 0.8, 0.9]
    assert calibration(answers, answers, labels[:0]) is None


def accuracies(before: float, after: float) -> dict:
    return {"rows": 3589, "before": {"acc": before}, "after": {"acc": after}}


def test_float32_may_change_the_labels_of_ties():
    """An untrained network can give nearly equal probabilities."""
    tied = np.full((ROWS, 7), 1 / 7, np.float32)
    file = tied + np.eye(7, dtype=np.float32)[0] * np.float32(1e-6)
    assert compare_with_checkpoint(
        file, tied[:, ::-1] + np.eye(7, dtype=np.float32)[6] * np.float32(1e-6), FACES, "float32"
    )


def test_a_codebook_may_change_one_label_in_twenty(answers):
    compare_with_checkpoint(with_other_labels(answers, 15), answers, FACES, "codebook4")
    with pytest.raises(UserError, match=r"5.3 % of 300 faces, but only 5 % is allowed.*weights=int8"):
        compare_with_checkpoint(with_other_labels(answers, 16), answers, FACES, "codebook4")


@pytest.mark.parametrize(("form", "other"), [("codebook4", "int8"), ("int8", "float16"), ("float16", "float32")])
def test_small_weights_may_cost_less_than_a_third_of_a_point(form, other):
    refuse_loss_of_accuracy(accuracies(0.7, 0.6971), form)
    refuse_loss_of_accuracy(accuracies(0.7, 0.9), form)
    words = rf"weights={form}: the accuracy on 3,589 validation rows falls from 70.00 % to 69.70 %.*weights={other}"
    with pytest.raises(UserError, match=words):
        refuse_loss_of_accuracy(accuracies(0.7, 0.697), form)


def test_without_validation_rows_no_accuracy_is_compared():
    refuse_loss_of_accuracy(None, "int8")
    refuse_loss_of_accuracy(accuracies(0.7, 0.6), "float32")  # other rules compare its probabilities
