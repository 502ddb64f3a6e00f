"""Numbers as labels are read by a named map; without one they are refused, and the refusal names the maps."""

from pathlib import Path

import pytest
from fer_forms import CLASSES
from PIL import Image

from fer_lightning.data import ingest
from fer_lightning.data.readers.reader import read_faces
from fer_lightning.errors import UserError
from fer_lightning.labels import NO_CLASS, TAXONOMIES, label_maps

FER = TAXONOMIES["fer2013"]
ZEROS = " ".join(["0"] * 2304)
# Codes of the seven classes of FER2013, in its order, as their authors number them.
CODES = {"rafdb": (6, 3, 2, 4, 5, 1, 7), "affectnet": (6, 5, 4, 1, 2, 3, 0), "ckplus": (1, 3, 4, 5, 6, 7, 0)}


def number_folders(root: Path, codes) -> Path:
    """train/<code>/ and test/<code>/, one image each, whose grey level is its class."""
    for split in ("train", "test"):
        for shade, code in enumerate(codes):
            folder = root / split / str(code)
            folder.mkdir(parents=True)
            Image.new("L", (48, 48), shade).save(folder / "face.png")
    return root


@pytest.mark.parametrize("name", CODES)
def test_folders_of_numbers_are_read_by_a_map(name, tmp_path):
    faces = read_faces(number_folders(tmp_path / "DATASET", CODES[name]), FER.numbered(name))
    assert faces.labels.tolist() == faces.pixels[:, 0, 0].tolist()
    assert len(set(faces.labels)) == 7
    assert len(set(faces.usage.tolist())) == 2


def test_folders_of_numbers_without_a_map_are_refused_with_the_maps(tmp_path, capsys):
    folder = number_folders(tmp_path / "DATASET", range(1, 8))
    assert ingest.main([f"source={folder}", f"root={tmp_path / 'store'}"]) == 2
    refused = capsys.readouterr().err
    assert "test/1/face.png: the label 1 is a number" in refused
    assert "happy in affectnet, angry in ckplus, disgust in fer2013, happy in ferplus, surprise in rafdb" in refused
    assert "LABELS=NAME (one of affectnet, ckplus, fer2013, ferplus, rafdb)" in refused


def test_a_store_remembers_its_map(tmp_path):
    arguments = str(number_folders(tmp_path / "DATASET", range(1, 8))), str(tmp_path / "store")
    with pytest.raises(UserError, match="labels=raf: must be one of affectnet, ckplus"):
        ingest.ingest(*arguments, labels="raf")
    assert ingest.ingest(*arguments, labels="rafdb").outcome == "written"
    assert ingest.ingest(*arguments, labels="rafdb").outcome.startswith("reused")
    other = ingest.ingest(*arguments, labels="ckplus", taxonomy="affectnet8")
    assert other.outcome.startswith("written again: the rules for reading images, labels")


def test_a_map_that_does_not_fit_is_refused(tmp_path):
    (tmp_path / "7").mkdir()
    Image.new("L", (48, 48)).save(tmp_path / "7" / "a.png")
    with pytest.raises(UserError, match=r"label 7 is contempt \(labels=affectnet\).*Use taxonomy=affectnet8"):
        read_faces(tmp_path, FER.numbered("affectnet"))
    with pytest.raises(UserError, match=r"label 7: labels=fer2013 has 0, 1, 2, 3, 4, 5, 6"):
        read_faces(tmp_path, FER.numbered("fer2013"))


def test_images_without_an_emotion_are_counted_and_named(tmp_path):
    for code in ("1", "8", "10"):
        (tmp_path / code).mkdir()
        Image.new("L", (48, 48)).save(tmp_path / code / "a.png")
    faces = read_faces(tmp_path, FER.numbered("affectnet"))
    assert faces.labels.tolist() == [FER.index("happy")]
    assert any("2 images skipped: their label is not one of the classes, e.g. 10/a.png" in note for note in faces.notes)


def test_codes_of_a_csv_are_those_of_the_map(tmp_path):
    path = tmp_path / "raf.csv"
    path.write_text("emotion,pixels\n" + "".join(f"{code},{ZEROS}\n" for code in ("1", "4.0", "happy")))
    happy, surprise = FER.index("happy"), FER.index("surprise")
    assert read_faces(path, FER.numbered("rafdb")).labels.tolist() == [surprise, happy, happy]
    with pytest.raises(UserError, match=r"raf\.csv, row 0 \(line 2\): label 1 is surprise \(labels=rafdb\)"):
        read_faces(path, TAXONOMIES["learning_game"].only(["boredom", "sad"]).numbered("rafdb"))
    path.write_text("emotion,pixels\n" + "".join(f"{code},{ZEROS}\n" for code in ("9", "1", "10")))
    faces = read_faces(path, FER.numbered("affectnet"))
    assert (faces.labels.tolist(), len(faces.pixels), faces.source) == ([happy], 1, ["1"])
    assert faces.notes == ["2 images skipped: their label is not one of the classes, e.g. 0"]


def test_each_map_names_classes_that_exist_and_fer2013_is_in_the_order_of_its_codes():
    assert [label_maps()["fer2013"].name_of(code) for code in range(7)] == list(CLASSES)
    wide = TAXONOMIES["affectnet8"]
    for name, one in label_maps().items():
        read = [wide.numbered(name).read(str(code)) for code, _ in one.names]
        classes = [index for index in read if index != NO_CLASS]
        assert len(classes) == len(set(classes)) >= 7


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1: [", "cannot be read"),
        ("happy", "must be lines such as"),
        ("happy: 1", "'happy': the label must be a number"),
        ("-1: happy", "-1: the label must be a number, 0 or more"),
        ("1: glad", "1: 'glad': must be null or a class of conf/taxonomy"),
    ],
)
def test_a_damaged_map_names_file_and_line(tmp_path, text, message):
    (tmp_path / "own.yaml").write_text(text)
    with pytest.raises(UserError, match=r"own\.yaml") as refused:
        label_maps(tmp_path)
    assert message in str(refused.value)
