"""Images beside tables that name them: a CSV of labels, or FER+'s votes; what has no partner is counted and named."""

import csv
from pathlib import Path

import numpy as np
import pytest
from fer_forms import tarred, zipped
from PIL import Image

from fer_lightning.data.fer2013 import load
from fer_lightning.data.ferplus import COLUMNS
from fer_lightning.data.ingest import ingest
from fer_lightning.data.readers.files import open_files
from fer_lightning.data.readers.images import Reading
from fer_lightning.data.readers.label_tables import label_tables, read_label_tables
from fer_lightning.data.readers.reader import read_faces
from fer_lightning.errors import UserError
from fer_lightning.labels import TAXONOMIES

FER = TAXONOMIES["fer2013"]
NAMES = ("happy", "Sadness", "anger")


def image(path: Path, shade: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (48, 48), shade).save(path)
    return path


def table(path: Path, head: tuple[str, ...], rows: list[tuple], mark: str = ",") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", newline="") as file:
        csv.writer(file, delimiter=mark).writerows([head, *rows] if head else rows)
    return path


def split_folders(root: Path) -> Path:
    """train/, val/ and test/ with three images each, and a table of labels for each."""
    for number, split in enumerate(("train", "val", "test")):
        for place in range(3):
            image(root / split / f"{place}.png", 10 * number + place)
        table(root / f"{split}_labels.csv", ("filename", "label"), [(f"{p}.png", NAMES[p]) for p in range(3)])
    return root


@pytest.mark.parametrize("pack", [lambda folder, _: folder, zipped, tarred])
def test_a_table_for_each_split_is_read(pack, tmp_path):
    faces = read_faces(pack(split_folders(tmp_path / "faces"), tmp_path / "packed"), FER)
    order = [FER.index(name) for name in NAMES]
    read = sorted(zip(faces.usage.tolist(), faces.pixels[:, 0, 0].tolist(), faces.labels.tolist(), strict=True))
    assert read == [(split, 10 * split + place, order[place]) for split in range(3) for place in range(3)]
    assert not faces.partly
    assert "train_labels.csv" in faces.form


@pytest.mark.parametrize(
    ("head", "row", "mark"),
    [
        (("file_name", "label"), ("train/a.png", "happy"), ","),
        (("image", "emotion"), ("a", "Happiness"), ";"),
        (("", "pth", "label", "relFCs"), ("0", "train\\a.png", "happy", "0.9"), ","),
        (("Image Path", "Expression"), ("./train/a.png", "happy"), "\t"),
    ],
)
def test_usual_columns_and_ways_to_write_a_file(head, row, mark, tmp_path):
    image(tmp_path / "train" / "a.png", 7)
    table(tmp_path / "labels.csv", head, [row], mark)
    faces = read_faces(tmp_path, FER)
    assert (faces.labels.tolist(), faces.usage.tolist()) == ([FER.index("happy")], [0])


def test_columns_of_split_and_person_are_used(tmp_path):
    for name in "abc":
        image(tmp_path / "images" / f"{name}.png", 1)
    rows = [("a.png", "sad", "test", "Anna"), ("b.png", "sad", "train", "Anna"), ("c.png", "sad", "val", "")]
    table(tmp_path / "list.csv", ("filename", "class", "split", "person_id"), rows)
    faces = read_faces(tmp_path, FER)
    assert sorted(zip(faces.source, faces.usage.tolist(), strict=True)) == [
        ("Anna", 0),
        ("Anna", 2),
        ("images/c.png", 1),
    ]


def test_what_has_no_partner_is_counted_and_named(tmp_path):
    split_folders(tmp_path)
    (tmp_path / "val" / "1.png").unlink()
    image(tmp_path / "test" / "new.png", 1)
    faces = read_faces(tmp_path, FER)
    notes = " ".join(faces.notes)
    assert len(faces.labels) == 8
    assert faces.partly
    assert "1 file (1 .png), image that a table names but that is not here, e.g. val_labels.csv: 1.png" in notes
    assert "1 file (1 .png), image that no row of the table names, e.g. test/new.png" in notes


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([("a.png", "3")], r"labels\.csv, line 2: the label 3 is a number.*LABELS=NAME \(one of affectnet"),
        ([("a.png", "glad")], "line 2: unknown label 'glad'"),
        ([("a.png", "sad"), ("one/a.png", "happy")], r"line 3: the image one/a\.png has another label in a row above"),
        ([("b.png", "sad")], r"line 2: b\.png may be one/b\.png or two/b\.png; write more of its path"),
        ([("a.png", "sad", "x")], "line 2: the row has 3 fields, but the first line has 2"),
        ([("c.png", "sad")], "none of the images that this table names is here"),
        ([('a"b.png', "sad"), ("a.png", 'sa"d\n\n"')], "line"),
    ],
)
def test_bad_rows_are_named(rows, message, tmp_path):
    for name in ("one/a.png", "one/b.png", "two/b.png"):
        image(tmp_path / name, 1)
    table(tmp_path / "labels.csv", ("filename", "label"), rows)
    with pytest.raises(UserError, match=message):
        read_faces(tmp_path, FER)


