"""Exact and near copies, what they join, and which test rows are clean."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from blobs import blobs, noisy

from fer_lightning.data import duplicates as copies_module
from fer_lightning.data.duplicates import NEAR, blank, copies_of, groups
from fer_lightning.data.ferplus import COLUMNS
from fer_lightning.data.judged_rows import judge_test_rows
from fer_lightning.data.splits import make_split
from fer_lightning.data.table import FaceTable

TRAIN, PUBLIC, PRIVATE = range(3)


def table(pixels: np.ndarray, usage=None, source=None, **options) -> FaceTable:
    count = len(pixels)
    usage = np.zeros(count, np.uint8) if usage is None else np.array(usage, np.uint8)
    source = np.arange(count).astype(str) if source is None else np.array(source)
    return FaceTable("test", pixels, np.zeros(count, np.int64), usage, source, ("angry", "sad"), "sum", **options)


def brute_force(pixels: np.ndarray) -> set[tuple[int, int, bool]]:
    found = set()
    for first in range(len(pixels)):
        for second in range(first + 1, len(pixels)):
            if (pixels[first] == pixels[second]).all():
                continue
            for mirrored in (False, True):
                other = pixels[second][:, ::-1] if mirrored else pixels[second]
                if np.corrcoef(pixels[first].ravel(), other.ravel())[0, 1] >= NEAR:
                    found.add((first, second, mirrored))
                    break
    return found


def test_near_copies_are_those_of_a_search_through_all_pairs(monkeypatch):
    monkeypatch.setattr(copies_module, "_CHUNK", 16)
    pixels = blobs(60)
    for place, strength in enumerate((3, 8, 15, 22, 30, 40, 60)):
        pixels[40 + place] = noisy(pixels[place], strength)
        pixels[50 + place] = noisy(pixels[20 + place][:, ::-1], strength)
    near = copies_of(table(pixels)).near
    found = {(*pair, mirrored) for pair, mirrored in zip(near.rows.tolist(), near.mirrored.tolist(), strict=True)}
    expected = brute_force(pixels)
    assert found == expected
    assert {mirrored for *_, mirrored in expected} == {False, True}
    assert len(expected) < 14


def test_a_brighter_and_softer_copy_is_near_and_a_stranger_is_not():
    pixels = blobs(3)
    pixels[1] = (pixels[0] * 0.6 + 40).astype(np.uint8)
    near = copies_of(table(pixels)).near
    assert near.rows.tolist() == [[0, 1]]
    assert near.correlation[0] > 0.99


def test_exact_copies_and_blanks_are_no_near_pairs():
    pixels = blobs(6)
    pixels[1], pixels[2], pixels[3] = pixels[0], 0, 255
    copies = copies_of(table(pixels))
    assert len(copies.near.rows) == 0
    assert copies.images[0] == copies.images[1]
    assert blank(pixels, np.arange(6)).tolist() == [False, False, True, True, False, False]


def test_a_near_copy_counts_for_every_row_of_its_image():
    pixels = blobs(5)
    pixels[1], pixels[3] = pixels[0], noisy(pixels[0], 5)
    copies = copies_of(table(pixels))
    assert copies.has_copy_in(np.array([3]), np.array([1])).tolist() == [True]
    assert copies.has_copy_in(np.array([0, 1, 2]), np.array([3])).tolist() == [True, True, False]
    assert copies.exact_in(np.array([3]), np.array([0, 1])).tolist() == [False]


def test_groups_join_copies_near_copies_and_sources_in_many_steps():
    pixels = blobs(8)
    pixels[1], pixels[2] = pixels[0], noisy(pixels[0], 5)
    joined = groups(faces_table := table(pixels, source=list("aabcbdef")), copies_of(faces_table))
    assert joined[0] == joined[1] == joined[2] == joined[4]
    assert len(set(joined.tolist())) == 5


def test_near_copies_are_kept_and_looked_for_again_when_the_file_is_damaged(tmp_path, monkeypatch):
    pixels = blobs(4)
    pixels[1] = noisy(pixels[0], 5)
    cached = table(pixels, cache=tmp_path)
    first = copies_of(cached)
    (file,) = tmp_path.glob("near-copies-*")
    calls = []
    search = copies_module.near_pairs
    monkeypatch.setattr(copies_module, "near_pairs", lambda *given: calls.append(1) or search(*given))
    assert copies_of(cached).near.rows.tolist() == first.near.rows.tolist() == [[0, 1]]
    assert not calls
    file.write_bytes(file.read_bytes()[:50])
    assert copies_of(cached).near.rows.tolist() == [[0, 1]]
    assert calls == [1]
    assert list(tmp_path.iterdir()) == [file]


def test_a_cache_that_cannot_be_written_is_noted_and_no_error():
    unwritable = table(blobs(3), cache=Path("/proc/none"))
    assert len(copies_of(unwritable).near.rows) == 0
    assert "is not writable" in unwritable.notes[0]


def test_near_copies_of_too_many_images_are_not_looked_for(monkeypatch):
    pixels = blobs(4)
    pixels[1] = noisy(pixels[0], 5)
    monkeypatch.setattr(copies_module, "MAX_IMAGES", 3)
    with pytest.warns(UserWarning, match="4 images are too many for a search for near copies"):
        assert len(copies_of(table(pixels)).near.rows) == 0


@pytest.fixture
def judged():
    """Test rows: 0 new, 1 copied in training, 2 in validation, 3 nearly, 4 mirrored, 5 blank, 6 no face."""
    pixels = blobs(14)
    usage = [TRAIN] * 5 + [PUBLIC] * 2 + [PRIVATE] * 7
    pixels[8], pixels[9], pixels[10], pixels[11], pixels[12] = (
        pixels[0],
        pixels[5],
        noisy(pixels[1], 5),
        noisy(pixels[2][:, ::-1], 5),
        9,
    )
    votes = np.zeros((14, 10), np.uint8)
    votes[:, COLUMNS.index("sadness")] = 4
    votes[13, COLUMNS.index("NF")] = 6
    return table(pixels, usage, votes=votes)


def test_clean_test_rows_leave_out_all_that_was_seen_blank_or_no_face(judged):
    rows = judge_test_rows(judged, make_split(judged, "official"))
    assert rows.rows.tolist() == list(range(7, 14))
    assert rows.unseen.tolist() == [True, False, False, True, True, False, True]
    assert rows.clean.tolist() == [True, False, False, False, False, False, False]
    assert rows.plurality.tolist() == [1] * 6 + [-1]
    assert rows.images[1] == judged.digests[0].tobytes().hex()


def test_without_votes_non_faces_stay_and_nothing_else_changes(judged):
    judged = dataclasses.replace(judged, votes=None)
    rows = judge_test_rows(judged, make_split(judged, "official"))
    assert rows.clean.tolist() == [True, False, False, False, False, False, True]
    assert rows.plurality is None


def test_official_dedup_leaves_out_training_rows_that_are_held_out_too(judged):
    split = make_split(judged, "official_dedup")
    assert split.train.tolist() == [3, 4]
    assert split.val.tolist() == [5, 6]
    assert split.test.tolist() == list(range(7, 14))
    assert "leaves out 3 Training rows" in split.notes[0]
    assert "1 byte for byte" in split.notes[0]
    rows = judge_test_rows(judged, split)
    assert rows.clean.tolist() == [True, True, False, True, True, False, False]
