import io
import tarfile
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from fer_forms import FOLDERS, Samples, write_forms, zipped
from PIL import Image

from fer_lightning.data.readers.csv_faces import parse_pixels
from fer_lightning.data.readers.reader import read_faces
from fer_lightning.errors import UserError
from fer_lightning.labels import TAXONOMIES, USAGES

FER = TAXONOMIES["fer2013"]
FORMS = (
    "csv",
    "windows csv",
    "icml",
    "folders",
    "odd names",
    "wrapped folders",
    "zip of csv",
    "zip of folders",
    "tar of folders",
    "tar.gz of csv",
)
ZEROS = " ".join(["0"] * 2304)


@pytest.fixture(scope="module")
def samples() -> Samples:
    return Samples()


@pytest.fixture(scope="module")
def forms(samples, tmp_path_factory) -> dict[str, Path]:
    return write_forms(samples, tmp_path_factory.mktemp("forms"))


def by_content(pixels, labels, usage):
    return sorted(zip(usage, labels, (image.tobytes() for image in pixels), strict=True))


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_rows(form, forms, samples):
    faces = read_faces(forms[form], FER)
    wanted = [(USAGES.index(usage), code) for usage, code in samples.rows]
    usage, labels = zip(*wanted, strict=True)
    assert by_content(faces.pixels, faces.labels.tolist(), faces.usage.tolist()) == by_content(
        samples.pixels, labels, usage
    )
    assert len(set(faces.source)) == len(samples.rows)


def test_csv_keeps_order_and_numbers_rows_from_zero(forms, samples):
    faces = read_faces(forms["csv"], FER)
    assert np.array_equal(faces.pixels, samples.pixels)
    assert faces.source[:2] == ["0", "1"]


def test_emotion_may_be_a_name(tmp_path):
    path = tmp_path / "own.csv"
    path.write_text(f"emotion,pixels\nBored,{ZEROS}\n2,{ZEROS}\nfrustrated,{ZEROS}\n\n")
    faces = read_faces(path, TAXONOMIES["learning_game"])
    assert faces.labels.tolist() == [2, 2, 1]
    assert faces.usage is None


def test_parse_pixels_reads_every_value():
    values = np.arange(2304) % 256
    assert np.array_equal(parse_pixels(" ".join(map(str, values)).encode()), values)
    assert np.array_equal(parse_pixels("  ".join(f"{value:03d}" for value in values).encode() + b" "), values)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (ZEROS[:-2], "has 2,303 pixels; a face of 48 x 48 has 2,304"),
        (ZEROS + " 7", "has 2,305 pixels"),
        ("", "has 0 pixels"),
        (ZEROS[:-1] + "256", "pixel 2303 is '256'"),
        ("0 -1" + ZEROS[3:], "pixel 1 is '-1'"),
        ("1.5" + ZEROS[1:], "pixel 0 is '1.5'"),
        ("1024" + ZEROS[1:], "pixel 0 is '1024'"),
        ("0\t" + ZEROS[2:], r"pixel 0 is '0\\t0'"),
        ("٣" + ZEROS[1:], "pixel 0 is '٣'"),
    ],
)
def test_bad_pixels_are_named(text, complaint):
    with pytest.raises(ValueError, match=complaint):
        parse_pixels(text.encode())


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            f"emotion,pixels,Usage\n0,{ZEROS},Training\n7,{ZEROS},Training\n",
            r"bad.csv, row 1 \(line 3\): emotion is 7",
        ),
        (f"emotion,pixels,Usage\ncontempt,{ZEROS},Training\n", r"row 0 \(line 2\): unknown label 'contempt'"),
        (
            f"emotion,pixels,Usage\n\n0,{ZEROS},Holdout\n",
            r"row 0 \(line 3\): Usage is 'Holdout'; allowed: Training",
        ),
        (f"emotion,pixels,Usage\n0,{ZEROS}\n", "has 2 fields; the header names 3"),
        ("emotion,pixels,Usage\n0,1 2 3,Training\n", "has 3 pixels"),
        (f'emotion,pixels,Usage\n0,"{ZEROS},Training\n', "quotes do not close"),
        ("emotion,pixels,Usage\n", "has a header and no rows"),
        ("", "no column `pixels` in the first line"),
        (f"0,{ZEROS},Training\n", "no column `pixels` in the first line"),
        (f"pixels\n{ZEROS}\n", "no column `emotion`.*test.csv has none"),
        ("emotion,pixels\n" + "0" * 70_000, "line 2: longer than 64 KiB"),
    ],
)
def test_bad_csv_names_file_and_row(body, message, tmp_path):
    path = tmp_path / "bad.csv"
    path.write_text(body)
    with pytest.raises(UserError, match=message):
        read_faces(path, FER)


def test_competition_folder_leaves_out_the_unlabelled_rows(samples, tmp_path):
    samples.csv(tmp_path / "train.csv", ("emotion", "pixels"), quote=True)
    samples.csv(tmp_path / "test.csv", ("pixels",), quote=True)
    faces = read_faces(tmp_path, FER)
    assert len(faces.labels) == len(samples.rows)
    assert faces.usage is None
    assert "no official test score" in faces.notes[0]