def test_a_row_without_a_split_beside_rows_with_one_is_refused(tmp_path):
    image(tmp_path / "train" / "a.png", 1)
    image(tmp_path / "b.png", 1)
    table(tmp_path / "labels.csv", ("filename", "label"), [("a.png", "sad"), ("b.png", "sad")])
    with pytest.raises(UserError, match=r"b\.png: this image has no split, but others have one"):
        read_faces(tmp_path, FER)


def test_numbers_are_read_by_a_map(tmp_path):
    image(tmp_path / "a.png", 1)
    image(tmp_path / "b.png", 1)
    table(tmp_path / "labels.csv", ("filename", "label"), [("a.png", "4.0"), ("b.png", "1")])
    assert read_faces(tmp_path, FER.numbered("rafdb")).labels.tolist() == [FER.index("happy"), FER.index("surprise")]


def test_class_folders_go_before_a_table_which_is_named(tmp_path):
    image(tmp_path / "happy" / "a.png", 1)
    table(tmp_path / "labels.csv", ("filename", "label"), [("a.png", "sad")])
    faces = read_faces(tmp_path, FER)
    assert faces.labels.tolist() == [FER.index("happy")]
    assert "table of labels beside class folders, which give the labels, e.g. labels.csv" in " ".join(faces.notes)
    assert not faces.partly


def test_a_table_goes_before_folders_of_numbers_if_it_names_their_images(tmp_path):
    """AffectNet's folders are numbered without a meaning; those of RAF-DB on Kaggle are labels."""
    numbered = FER.numbered("rafdb")
    image(tmp_path / "a" / "100" / "one.png", 1)
    image(tmp_path / "a" / "4" / "two.png", 1)
    columns = ("subDirectory_filePath", "expression")
    table(tmp_path / "a" / "training.csv", columns, [("100/one.png", "1"), ("4/two.png", "5")])
    assert read_faces(tmp_path / "a", numbered).labels.tolist() == [FER.index("surprise"), FER.index("sad")]
    image(tmp_path / "b" / "4" / "two.png", 1)
    table(tmp_path / "b" / "other.csv", columns, [("elsewhere.png", "5")])
    assert read_faces(tmp_path / "b", numbered).labels.tolist() == [FER.index("happy")]


def test_a_table_that_names_few_images_in_folders_of_numbers_is_rejected(tmp_path):
    """A table that lies beside the folders by chance must not replace their labels, nor drop the other images."""
    for name in ("4/a.png", "4/b.png", "5/c.png"):
        image(tmp_path / name, 1)
    rows = table(tmp_path / "looks.csv", ("filename", "label"), [("a.png", "looks odd")])
    with pytest.raises(UserError, match=r"looks\.csv: names 1 of 3 images, .* move this table away"):
        read_faces(tmp_path, FER.numbered("rafdb"))
    rows.unlink()
    table(tmp_path / "other.csv", ("filename", "label"), [("elsewhere/a.png", "sad")])
    labels = [FER.index("happy"), FER.index("happy"), FER.index("sad")]
    assert read_faces(tmp_path, FER.numbered("rafdb")).labels.tolist() == labels


def test_a_table_without_its_images_says_what_to_use(tmp_path):
    path = table(tmp_path / "only" / "labels.csv", ("filename", "label"), [("a.png", "sad")])
    with pytest.raises(UserError, match=r"this table names images\. Use the folder that holds both"):
        read_faces(path, FER)
    table(tmp_path / "only" / "more.csv", ("filename", "label"), [("a.png", "sad")])
    with pytest.raises(UserError, match=r"labels\.csv names images, but no PNG or JPEG is here"):
        read_faces(path.parent, FER)


def ferplus_folders(root: Path) -> Path:
    """FER+'s folders: in each happy, contempt and unknown, named as its scripts name them."""
    for name in ("Train", "Valid", "Test"):
        folder = root / "data" / f"FER2013{name}"
        rows = []
        for number, column in enumerate(("happiness", "contempt", "unknown")):
            image(folder / f"fer{number:07d}.png", number)
            votes = [9 if column == other else 0 for other in COLUMNS]
            rows.append((f"fer{number:07d}.png", "(0, 0, 48, 48)", *votes))
        table(folder / "label.csv", (), rows)
    return root


