import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from fer_forms import FOLDERS, Samples
from PIL import Image

from fer_lightning.data.fer2013 import load
from fer_lightning.data.ingest import ingest
from fer_lightning.data.splits import make_split
from fer_lightning.errors import UserError
from fer_lightning.labels import TAXONOMIES

GAME = TAXONOMIES["learning_game"].classes


@pytest.fixture(scope="module")
def samples() -> Samples:
    return Samples()


@pytest.fixture(scope="module")
def store(samples, tmp_path_factory) -> str:
    """A store of the sample rows; not to be written to."""
    root = tmp_path_factory.mktemp("store")
    ingest(str(samples.csv(root / "fer2013.csv")), str(root / "fer2013"))
    return str(root / "fer2013")


@pytest.fixture
def own_store(store, tmp_path) -> str:
    return str(shutil.copytree(store, tmp_path / "own"))


def write_extra(path: Path, labels: list, usage: list | None = None, seed: int = 5) -> str:
    pixels = np.random.default_rng(seed).integers(0, 256, (len(labels), 2304))
    lines = ["emotion,pixels" + (",Usage" if usage else "")]
    for place, label in enumerate(labels):
        line = f"{label}," + " ".join(map(str, pixels[place]))
        lines.append(line + (f",{usage[place]}" if usage else ""))
    path.write_text("\n".join(lines) + "\n")
    return str(path)


def test_fer2013_as_stored(store):
    faces = load(store)
    assert faces.classes == TAXONOMIES["fer2013"].classes
    assert np.bincount(faces.labels).tolist() == [9] * 7
    assert isinstance(faces.pixels, np.memmap)


def test_no_store_says_both_ways_on(tmp_path):
    with pytest.raises(UserError, match=r"make data FROM=(.|\n)*data=synthetic"):
        load(str(tmp_path / "none"))


def test_learning_game_needs_extra(store):
    with pytest.raises(UserError, match=r"no faces of frustration, boredom.*data.extra="):
        load(store, "learning_game")


def test_learning_game_drops_disgust_and_fear_and_merges(own_store, tmp_path):
    extra = write_extra(tmp_path / "own.csv", ["frustrated", 2] * 20)
    faces = load(own_store, "learning_game", extra)
    assert faces.classes == GAME
    assert np.bincount(faces.labels).tolist() == [9, 20, 20, 9, 9, 9, 9]
    kept = np.array(["own.csv" not in source for source in faces.source])
    base = load(own_store)
    for name in ("angry", "happy", "sad", "surprise", "neutral"):
        mine = faces.pixels[kept & (faces.labels == GAME.index(name))]
        theirs = base.pixels[base.labels == base.classes.index(name)]
        assert {image.tobytes() for image in mine} == {image.tobytes() for image in theirs}
    for code in (1, 2):
        assert np.bincount(faces.usage[faces.labels == code]).tolist() == [14, 3, 3]
    assert any("split 70/15/15" in note for note in faces.notes)
    make_split(faces, "official")


def test_dealing_does_not_depend_on_row_order(own_store, tmp_path):
    labels = ["frustration", "boredom"] * 20
    first = load(own_store, "learning_game", write_extra(tmp_path / "a.csv", labels))
    lines = (tmp_path / "a.csv").read_text().splitlines()
    (tmp_path / "b.csv").write_text("\n".join([lines[0], *reversed(lines[1:])]) + "\n")
    assert load(own_store, "learning_game", str(tmp_path / "b.csv")).checksum == first.checksum


def test_extra_is_ingested_once_and_again_when_changed(own_store, tmp_path):
    path = tmp_path / "own.csv"
    extra = write_extra(path, ["frustration", "boredom"], ["Training", "Training"])
    assert any("(written)" in note for note in load(own_store, "learning_game", extra).notes)
    assert any("(reused" in note for note in load(own_store, "learning_game", extra).notes)
    write_extra(path, ["frustration", "boredom", "boredom"], ["Training"] * 3)
    os.utime(path, ns=(0, 0))
    changed = load(own_store, "learning_game", extra)
    assert any("written again" in note for note in changed.notes)
    assert (changed.labels == 2).sum() == 2