def test_two_folder_form_says_that_test_is_merged(samples, tmp_path):
    merged = FOLDERS | {"PublicTest": "Test", "PrivateTest": "Test"}
    faces = read_faces(samples.folders(tmp_path / "two", merged), FER)
    assert set(faces.usage.tolist()) == {USAGES.index("Training"), USAGES.index("PrivateTest")}
    assert "merges PublicTest and PrivateTest" in faces.notes[0]


def test_other_sizes_and_colours_are_converted_and_counted(tmp_path):
    random = np.random.default_rng(0)
    large = random.integers(0, 256, (96, 96), np.uint8)
    colour = random.integers(0, 256, (48, 48, 3), np.uint8)
    deep = random.integers(0, 65536, (48, 48), np.uint16)
    (tmp_path / "happy").mkdir()
    for name, image in (("a", large), ("b", colour), ("c", deep)):
        Image.fromarray(image).save(tmp_path / "happy" / f"{name}.png")
    faces = read_faces(tmp_path, FER)
    assert np.array_equal(faces.pixels[0], cv2.resize(large, (48, 48), interpolation=cv2.INTER_AREA))
    assert np.abs(faces.pixels[1] - colour @ [0.299, 0.587, 0.114]).max() <= 1
    assert np.array_equal(faces.pixels[2], deep >> 8)
    assert faces.notes == [
        "1 images were not 48 x 48 and have been resized",
        "1 images were not grey and have been made so",
    ]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("train/contempt/x.png", "train/contempt/x.png: unknown label 'contempt'"),
        ("holdout/happy/x.png", "'holdout' names no split"),
        ("happy/x.png", "happy: a class folder beside split folders"),
        ("train/happy/deep/x.png", "images stand in train|val|test/<class>/"),
        ("train/happy/x.png", "train/happy/x.png: not a readable PNG or JPEG"),
    ],
)
def test_bad_folders_name_the_file(name, message, samples, tmp_path):
    samples.folders(tmp_path / "fer")
    path = tmp_path / "fer" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"no image")
    with pytest.raises(UserError, match=message):
        read_faces(tmp_path / "fer", FER)


def test_cut_image_is_refused(tmp_path):
    (tmp_path / "happy").mkdir()
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (48, 48), np.uint8)).save(buffer, "JPEG")
    (tmp_path / "happy" / "cut.jpg").write_bytes(buffer.getvalue()[:-400])
    with pytest.raises(UserError, match=r"happy/cut\.jpg: not a readable"):
        read_faces(tmp_path, FER)


def test_huge_image_is_refused_before_it_is_decoded(tmp_path):
    (tmp_path / "happy").mkdir()
    Image.new("1", (9000, 10)).save(tmp_path / "happy" / "wide.png")
    with pytest.raises(UserError, match="9000 x 10 pixels; at most 8192"):
        read_faces(tmp_path, FER)


@pytest.mark.parametrize("name", ["../outside.csv", "/fer2013.csv", "train/../../x.csv"])
def test_archive_members_pointing_outside_are_refused(name, tmp_path):
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        archive.writestr(name, "emotion,pixels\n")
    with tarfile.open(tmp_path / "bad.tar", "w") as archive:
        archive.addfile(tarfile.TarInfo(name), io.BytesIO())
    for path in (tmp_path / "bad.zip", tmp_path / "bad.tar"):
        with pytest.raises(UserError, match="points outside the archive"):
            read_faces(path, FER)


def test_links_in_archives_are_not_followed(tmp_path):
    secret = tmp_path / "fer2013.csv"
    Samples().csv(secret)
    with tarfile.open(tmp_path / "links.tar", "w") as archive:
        link = tarfile.TarInfo("fer2013.csv")
        link.type, link.linkname = tarfile.SYMTYPE, str(secret)
        archive.addfile(link)
    with pytest.raises(UserError, match=r"holds neither fer2013\.csv"):
        read_faces(tmp_path / "links.tar", FER)


def test_damaged_archives_are_named(forms, tmp_path):
    for form, name in (("zip of csv", "cut.zip"), ("tar.gz of csv", "cut.tar.gz")):
        data = forms[form].read_bytes()
        (tmp_path / name).write_bytes(data[: len(data) // 2])
        with pytest.raises(UserError, match=rf"{name}: (begins like a zip|the archive is damaged)"):
            read_faces(tmp_path / name, FER)


def test_empty_places_say_what_is_wanted(tmp_path):
    with pytest.raises(UserError, match="no such file or folder"):
        read_faces(tmp_path / "nothing", FER)
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "readme.txt").write_text("hello")
    with pytest.raises(UserError, match=r"holds neither fer2013.csv.*but readme.txt"):
        read_faces(tmp_path / "empty", FER)


def test_fer2013_csv_goes_before_other_files(samples, tmp_path):
    samples.csv(tmp_path / "kaggle" / "train.csv", ("emotion", "pixels"))
    samples.csv(tmp_path / "kaggle" / "icml_face_data.csv", ("emotion", " Usage", " pixels"))
    faces = read_faces(zipped(tmp_path / "kaggle", tmp_path / "kaggle.zip"), FER)
    assert faces.usage is not None
    assert faces.form == "csv in a zip"
