"""Arrays of NumPy and Parquet files hold images and labels; numbers as labels need a map."""

import importlib
import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from fer_forms import Samples, zipped
from PIL import Image

from fer_lightning.data.readers.reader import read_faces
from fer_lightning.errors import UserError
from fer_lightning.faces.image_form import ImageForm
from fer_lightning.labels import TAXONOMIES, USAGES

FER = TAXONOMIES["fer2013"]
CODED = FER.numbered("fer2013")
PIXELS = np.random.default_rng(0).integers(0, 256, (5, 48, 48), np.uint8)
LABELS = np.array([3, 4, 0, 6, 3])
NAMES = np.array([FER.classes[code] for code in LABELS])


def saved(root: Path, **arrays) -> Path:
    np.savez(root / "faces.npz", **arrays)
    return root / "faces.npz"


@pytest.mark.parametrize(
    "images",
    [
        PIXELS,
        PIXELS[..., None],
        PIXELS[:, None],
        PIXELS.reshape(5, -1),
        PIXELS.astype(np.int64),
        PIXELS / np.float32(255),
        PIXELS.astype(float),
        PIXELS[..., None].repeat(3, 3),
    ],
)
@pytest.mark.parametrize("labels", [NAMES, LABELS, LABELS[:, None].astype(float)])
def test_shapes_types_and_labels_of_arrays(images, labels, tmp_path):
    faces = read_faces(saved(tmp_path, images=images, labels=labels), CODED)
    assert np.array_equal(faces.pixels, PIXELS)
    assert faces.labels.tolist() == LABELS.tolist()
    assert faces.usage is None
    assert len(set(faces.source)) == 5


def test_numbers_without_a_map_are_refused_with_the_maps(tmp_path):
    with pytest.raises(UserError, match=r"emotion\.npy: the label 0 is a number.*LABELS=NAME \(one of affectnet"):
        read_faces(saved(tmp_path, pixels=PIXELS, emotion=LABELS), FER)


@pytest.mark.parametrize("pack", [None, zipped])
def test_arrays_of_each_split(pack, tmp_path):
    folder = tmp_path / "faces"
    folder.mkdir()
    for name, count in (("train", 5), ("val", 2), ("test", 3)):
        np.save(folder / f"x_{name}.npy", PIXELS[:count])
        np.save(folder / f"y_{name}.npy", NAMES[:count])
    (folder / "README.txt").write_text("about")
    faces = read_faces(pack(folder, tmp_path / "faces.zip") if pack else folder, FER)
    assert np.bincount(faces.usage).tolist() == [5, 2, 3]
    assert any("file of another kind, e.g. " in note for note in faces.notes)


def test_usage_and_source_are_columns(tmp_path):
    usage, source = np.array([*USAGES, "train", "val"]), np.array(["Anna", "Ben", "Cleo", "Anna", "Ben"])
    faces = read_faces(saved(tmp_path, images=PIXELS, labels=NAMES, usage=usage, source=source), FER)
    assert faces.usage.tolist() == [0, 1, 2, 0, 1]
    assert faces.source == source.tolist()


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"images": PIXELS}, "its array of labels is missing"),
        (
            {"images": PIXELS, "labels": NAMES[:4]},
            r"labels\.npy: the array has 4 x 1 values; it must have one for each of",
        ),
        ({"images": PIXELS, "labels": np.eye(5)}, "the array has 5 x 5 values"),
        ({"images": PIXELS, "labels": np.array(["glad"] * 5)}, r"labels\.npy: unknown label 'glad'"),
        ({"images": PIXELS * 2.0, "labels": NAMES}, "images must be whole numbers from 0 to 255, or fractions"),
        ({"images": PIXELS[:, 0, :7], "labels": NAMES}, r"the shape is \(5, 7\)"),
        ({"images": PIXELS[:0], "labels": NAMES[:0]}, r"this array is empty \(its shape is \(0, 48, 48\)\)"),
        ({"images": PIXELS, "labels": NAMES, "usage": np.array(["x"] * 5)}, "'x' is not a split; allowed: Training"),
        ({"images": np.array([{}]), "labels": NAMES}, "this array cannot be read"),
        ({"images": PIXELS, "labels": np.array("sad")}, r"labels\.npy: this array is empty"),
        ({"a": PIXELS, "b": NAMES}, "these names of arrays are not known"),
        ({"images": PIXELS, "pixels": PIXELS, "labels": NAMES}, "both are images of one split"),
        (
            {"x_train": PIXELS, "y_train": NAMES, "x": PIXELS, "y": NAMES},
            "this array has no split, but others have one",
        ),
    ],
)
def test_arrays_that_do_not_fit_are_refused(arrays, message, tmp_path):
    with pytest.raises(UserError, match=message):
        read_faces(saved(tmp_path, **arrays), FER)


