import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from fer_forms import FOLDERS, Samples
from PIL import Image

from fer_lightning.data.fer2013 import load
from fer_lightning.data.ferplus import COLUMNS, plurality
from fer_lightning.data.ingest import ingest
from fer_lightning.data.splits import make_split
from fer_lightning.data.store import notes_of, read_manifest
from fer_lightning.errors import UserError
from fer_lightning.labels import TAXONOMIES, Taxonomy, _read_all
from fer_lightning.training.callbacks.previews import one_of_each_class

CK = ("Anger", "contempt", "disgust", "fear", "happy", "sadness", "surprise")
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


def test_other_faces_do_not_have_the_name_of_fer2013(store):
    assert load(store).name == load(store, "learning_game", classes=["angry", "happy"]).name == "own"


def test_no_store_says_both_ways_on(tmp_path):
    with pytest.raises(UserError, match=r"make data FROM=(.|\n)*experiment=quickstart"):
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
    assert np.bincount(faces.labels[faces.extra], minlength=7).tolist() == [0, 3, 0, 0, 0, 0, 0]
    assert faces.checksum != load(own_store).checksum


def test_no_face_of_extra_is_drawn_into_the_folder_of_a_run(own_store, tmp_path):
    """The folders of runs are not searched when a person asks for the removal of an image."""
    extra = write_extra(tmp_path / "own.csv", ["frustration", "boredom", "happy"] * 3, ["Training"] * 9)
    faces = load(own_store, "learning_game", extra)
    rows, names = one_of_each_class(faces, np.arange(len(faces)))
    assert names == ["angry", "happy", "sad", "surprise", "neutral"]
    assert not faces.extra[rows].any()
    assert one_of_each_class(faces, np.flatnonzero(faces.extra))[1] == []


def test_class_without_training_rows_is_refused(own_store, tmp_path):
    extra = write_extra(tmp_path / "own.csv", ["frustration", "boredom"], ["Training", "PrivateTest"])
    with pytest.raises(UserError, match="no Training rows of boredom"):
        load(own_store, "learning_game", extra)
    extra = write_extra(tmp_path / "eight.csv", ["frustration", "boredom"], ["Training", "Training"])
    with pytest.raises(UserError, match="no Training rows of distracted"):
        load(own_store, "learning_game_distracted", extra)


def test_the_classes_that_have_rows_are_offered(samples, own_store, tmp_path):
    extra = write_extra(tmp_path / "own.csv", ["frustration", "boredom"], ["Training", "PrivateTest"])
    with pytest.raises(UserError, match=r"data\.classes=\[angry,frustration,happy,sad,surprise,neutral\]$"):
        load(own_store, "learning_game", extra)
    extra = write_extra(tmp_path / "eight.csv", ["frustration", "boredom"], ["Training", "Training"])
    with pytest.raises(UserError, match=r"data\.classes=\[angry,frustration,boredom,happy,sad,surprise,neutral\]$"):
        load(own_store, "learning_game_distracted", extra)
    folder = samples.folders(tmp_path / "fer")
    shutil.rmtree(folder / "train" / "happy")
    ingest(str(folder), str(tmp_path / "store"))
    with pytest.raises(UserError, match=r"no Training rows of happy\. Add some with data.extra, or"):
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
    command = f"make data FROM={path} ROOT={root}"
    assert load(root).notes == [f"{path} has changed since it was read; to update the store, run {command}"]
    extra = tmp_path / "extra-0123456789ab"
    ingest(str(path), str(extra))
    os.utime(path, ns=(1, 1))
    (note,) = notes_of(read_manifest(extra), extra)
    assert note == f"{path} has changed since it was read; the next run with data.extra reads it again"


def test_some_classes_of_a_taxonomy_are_kept_in_its_order_and_the_rest_is_counted(store):
    faces = load(store, classes=["Sad", "happy"])
    assert faces.classes == ("happy", "sad")
    base = load(store)
    for code, name in enumerate(faces.classes):
        mine, theirs = faces.pixels[faces.labels == code], base.pixels[base.labels == base.classes.index(name)]
        assert {image.tobytes() for image in mine} == {image.tobytes() for image in theirs}
    assert "45 rows of other classes are left out" in faces.notes
    assert faces.checksum != base.checksum


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (["happy", "bored"], r"data\.classes: boredom: must be classes of fer2013: angry, disgust"),
        (["happy", "joy"], r"must be two classes or more of angry, disgust"),
    ],
)
def test_other_classes_and_a_single_one_are_refused(store, classes, message):
    with pytest.raises(UserError, match=message):
        load(store, classes=classes)