def test_extra_as_folders(own_store, tmp_path):
    for name in ("Bored", "FRUSTRATION"):
        (tmp_path / "faces" / name).mkdir(parents=True)
        for place in range(10):
            image = np.random.default_rng(place).integers(0, 256, (48, 48), np.uint8)
            Image.fromarray(image).save(tmp_path / "faces" / name / f"{place}.png")
    faces = load(own_store, "learning_game", str(tmp_path / "faces"))
    assert np.bincount(faces.labels).tolist() == [9, 10, 10, 9, 9, 9, 9]


def test_extra_adds_to_fer2013_too(own_store, tmp_path):
    extra = write_extra(tmp_path / "more.csv", ["disgust"] * 3, ["Training"] * 3)
    faces = load(own_store, "fer2013", extra)
    assert np.bincount(faces.labels).tolist() == [9, 12, 9, 9, 9, 9, 9]
    assert faces.checksum != load(own_store).checksum


def test_class_without_training_rows_is_refused(own_store, tmp_path):
    extra = write_extra(tmp_path / "own.csv", ["frustration", "boredom"], ["Training", "PrivateTest"])
    with pytest.raises(UserError, match="no Training rows of boredom"):
        load(own_store, "learning_game", extra)
    extra = write_extra(tmp_path / "eight.csv", ["frustration", "boredom"], ["Training", "Training"])
    with pytest.raises(UserError, match="no Training rows of distracted"):
        load(own_store, "learning_game_distracted", extra)


def test_only_taxonomies_without_the_empty_classes_are_offered(samples, own_store, tmp_path):
    extra = write_extra(tmp_path / "own.csv", ["frustration", "boredom"], ["Training", "PrivateTest"])
    with pytest.raises(UserError, match=r"choose a taxonomy without these classes: fer2013\.$"):
        load(own_store, "learning_game", extra)
    extra = write_extra(tmp_path / "eight.csv", ["frustration", "boredom"], ["Training", "Training"])
    with pytest.raises(UserError, match=r"choose a taxonomy without these classes: fer2013, learning_game\.$"):
        load(own_store, "learning_game_distracted", extra)
    folder = samples.folders(tmp_path / "fer")
    shutil.rmtree(folder / "train" / "happy")
    ingest(str(folder), str(tmp_path / "store"))
    with pytest.raises(UserError, match=r"no Training rows of happy\. Add some with data.extra\.$"):
        load(str(tmp_path / "store"))


def test_extra_of_whole_photographs_names_the_way_for_them(own_store, tmp_path):
    for name in ("frustration", "boredom"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for place in range(10):
            image = np.random.default_rng(place).integers(0, 256, (300, 300), np.uint8)
            Image.fromarray(image).save(tmp_path / "photos" / name / f"{place}.png")
    notes = load(own_store, "learning_game", str(tmp_path / "photos")).notes
    note = next(note for note in notes if "are larger than" in note)
    assert "make data FROM=... PHOTOS=yes" in note
    assert "for data.extra, with make collect PROVIDER=local FROM=..." in note


def test_bad_extra_names_file_and_row(own_store, tmp_path):
    extra = write_extra(tmp_path / "own.csv", ["frustration", "disgust"])
    with pytest.raises(UserError, match=r"data.extra=.*own.csv, row 1 \(line 3\): unknown label 'disgust'"):
        load(own_store, "learning_game", extra)


def test_merged_test_stays_without_official_split_whatever_extra_says(samples, tmp_path):
    two = FOLDERS | {"PublicTest": "test"}
    ingest(str(samples.folders(tmp_path / "two", two)), str(tmp_path / "store"))
    labels = ["frustration", "boredom", "frustration", "boredom"]
    extra = write_extra(tmp_path / "own.csv", labels, ["Training", "Training", "PublicTest", "PublicTest"])
    faces = load(str(tmp_path / "store"), "learning_game", extra)
    with pytest.raises(UserError, match=r"no PublicTest rows; use data.split=stratified(.|\n)*merges"):
        make_split(faces, "official")
    assert len(make_split(faces, "stratified").train)


def test_changed_source_is_noted(samples, tmp_path):
    path, root = samples.csv(tmp_path / "fer2013.csv"), str(tmp_path / "store")
    ingest(str(path), root)
    assert load(root).notes == []
    os.utime(path, ns=(0, 0))
    assert "has changed since it was read; run make data FROM=" in load(root).notes[0]