def test_folders_of_ferplus_give_votes_and_the_label_with_the_most(tmp_path):
    faces = read_faces(ferplus_folders(tmp_path), FER)
    assert (faces.labels.tolist(), faces.usage.tolist()) == ([FER.index("happy")] * 3, [2, 0, 1])
    assert faces.votes.tolist() == [[9 if column == "happiness" else 0 for column in COLUMNS]] * 3
    assert "6 images skipped: their label is not one of the classes" in " ".join(faces.notes)
    wide = read_faces(tmp_path, TAXONOMIES["ferplus"])
    assert np.bincount(wide.labels)[[3, 7]].tolist() == [3, 3]


def test_a_store_of_ferplus_folders_trains_contempt(tmp_path):
    ingest(str(ferplus_folders(tmp_path / "fer")), str(tmp_path / "store"), "ferplus")
    faces = load(str(tmp_path / "store"), "ferplus", classes=["happy", "contempt"])
    assert sorted(faces.labels.tolist()) == [0, 0, 0, 1, 1, 1]
    assert faces.votes.sum(axis=1).tolist() == [9] * 6


def test_a_damaged_row_of_ferplus_is_named(tmp_path):
    folder = ferplus_folders(tmp_path) / "data" / "FER2013Valid"
    text = (folder / "label.csv").read_text()
    (folder / "label.csv").write_text(text + "fer0000001.png,box,1,2\n")
    with pytest.raises(UserError, match=r"FER2013Valid/label\.csv, line 4: a row of FER\+ has a file, a box"):
        read_faces(tmp_path, FER)


def rafdb_folders(root: Path) -> Path:
    """RAF-DB as its authors pack it: a list of numbers, faces that are cut out, photographs, and other text files."""
    names = ("train_0001", "train_0002", "test_0001")
    for shade, name in enumerate(names):
        image(root / "Image" / "aligned" / f"{name}_aligned.jpg", 80 * shade)
        image(root / "Image" / "original" / f"{name}.jpg", 255)
        (root / "Annotation").mkdir(exist_ok=True)
        (root / "Annotation" / f"{name}_boundingbox.txt").write_text("10.5 20.5 90 100\n")
    (root / "EmoLabel").mkdir()
    (root / "EmoLabel" / "list_patition_label.txt").write_text(
        "train_0001.jpg 4\r\ntrain_0002.jpg 1 \ntest_0001.jpg 7\n"
    )
    return root


@pytest.mark.parametrize("pack", [lambda folder, _: folder, zipped])
def test_the_list_of_rafdb_labels_the_faces_that_are_cut_out(pack, tmp_path):
    faces = read_faces(pack(rafdb_folders(tmp_path / "basic"), tmp_path / "packed"), FER.numbered("rafdb"))
    read = sorted(zip(faces.pixels[:, 0, 0].tolist(), faces.labels.tolist(), faces.usage.tolist(), strict=True))
    labels = [FER.index(name) for name in ("happy", "surprise", "neutral")]
    assert read == list(zip((0, 80, 160), labels, (0, 0, 2), strict=True))
    notes = " ".join(faces.notes)
    assert "3 files (3 .jpg), other version of an image that is read" in notes
    assert "3 files (3 .txt), file of another kind, e.g." in notes
    assert not faces.partly


def test_with_photos_the_list_of_rafdb_labels_the_photographs(tmp_path):
    read = []

    def cut(image, name, changed):
        read.append(name)
        return np.zeros((48, 48), np.uint8)

    with open_files(rafdb_folders(tmp_path)) as listing:
        tables = label_tables(listing.files)
        faces = read_label_tables(tables, listing, FER.numbered("rafdb"), reading=Reading(cut=cut))
    assert read == [f"Image/original/{name}.jpg" for name in ("train_0001", "train_0002", "test_0001")]
    assert faces.usage.tolist() == [0, 0, 2]


def test_a_list_of_images_in_one_folder_is_read_again_if_it_changes(tmp_path):
    image(tmp_path / "raf" / "train_0001.jpg", 1)
    listed = tmp_path / "raf" / "list.txt"
    listed.write_text("train_0001.jpg 5\n")
    arguments = str(tmp_path / "raf"), str(tmp_path / "store")
    assert ingest(*arguments, labels="rafdb").manifest["counts"]["Training"]["sad"] == 1
    listed.write_text("train_0001.jpg 6\ntrain_0002.jpg 6\n")
    again = ingest(*arguments, labels="rafdb")
    assert again.manifest["counts"]["Training"]["angry"] == 1
    assert "image that a table names but that is not here, e.g. list.txt: train_0002.jpg" in " ".join(
        again.manifest["notes"]
    )
    with pytest.raises(UserError, match=r"list\.txt, line 1: the label 6 is a number.*LABELS=NAME"):
        read_faces(tmp_path / "raf", FER)
    listed.write_text("train_0001.jpg 5\ntrain_0002.jpg\n")
    with pytest.raises(UserError, match=r"list\.txt, line 2: the row has 1 fields; a list has an image and its label"):
        read_faces(tmp_path / "raf", FER.numbered("rafdb"))