def test_classes_of_a_subset_may_come_from_extra(own_store, tmp_path):
    extra = write_extra(tmp_path / "own.csv", ["frustration"] * 4 + ["boredom"] * 4, ["Training"] * 8)
    faces = load(own_store, "learning_game", extra, ["happy", "frustration"])
    assert faces.classes == ("frustration", "happy")
    assert np.bincount(faces.labels).tolist() == [4, 9]


def test_another_data_set_is_read_in_its_own_classes(samples, tmp_path):
    """Its folders are named; the order of codes is that of the taxonomy."""
    ingest(str(samples.folders(tmp_path / "ck", classes=CK)), str(tmp_path / "store"), "ckplus")
    faces = load(str(tmp_path / "store"), "ckplus")
    assert faces.classes == TAXONOMIES["ckplus"].classes
    with pytest.raises(
        UserError, match=r"data\.taxonomy=fer2013 without data\.extra: the store has no faces of neutral"
    ):
        load(str(tmp_path / "store"))
    shared = load(str(tmp_path / "store"), classes=["happy", "sad"])
    assert shared.classes == ("happy", "sad")


def test_ferplus_gives_the_labels_and_contempt(samples, tmp_path):
    votes = np.zeros((len(samples.rows), len(COLUMNS)), np.uint8)
    votes[:, COLUMNS.index("contempt")] = 10
    votes[1::2, COLUMNS.index("contempt")] = 0
    votes[1::2, COLUMNS.index("unknown")] = 10
    labels = plurality(votes, TAXONOMIES["ferplus"].classes)
    assert set(labels) == {TAXONOMIES["ferplus"].classes.index("contempt"), -1}
    ingest(str(samples.csv(tmp_path / "fer2013.csv")), str(tmp_path / "store"))
    with pytest.raises(UserError, match=r"data\.taxonomy=ferplus: its labels are those of FER\+"):
        load(str(tmp_path / "store"), "ferplus")


def test_a_class_that_is_a_synonym_of_another_is_refused(tmp_path):
    (tmp_path / "fer2013.yaml").write_text("happy: {source: fer2013, synonyms: [joy]}\nsad: {source: fer2013}\n")
    (tmp_path / "moods.yaml").write_text("joy: {source: own}\ntense: {source: own}\n")
    with pytest.raises(UserError, match=r"moods\.yaml: joy: is also a synonym of happy in .*fer2013\.yaml"):
        _read_all(tmp_path)


def test_the_taxonomy_of_an_unknown_label_is_named():
    with pytest.raises(ValueError, match="this is a class of learning_game"):
        TAXONOMIES["fer2013"].index("frustration")


def test_a_file_is_a_taxonomy(tmp_path):
    (tmp_path / "moods.yaml").write_text(
        'calm: {color: "#123456", synonyms: [Relaxed], source: own}\ntense: {source: own}\n'
    )
    read = _read_all(tmp_path)
    assert read.taxonomies["moods"] == Taxonomy("moods", ("calm", "tense"), ("own", "own"))
    assert (read.colors, read.synonyms) == ({"calm": "#123456"}, {"relaxed": "calm"})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("calm: [", "cannot be read"),
        ("calm: {source: own}", "must be two lines or more"),
        ("calm: {source: own}\nTense: {source: own}", "'Tense': the name of a class must be text in lower case"),
        ("calm: {source: own}\n1: {source: own}", "1: the name of a class must be text"),
        ("calm:\ntense:", "calm: needs source: one of fer2013, ferplus, own"),
        ("calm: {source: web}\ntense: {source: own}", "calm: needs source"),
        ("calm: {source: own, colour: red}\ntense: {source: own}", "calm: colour: no such key. Allowed: color"),
        ("calm: {source: own, color: red}\ntense: {source: own}", "calm: color: red: must be six hexadecimal"),
        ("calm: {source: own, synonyms: x}\ntense: {source: own}", "calm: synonyms: must be a list"),
        (
            "calm: {source: own, synonyms: [at ease]}\ntense: {source: own, synonyms: [at ease]}",
            "tense: synonym at ease: another line says calm",
        ),
    ],
)
def test_a_damaged_taxonomy_names_file_and_class(tmp_path, text, message):
    (tmp_path / "moods.yaml").write_text(text)
    with pytest.raises(UserError, match=r"moods\.yaml") as refused:
        _read_all(tmp_path)
    assert message in str(refused.value)