def test_arrays_beside_images_are_counted_and_named(tmp_path):
    Samples().folders(tmp_path)
    saved(tmp_path, images=PIXELS, labels=NAMES)
    faces = read_faces(tmp_path, FER)
    assert faces.partly
    assert "1 file (1 .npz), file that may hold faces, beside images that are read, e.g. faces.npz" in " ".join(
        faces.notes
    )


def test_a_folder_of_an_npz_names_it(tmp_path):
    saved(tmp_path, images=PIXELS, labels=NAMES)
    with pytest.raises(UserError, match=r"Name the file of arrays itself: faces\.npz"):
        read_faces(tmp_path, FER)


def test_parquet_without_pyarrow_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    with pytest.raises(UserError, match=r"pyarrow is not installed.*pip install 'fer_lightning\[parquet\]'"):
        read_faces(tmp_path, FER)


def png(image: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()


def parquet(path: Path, metadata=None, **columns) -> Path:
    pyarrow = pytest.importorskip("pyarrow", reason="the extra `parquet` is not installed")
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pyarrow.table(columns)
    importlib.import_module("pyarrow.parquet").write_table(table.replace_schema_metadata(metadata), path)
    return path


@pytest.mark.parametrize(
    "images",
    [
        [{"bytes": png(image), "path": "a.png"} for image in PIXELS],
        [png(image) for image in PIXELS],
        PIXELS.tolist(),
        [" ".join(map(str, image.ravel())) for image in PIXELS],
    ],
    ids=["struct", "bytes", "lists", "text"],
)
def test_images_of_parquet_files(images, tmp_path):
    for name in ("train", "validation", "test"):
        parquet(tmp_path / "data" / f"{name}-00000-of-00001.parquet", image=images, label=NAMES.tolist())
    faces = read_faces(tmp_path, FER)
    assert np.array_equal(faces.pixels[:5], PIXELS)
    assert np.bincount(faces.usage).tolist() == [5, 5, 5]
    assert sorted(faces.labels.tolist()) == sorted([*LABELS, *LABELS, *LABELS])


def test_a_text_of_pixels_in_parquet_has_the_size_of_the_store(tmp_path):
    face = (np.arange(64 * 64) % 256).astype(np.uint8).reshape(64, 64)
    path = parquet(tmp_path / "a.parquet", image=[" ".join(map(str, face.ravel()))], label=["sad"])
    assert np.array_equal(read_faces(path, FER, form=ImageForm(64)).pixels[0], face)
    with pytest.raises(UserError, match=r"row 0: the row has 4,096 pixels; a face of 48 x 48 has 2,304"):
        read_faces(path, FER)


def test_names_of_classes_in_the_metadata_of_parquet(tmp_path):
    features = {"label": {"names": ["sad", "joy"], "_type": "ClassLabel"}}
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    path = parquet(tmp_path / "a.parquet", metadata, image=[png(PIXELS[0])] * 2, label=[1, 0])
    assert read_faces(path, FER).labels.tolist() == [FER.index("happy"), FER.index("sad")]
    path = parquet(tmp_path / "a.parquet", image=[png(PIXELS[0])] * 2, label=[1, 0])
    with pytest.raises(UserError, match=r"a\.parquet, row 0: the label 1 is a number.*LABELS=NAME"):
        read_faces(path, FER)
    assert read_faces(path, CODED).labels.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"photo": [b""], "label": ["sad"]}, r"no column image or img.*the file has photo, label"),
        ({"image": [None], "label": ["sad"]}, "row 0: the image is empty"),
        ({"image": [b"x"], "label": [None]}, "row 0: the label is empty"),
        ({"image": [b"x"], "label": ["sad"]}, r"a\.parquet, row 0: not a readable PNG or JPEG"),
        ({"image": ["1 2"], "label": ["sad"]}, "row 0: the row has 2 pixels"),
        ({"image": [[[1]], [[1], [2]]], "label": ["sad"] * 2}, "All must have one shape"),
    ],
)
def test_rows_of_parquet_that_cannot_be_read_are_named(columns, message, tmp_path):
    with pytest.raises(UserError, match=message):
        read_faces(parquet(tmp_path / "a.parquet", **columns), FER)


def test_a_damaged_parquet_file_is_named(tmp_path):
    pytest.importorskip("pyarrow", reason="the extra `parquet` is not installed")
    (tmp_path / "a.parquet").write_bytes(b"PAR1 damaged PAR1")
    with pytest.raises(UserError, match=r"a\.parquet: this Parquet file cannot be read"):
        read_faces(tmp_path, FER)
    assert "pyarrow" in sys.modules


def test_a_text_with_the_name_of_an_array_is_not_called_pickled(tmp_path):
    for name in ("images.npy", "labels.npy"):
        (tmp_path / name).write_text("this is a text\n")
    with pytest.raises(UserError, match=r"\.npy: this array cannot be read \(it does not begin as such a file\)"):
        read_faces(tmp_path, FER)
