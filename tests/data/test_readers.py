import io
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from fer_forms import FOLDERS, Samples, tarred, write_forms, zipped
from PIL import Image

from fer_lightning.data.readers.csv_faces import parse_pixels
from fer_lightning.data.readers.reader import read_faces
from fer_lightning.errors import UserError
from fer_lightning.labels import TAXONOMIES, USAGES

FER = TAXONOMIES["fer2013"]
FORMS = (
    "csv",
    "semicolons",
    "tabs",
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
        (f"emotion,pixels,Usage\n0,{ZEROS}\n", "has 2 fields, but the header has 3"),
        ("emotion,pixels,Usage\n0,1 2 3,Training\n", "has 3 pixels"),
        (f'emotion,pixels,Usage\n0,"{ZEROS},Training\n', "quotes are not closed"),
        ("emotion,pixels,Usage\n", "has a header but no rows"),
        ("", "the first line has no column `pixels`"),
        (f"0,{ZEROS},Training\n", "the first line has no column `pixels`"),
        (f"pixels\n{ZEROS}\n", "the first line has no column `emotion`.*test.csv has no labels"),
        ("emotion,pixels\n" + "0" * 70_000, "line 2: the line is longer than 64 KiB"),
        (f"emotion,pixels,Usage,Emotion\n0,{ZEROS},Training,0\n", "names `emotion` twice"),
        (f"emotion,pixels, pixels\n0,{ZEROS},{ZEROS}\n", "names `pixels` twice"),
        (
            f"emotion|pixels\n0|{ZEROS}\n",
            r"the first line has no column `pixels` \('emotion\|pixels'\).*separated by commas, semicolons or tabs",
        ),
        (f'"emotion,pixels\n0,{ZEROS}\n', r"the first line is not a valid CSV row \(unexpected end"),
        (f"emotion,pixels\r0,{ZEROS}\r", "the lines end in CR only"),
        (f"emotion,pixels\r\n0,{ZEROS}\r1,{ZEROS}\r\n", "row 0 .line 2.: the line has a carriage return"),
        (f"emotion,pixels\n0,{ZEROS}\n1,0 0", r"row 1 \(line 3\): .* has 2 pixels.*may be incomplete"),
        ("emotion,Usage,pixels\n0,Trai", r"row 0 \(line 2\): .* has 2 fields.*may be incomplete"),
        (f"emotion,pixels,source\n0,{ZEROS},{'x' * 201}\n", "source is 'xxx.*up to 200 characters"),
        (f"emotion,pixels,source\n0,{ZEROS},a\tb\n", r"source is 'a\\tb'"),
    ],
)
def test_bad_csv_names_file_and_row(body, message, tmp_path):
    path = tmp_path / "bad.csv"
    path.write_bytes(body.encode())
    with pytest.raises(UserError, match=message):
        read_faces(path, FER)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_other_encodings_are_named_with_the_way_to_mend_them(encoding, tmp_path):
    (tmp_path / "wide.csv").write_text(f"emotion,pixels\n0,{ZEROS}\n", encoding=encoding)
    with pytest.raises(UserError, match=r"wide\.csv: the first line is not UTF-8.*iconv -f UTF-16 -t UTF-8"):
        read_faces(tmp_path / "wide.csv", FER)


def test_latin_1_is_refused_where_it_is_read_and_no_matter_elsewhere(tmp_path):
    path = tmp_path / "latin.csv"
    path.write_bytes(f"emotion,pixels\nglücklich,{ZEROS}\n".encode("latin-1"))
    with pytest.raises(UserError, match=r"row 0 \(line 2\): b'gl\\xfccklich' is not UTF-8"):
        read_faces(path, FER)
    path.write_bytes(f"emotion,pixels,källa\n3,{ZEROS},glücklich\n".encode("latin-1"))
    assert read_faces(path, FER).labels.tolist() == [3]


def test_the_column_source_names_what_rows_have_in_common(tmp_path):
    path = tmp_path / "own.csv"
    path.write_text(f'Source,emotion,pixels\nAnna ,0,{ZEROS}\n"Bérénice, 2",1,{ZEROS}\n,2,{ZEROS}\nAnna,3,{ZEROS}\n')
    faces = read_faces(path, FER)
    assert faces.source == ["Anna", "Bérénice, 2", "row 2", "Anna"]
    assert faces.notes == ["the column source has 3 different sources in 4 rows"]


