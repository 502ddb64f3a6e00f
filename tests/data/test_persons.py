"""Folders of persons inside class folders: all images of a person stay on one side of a split."""

from pathlib import Path

import numpy as np
import pytest
from fer_forms import tarred
from PIL import Image

from fer_lightning.data.fer2013 import load
from fer_lightning.data.ingest import ingest, main
from fer_lightning.data.readers.reader import read_faces
from fer_lightning.data.splits import make_split
from fer_lightning.labels import TAXONOMIES

FER = TAXONOMIES["fer2013"]


def persons(root: Path, count: int = 12, classes=FER.classes, seed: int = 0) -> Path:
    """<class>/<person>/0.png and 1.png of different noise."""
    random = np.random.default_rng(seed)
    for name in classes:
        for person in range(count):
            for number in range(2):
                path = root / name / f"S{person:03d}" / f"{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(random.integers(0, 256, (48, 48), np.uint8)).save(path)
    return root


def sides(source: np.ndarray, parts: list[np.ndarray]) -> list[set[str]]:
    return [set(source[rows].tolist()) for rows in parts]


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> str:
    root = tmp_path_factory.mktemp("persons")
    ingest(str(persons(root / "faces")), str(root / "store"))
    return str(root / "store")


@pytest.mark.parametrize("split", ["clean", "fold"])
def test_no_person_is_on_two_sides_of_a_split(split, store):
    table = load(store)
    made = make_split(table, split, fold=0)
    one, two, three = sides(table.source, [made.train, made.val, made.test])
    assert min(map(len, (one, two, three))) > 0
    assert len(one) + len(two) + len(three) == len(one | two | three)


def test_stratified_counts_the_persons_on_both_sides(store):
    assert "12 sources (persons or images) have rows on both sides" in make_split(load(store), "stratified").notes[0]


def test_extra_faces_of_a_person_go_to_one_usage(store, tmp_path):
    persons(tmp_path / "own", classes=("frustration", "boredom"), seed=1)
    table = load(store, "learning_game", tmp_path / "own")
    own = np.char.find(table.source, "own:S") >= 0
    assert own.sum() == 48
    one, two, three = sides(table.source[own], [table.usage[own] == code for code in range(3)])
    assert len(one | two | three) == 12
    assert one


def test_a_store_of_persons_proposes_a_split_that_keeps_them_together(tmp_path, capsys):
    faces = persons(tmp_path / "faces", count=3)
    assert main([f"source={tarred(faces, tmp_path / 'faces.tar')}", f"root={tmp_path / 'store'}"]) == 0
    out = capsys.readouterr().out
    assert "42 faces" in out
    assert "3 folders inside the class folders are persons, e.g. S000" in out
    assert out.rstrip().endswith("data.split=clean")


def test_persons_below_split_folders_that_cross_them_are_counted(tmp_path):
    persons(tmp_path / "train", count=2)
    persons(tmp_path / "val", count=1, seed=1)
    persons(tmp_path / "test", count=1, classes=("happy",), seed=2)
    faces = read_faces(tmp_path, FER)
    assert np.bincount(faces.usage, minlength=3).tolist() == [28, 14, 2]
    assert sorted(set(faces.source)) == ["S000", "S001"]
    assert "1 sources (persons or images) have rows in several splits, e.g. S000" in " ".join(faces.notes)


def test_images_beside_the_persons_are_sources_of_their_own(tmp_path):
    persons(tmp_path, count=1, classes=("happy", "sad"))
    Image.new("L", (48, 48)).save(tmp_path / "happy" / "a.png")
    assert sorted(set(read_faces(tmp_path, FER).source)) == ["S000", "happy/a.png"]
