"""predictions.csv comes back as it was written, or the line at fault is named."""

import re

import numpy as np
import pytest

from fer_lightning.errors import UserError
from fer_lightning.evaluation.predictions import Predictions, predictions_of, read_predictions, write_predictions

CLASSES = ("angry", "happy", "sad")


def some(rows: int = 12, *, votes: bool = True, seed: int = 0) -> Predictions:
    rng = np.random.default_rng(seed)
    return Predictions(
        rows=np.arange(100, 100 + rows),
        images=np.array([rng.bytes(32).hex() for _ in range(rows)]),
        labels=rng.integers(3, size=rows),
        probabilities=rng.dirichlet([0.1, 1, 1], rows).astype(np.float32),
        unseen=rng.random(rows) < 0.8,
        clean=rng.random(rows) < 0.5,
        plurality=rng.integers(-1, 3, rows) if votes else None,
        classes=CLASSES,
    )


@pytest.mark.parametrize("votes", [True, False])
@pytest.mark.parametrize("rows", [12, 1, 0])
def test_what_is_read_is_what_was_written(rows, votes, tmp_path):
    written = some(rows, votes=votes)
    write_predictions(tmp_path / "predictions.csv", written)
    read = read_predictions(tmp_path / "predictions.csv")
    assert read.classes == CLASSES
    for name in ("rows", "images", "labels", "probabilities", "unseen", "clean"):
        np.testing.assert_array_equal(getattr(read, name), getattr(written, name), err_msg=name)
    if votes:
        np.testing.assert_array_equal(read.plurality, written.plurality)
    else:
        assert read.plurality is None


def test_the_smallest_probabilities_keep_their_bits(tmp_path):
    written = some(1)
    written.probabilities[0] = np.array([1e-45, 1.1754944e-38, 0.1], np.float32)
    write_predictions(tmp_path / "predictions.csv", written)
    np.testing.assert_array_equal(read_predictions(tmp_path / "predictions.csv").probabilities, written.probabilities)


def test_a_file_reads_like_a_table(tmp_path):
    predictions = some(2)
    predictions.labels[:] = [0, 2]
    predictions.plurality[:] = [1, -1]
    predictions.probabilities[:] = np.array([[0.5, 0.25, 0.25], [0.25, 0.5, 0.25]])
    predictions.unseen[:], predictions.clean[:] = True, [True, False]
    write_predictions(tmp_path / "predictions.csv", predictions)
    first, second = predictions.images
    assert (tmp_path / "predictions.csv").read_text() == (
        "row,image,label,predicted,unseen,clean,ferplus,angry,happy,sad\n"
        f"100,{first},angry,angry,true,true,happy,0.5,0.25,0.25\n"
        f"101,{second},sad,happy,true,false,,0.25,0.5,0.25\n"
    )


def test_some_of_the_judged_rows_keep_their_own_facts():
    judged = some(12)
    rows = judged.rows[[1, 4, 11]]
    chosen = predictions_of(judged, rows, judged.labels[[1, 4, 11]], judged.probabilities[[1, 4, 11]], CLASSES)
    for name in ("images", "unseen", "clean", "plurality"):
        np.testing.assert_array_equal(getattr(chosen, name), getattr(judged, name)[[1, 4, 11]])


DAMAGES = {
    "an older file": (lambda text: text.replace("image,", "", 1), ["older version", "row, image, label"]),
    "cut short": (lambda text: text[:-40], ["line 13", "fields"]),
    "a word for a number": (lambda text: text.replace("\n103,", "\nx103,"), ["line 5", "x103"]),
    "not finite": (
        lambda text: re.sub(r"(\n103,.*,)[^,]+\n", r"\1nan\n", text),
        ["line 5", "not a finite number"],
    ),
    "an unknown class": (lambda text: text.replace(",happy,", ",joyful,"), ["line", "joyful"]),
    "empty": (lambda text: "", ["its first columns are missing"]),
}


@pytest.mark.parametrize(("damage", "words"), DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_file_is_told_in_words(damage, words, tmp_path):
    path = tmp_path / "predictions.csv"
    write_predictions(path, some())
    header, rest = path.read_text().split("\n", 1)
    whole = damage(f"{header}\n{rest}") if "older" in words[0] else damage(path.read_text())
    path.write_text(whole.replace("joyful,sad", "happy,sad", 1))
    with pytest.raises(UserError) as refusal:
        read_predictions(path)
    for word in ("predictions.csv", *words):
        assert word in str(refusal.value)