def test_competition_folder_leaves_out_the_unlabelled_rows(samples, tmp_path):
    samples.csv(tmp_path / "train.csv", ("emotion", "pixels"), quote=True)
    samples.csv(tmp_path / "test.csv", ("pixels",), quote=True)
    faces = read_faces(tmp_path, FER)
    assert len(faces.labels) == len(samples.rows)
    assert faces.usage is None
    assert "the official test score is unknown" in faces.notes[0]


def test_two_folder_form_says_that_test_is_merged(samples, tmp_path):
    merged = FOLDERS | {"PublicTest": "Test", "PrivateTest": "Test"}
    faces = read_faces(samples.folders(tmp_path / "two", merged), FER)
    assert set(faces.usage.tolist()) == {USAGES.index("Training"), USAGES.index("PrivateTest")}
    assert "merges PublicTest and PrivateTest" in faces.notes[0]


def image_folder(root: Path, **images: Image.Image | np.ndarray) -> Path:
    (root / "happy").mkdir(exist_ok=True)
    for name, image in images.items():
        image = Image.fromarray(image) if isinstance(image, np.ndarray) else image
        image.save(root / "happy" / f"{name}.png")
    return root


def test_other_sizes_colours_and_depths_are_converted_and_counted(tmp_path):
    random = np.random.default_rng(0)
    large = random.integers(0, 256, (96, 96), np.uint8)
    colour = random.integers(0, 256, (48, 48, 3), np.uint8)
    deep = random.integers(0, 65536, (48, 48), np.uint16)
    palette = Image.fromarray(colour).quantize(32)
    faces = read_faces(image_folder(tmp_path, a=large, b=colour, c=deep, d=palette), FER)
    assert np.array_equal(faces.pixels[0], cv2.resize(large, (48, 48), interpolation=cv2.INTER_AREA))
    assert np.abs(faces.pixels[1] - colour @ [0.299, 0.587, 0.114]).max() <= 1
    assert np.array_equal(faces.pixels[2], deep >> 8)
    assert np.abs(faces.pixels[3] - np.asarray(palette.convert("RGB")) @ [0.299, 0.587, 0.114]).max() <= 1
    assert faces.notes == [
        "1 images were not 48 x 48 and were resized",
        "2 images were not grey and were converted to grey",
        "1 images had 16 bits per channel and were reduced to 8",
    ]


def test_16_bits_that_hold_12_are_rejected_by_name(tmp_path):
    folder = image_folder(tmp_path, a=np.random.default_rng(0).integers(0, 4096, (48, 48), np.uint16))
    with pytest.raises(UserError, match=r"happy/a\.png: the image has values from \d+ to 40\d+, .*above 4095"):
        read_faces(folder, FER)


def test_transparent_parts_are_laid_over_black_and_opaque_alpha_changes_nothing(tmp_path):
    grey = np.random.default_rng(0).integers(1, 256, (48, 48), np.uint8)
    alpha = np.full((48, 48), 255, np.uint8)
    opaque = np.dstack([grey, grey, grey, alpha])
    alpha[:24] = 0
    half = np.dstack([grey, grey, grey, alpha])
    palette = Image.fromarray(np.tri(48, dtype=np.uint8), mode="P")
    palette.putpalette([255, 255, 255, 200, 200, 200])
    palette.info["transparency"] = 0
    faces = read_faces(image_folder(tmp_path, a=opaque, b=half, c=palette), FER)
    assert np.array_equal(faces.pixels[0], grey)
    assert np.array_equal(faces.pixels[1], np.where(alpha, grey, 0))
    assert np.array_equal(faces.pixels[2], np.tri(48) * 200)
    assert "2 images were partly transparent; their transparent parts became black" in faces.notes


def test_an_animation_is_refused(tmp_path):
    frames = [Image.new("L", (48, 48), shade) for shade in (0, 100, 200)]
    image_folder(tmp_path)
    frames[0].save(tmp_path / "happy" / "moving.png", save_all=True, append_images=frames[1:])
    with pytest.raises(UserError, match=r"happy/moving\.png: the file is an animation of 3 images"):
        read_faces(tmp_path, FER)


