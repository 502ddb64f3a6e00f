"""Stores of larger and coloured faces; FER2013's stay 48 x 48 grey."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from fer_forms import Samples
from PIL import Image

from fer_lightning.audit.audit import table_of
from fer_lightning.data.duplicates import blank, copies_of
from fer_lightning.data.fer2013 import load
from fer_lightning.data.ingest import ingest, main
from fer_lightning.data.readers.reader import read_faces
from fer_lightning.data.splits import make_split
from fer_lightning.data.store import color_problem, open_store, read_manifest
from fer_lightning.errors import UserError
from fer_lightning.faces.crop import crop_face
from fer_lightning.faces.face import Face
from fer_lightning.faces.image_form import ImageForm
from fer_lightning.labels import TAXONOMIES
from fer_lightning.pages.thumbnails import address

FER = TAXONOMIES["fer2013"]
LARGE, GREY = ImageForm(64, color=True), ImageForm(64)


def colours(root: Path, classes=FER.classes, count: int = 5, side: int = 64) -> Path:
    """train|val|test/<class>/ with RGB noise; the first and second image of a class are the same."""
    random = np.random.default_rng(0)
    for split, number in (("train", count), ("val", 2), ("test", 2)):
        for name in classes:
            (root / split / name).mkdir(parents=True)
            images = random.integers(0, 256, (number, side, side, 3), np.uint8)
            images[1] = images[0]
            for place, image in enumerate(images):
                Image.fromarray(image).save(root / split / name / f"{place}.png")
    return root


@pytest.fixture(scope="module")
def faces(tmp_path_factory) -> Path:
    return colours(tmp_path_factory.mktemp("faces"))


@pytest.fixture(scope="module")
def store(faces, tmp_path_factory) -> str:
    root = tmp_path_factory.mktemp("store")
    ingest(str(faces), str(root), form=LARGE)
    return str(root)


@pytest.mark.parametrize("form", [LARGE, GREY, ImageForm(48, color=True), ImageForm(32)])
def test_images_are_kept_in_the_form_that_is_asked_for(form, faces):
    read = read_faces(faces, FER, form=form)
    assert read.pixels.shape == (63, *form.shape)
    image = np.asarray(Image.open(faces / read.source[0]))
    wanted = image if form.color else np.asarray(Image.open(faces / read.source[0]).convert("L"))
    side = (form.size, form.size)
    assert np.array_equal(read.pixels[0], cv2.resize(wanted, side, interpolation=cv2.INTER_AREA))
    assert any("were not" in note and "resized" in note for note in read.notes) == (form.size != 64)


def test_grey_images_of_an_rgb_store_have_equal_channels_and_are_counted(tmp_path):
    pixels = Samples().pixels[:2]
    (tmp_path / "happy").mkdir()
    for place, image in enumerate(pixels):
        Image.fromarray(image).save(tmp_path / "happy" / f"{place}.png")
    faces = read_faces(tmp_path, FER, form=ImageForm(48, color=True))
    assert np.array_equal(faces.pixels, pixels[..., None].repeat(3, 3))
    assert "2 images were grey: their three channels are equal" in faces.notes


def test_a_store_of_larger_rgb_faces_is_opened_split_and_audited(store):
    assert read_manifest(Path(store))["image"] == [64, 64, 3]
    assert open_store(Path(store)).pixels.shape == (63, 64, 64, 3)
    table = load(store)
    assert table.form == LARGE
    copies = copies_of(table)
    assert copies.images.max() + 1 == 42
    assert copies.near.rows.shape == (0, 2)
    for split in ("official", "official_dedup", "clean", "stratified"):
        assert len(make_split(table, split).train)
    assert len(table_of(store)) == 63


def test_near_copies_are_found_at_any_size(tmp_path):
    image = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8), (0, 0), 4)
    for place, one in enumerate((image, image[:, ::-1], 255 - image, np.clip(image + 3.0, 0, 255).astype(np.uint8))):
        (tmp_path / "faces" / "sad").mkdir(parents=True, exist_ok=True)
        Image.fromarray(one).save(tmp_path / "faces" / "sad" / f"{place}.png")
    ingest(str(tmp_path / "faces"), str(tmp_path / "store"), form=LARGE)
    near = copies_of(table_of(str(tmp_path / "store"))).near
    assert len(near.rows) == 3
    assert sorted(near.mirrored.tolist()) == [False, True, True]


def test_one_color_is_blank():
    pixels = np.zeros((3, 64, 64, 3), np.uint8)
    pixels[0] = (10, 20, 30)
    pixels[1, 5, 5, 1] = 1
    assert blank(pixels, np.arange(3)).tolist() == [True, False, True]


def test_extra_faces_have_the_form_of_the_store(store, tmp_path):
    colours(tmp_path / "own", ("frustration", "boredom"))
    table = load(store, "learning_game", tmp_path / "own")
    assert table.form == LARGE
    assert np.bincount(table.labels).min() > 0
    Samples().csv(tmp_path / "custom.csv")
    with pytest.raises(UserError, match=r"data\.extra=.*custom\.csv holds faces of 48 x 48 grey pixels, and not of 64"):
        load(store, extra=tmp_path / "custom.csv")


def test_no_two_forms_have_the_same_number_of_values():
    forms = [ImageForm(size, color) for size in range(32, 513) for color in (False, True)]
    assert [ImageForm.of_values(form.values) for form in forms] == forms
    assert [ImageForm.of_values(count) for count in (0, 1, 961, 2303, 513 * 513, 3 * 2305)] == [None] * 6


def csv_of(path: Path, pixels: np.ndarray, quote: str = "") -> Path:
    lines = [f"happy,{quote}{' '.join(map(str, face.ravel()))}{quote}" for face in pixels]
    path.write_text("\n".join(["emotion,pixels", *lines]))
    return path


@pytest.mark.parametrize(("form", "quote"), [(LARGE, ""), (ImageForm(128, color=True), '"'), (ImageForm(32), "")])
def test_a_csv_may_have_faces_of_the_form_that_is_asked_for(form, quote, tmp_path):
    pixels = np.random.default_rng(0).integers(100, 256, (3, *form.shape), np.uint8)
    path = csv_of(tmp_path / "own.csv", pixels, quote)
    assert np.array_equal(read_faces(path, FER, form=form).pixels, pixels)
    used = f"SIZE={form.size} COLOR={'yes' if form.color else 'no'}"
    with pytest.raises(
        UserError, match=rf"own\.csv holds faces of {form.description} pixels, and not of 48.*Use {used}"
    ):
        read_faces(path, FER)


def test_a_csv_of_another_form_is_refused(tmp_path, capsys):
    path = Samples().csv(tmp_path / "fer2013.csv")
    assert main([f"source={path}", f"root={tmp_path / 'store'}", "size=112"]) == 2
    assert "holds faces of 48 x 48 grey pixels, and not of 112 x 112 grey. Omit SIZE" in capsys.readouterr().err


def test_the_form_is_reported_and_a_store_of_another_form_is_written_again(faces, tmp_path, capsys):
    arguments = [f"source={faces}", f"root={tmp_path / 'store'}", "size=64", "color=yes"]
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    assert "faces     64 x 64 RGB pixels" in printed
    assert printed.rstrip().endswith(" model.in_channels=3")
    assert ingest(str(faces), str(tmp_path / "store"), form=LARGE).outcome.startswith("reused")
    assert ingest(str(faces), str(tmp_path / "store")).outcome.startswith("written again: the rules")
    assert read_manifest(tmp_path / "store")["image"] == [48, 48]


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_rgb_faces_need_three_input_channels(channels, store):
    manifest = read_manifest(Path(store))
    assert f"model.in_channels={channels}: the faces of the store are RGB" in color_problem(manifest, channels)
    assert color_problem(manifest, 3) is None
    assert color_problem({}, channels) is None


def test_faces_of_photographs_are_cut_in_the_form_that_is_asked_for():
    image = np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8)
    cut, (x, y, side, _) = crop_face(image, Face((50, 40, 70, 100), 0.9), LARGE)
    square = image[y : y + side, x : x + side]
    assert np.array_equal(cut, cv2.resize(square, (64, 64), interpolation=cv2.INTER_AREA))


def test_pages_show_rgb_faces():
    assert address(np.zeros((48, 48), np.uint8)) != address(np.zeros((48, 48, 3), np.uint8))