@pytest.mark.parametrize("name", ["moving.gif", "face.WEBP", "face.bmp"])
def test_images_of_other_formats_are_refused_and_other_files_counted(name, samples, tmp_path):
    samples.folders(tmp_path / "fer")
    (tmp_path / "fer" / "train" / "notes.txt").write_text("by hand")
    note = "not read: 1 file (1 .txt), file of another kind, e.g. train/notes.txt"
    assert note in read_faces(tmp_path / "fer", FER).notes
    (tmp_path / "fer" / "train" / "happy" / name).write_bytes(b"GIF89a")
    with pytest.raises(UserError, match=f"train/happy/{name}: only PNG and JPEG images are read. Convert the"):
        read_faces(tmp_path / "fer", FER)


@pytest.mark.parametrize("place", ["train/disgust", "val"])
@pytest.mark.parametrize("kind", ["folder", "zip", "tar"])
def test_a_class_or_split_folder_without_images_is_refused(place, kind, samples, tmp_path):
    folder = samples.folders(tmp_path / "fer")
    for path in (folder / place).rglob("*.png"):
        path.unlink()
    (folder / "unrelated").mkdir()
    pack = {"folder": lambda source, _: source, "zip": zipped, "tar": tarred}[kind]
    with pytest.raises(
        UserError, match=rf"(fer/)?{place}(/angry)?: this folder holds no PNG or JPEG image. Put the faces"
    ):
        read_faces(pack(folder, tmp_path / f"fer.{kind}"), FER)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("train/contempt/x.png", "train/contempt/x.png: unknown label 'contempt'"),
        ("holdout/happy/x.png", "'holdout' is not the name of a split"),
        ("happy/x.png", "happy: this class folder is next to split folders"),
        ("train/happy/person/deep/x.png", r"images must be in train\|val\|test/<class>/"),
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


def test_what_is_no_image_is_refused_without_a_python_object(tmp_path):
    image_folder(tmp_path)
    (tmp_path / "happy" / "x.png").write_bytes(b"no image")
    with pytest.raises(UserError, match=r"happy/x\.png: not a readable PNG or JPEG \(it has another") as refused:
        read_faces(tmp_path, FER)
    assert "object at" not in str(refused.value)


def test_cut_image_is_refused(tmp_path):
    (tmp_path / "happy").mkdir()
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (48, 48), np.uint8)).save(buffer, "JPEG")
    (tmp_path / "happy" / "cut.jpg").write_bytes(buffer.getvalue()[:-400])
    with pytest.raises(UserError, match=r"happy/cut\.jpg: not a readable"):
        read_faces(tmp_path, FER)


def png_header(width: int, height: int) -> bytes:
    """A PNG of one bit a pixel that ends before its data."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header)) + b"\0\0\0\4IDAT"
    )


@pytest.mark.parametrize(
    ("size", "message"),
    [
        ((9000, 10), "9000 x 10 pixels; allowed are 8192 per side and 40,000,000 in total"),
        ((8000, 8000), "8000 x 8000 pixels; allowed"),
        ((10_000, 10_000), "10000 x 10000 pixels; allowed"),
        ((50_000, 50_000), "exceeds limit .*the limit is 40,000,000 pixels"),
    ],
)
def test_huge_image_is_refused_before_it_is_decoded(size, message, tmp_path):
    image_folder(tmp_path)
    (tmp_path / "happy" / "huge.png").write_bytes(png_header(*size))
    with pytest.raises(UserError, match=rf"happy/huge\.png: .*{message}"):
        read_faces(tmp_path, FER)


def test_empty_places_say_what_is_wanted(tmp_path):
    with pytest.raises(UserError, match="no such file or folder"):
        read_faces(tmp_path / "nothing", FER)
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "readme.txt").write_text("hello")
    with pytest.raises(UserError, match=r"there must be fer2013.csv.*it holds readme.txt"):
        read_faces(tmp_path / "empty", FER)


def test_fer2013_csv_goes_before_other_files(samples, tmp_path):
    samples.csv(tmp_path / "kaggle" / "train.csv", ("emotion", "pixels"))
    samples.csv(tmp_path / "kaggle" / "icml_face_data.csv", ("emotion", " Usage", " pixels"))
    faces = read_faces(zipped(tmp_path / "kaggle", tmp_path / "kaggle.zip"), FER)
    assert faces.usage is not None
    assert faces.form == "csv in a zip"
