"""A collection of larger, coloured faces: every step follows its form, which never changes."""

import io
import shutil

import numpy as np
import pytest
from collect_portraits import FakeDetector, drawn_picture, store_picture
from collect_rows import decide
from fer_forms import drawn_store
from PIL import Image
from starlette.testclient import TestClient

from fer_lightning.collect.review.server import Review, application
from fer_lightning.collect.steps.dedupe import dedupe, fer2013_of
from fer_lightning.collect.steps.detect import detect
from fer_lightning.collect.steps.export import export
from fer_lightning.collect.steps.merge import merge
from fer_lightning.collect.steps.purge import purge
from fer_lightning.collect.store.collection import Collection
from fer_lightning.collect.store.form import chosen_form, pixels_of
from fer_lightning.data.fer2013 import load
from fer_lightning.data.ingest import ingest
from fer_lightning.errors import UserError
from fer_lightning.faces.find import find_face, recipe
from fer_lightning.faces.image_form import FER2013_FORM, ImageForm
from fer_lightning.faces.settings import FaceRules

LARGE = ImageForm(112, color=True)
PICTURES = 6


def collected(root, form=LARGE) -> Collection:
    """A collection with the faces of drawn images, detected in this form."""
    collection = Collection(root)
    for seed in range(PICTURES):
        store_picture(collection, drawn_picture(seed))
    detect(collection, detector=FakeDetector(), rules=FaceRules(), form=form)
    return collection


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    root = tmp_path_factory.mktemp("large")
    collected(root).close()
    return root


@pytest.fixture
def collection(large, tmp_path):
    with Collection(shutil.copytree(large, tmp_path / "collection")) as copy:
        yield copy


def exported(collection, folder):
    """Accept all faces, export them, and return {face: pixels} of the collection."""
    dedupe(collection, fer2013=None)
    faces = collection.rows("SELECT id, crop FROM face ORDER BY id")
    for number, row in enumerate(faces):
        decide(collection, row["id"], label="frustration" if number % 2 else "boredom")
    merge(collection)
    export(collection, folder=folder)
    return {row["id"]: pixels_of(row["crop"]) for row in faces}


def test_faces_are_cut_from_the_photograph_in_the_form_of_the_collection(collection):
    rows = collection.rows("SELECT face.*, file FROM face JOIN picture USING (image)")
    assert len(rows) == PICTURES
    for row in rows:
        stored = np.asarray(Image.open(collection.file(row["file"])))
        assert np.array_equal(pixels_of(row["crop"]), find_face(stored, FakeDetector(), FaceRules(), LARGE).crop)
        assert row["rules"] == recipe(FakeDetector(), FaceRules(), LARGE) != recipe(FakeDetector(), FaceRules())


def test_the_review_page_shows_them(collection):
    dedupe(collection, fer2013=None)
    options = {
        "emotion": "frustration",
        "annotator": "anna",
        "pass_": 1,
        "classes": ("frustration",),
        "definitions": {},
    }
    app = application(Review(collection, **options), token="t" * 32, port=8765, finish=lambda: None)
    page = TestClient(app, base_url="http://127.0.0.1:8765")
    page.get("/", params={"token": "t" * 32})
    row = collection.rows("SELECT * FROM face")[0]
    shown = Image.open(io.BytesIO(page.get(f"/img/crop/{row['id']}-{row['crop_id']}.png").content))
    assert np.array_equal(np.asarray(shown), pixels_of(row["crop"]))


def test_a_row_of_a_grey_or_rgb_store_is_found_again(collection, tmp_path):
    crops = [pixels_of(row["crop"]) for row in collection.rows("SELECT crop FROM face ORDER BY id")]
    images = np.stack([FER2013_FORM.fit(crops[0]), FER2013_FORM.fit(np.ascontiguousarray(crops[1][:, ::-1]))])
    np.savez(tmp_path / "faces.npz", images=images, labels=np.array(["happy", "sad"]))
    ingest(str(tmp_path / "faces.npz"), str(tmp_path / "store"))
    dedupe(collection, fer2013=fer2013_of(collection, tmp_path / "store"))
    reasons = collection.rows("SELECT face, reason FROM current_deduped WHERE status = 'copy' ORDER BY face")
    assert [tuple(row) for row in reasons] == [(1, "in FER2013"), (2, "in FER2013 mirrored")]


def test_the_export_is_merged_into_a_store_of_the_same_form_only(collection, tmp_path):
    crops = exported(collection, tmp_path / "out")
    assert "cropped and resized to 112 x 112 pixels" in (tmp_path / "out" / "ATTRIBUTION.md").read_text()
    assert "6 faces of 112 x 112 RGB pixels" in (tmp_path / "out" / "DATASET_CARD.md").read_text()
    custom, same = str(tmp_path / "out" / "custom.csv"), drawn_store(tmp_path / "same", LARGE)
    table = load(same, "learning_game", custom)
    own = table.pixels[np.char.startswith(table.source, custom)]
    assert {face.tobytes() for face in own} == {crop.tobytes() for crop in crops.values()}
    small = drawn_store(tmp_path / "small", FER2013_FORM)
    with pytest.raises(
        UserError, match=r"112 x 112 RGB pixels, and not of 48 x 48 grey, the form of data\.root="
    ) as error:
        load(small, "learning_game", custom)
    assert "make collect SIZE=48 COLOR=no STEPS=root=" in str(error.value)
    assert "make data SIZE=112 COLOR=yes ROOT=" in str(error.value)


def test_a_purged_face_of_another_form_is_found_in_the_export(collection, tmp_path):
    exported(collection, tmp_path / "out")
    (tmp_path / "out" / "provenance.csv").unlink()
    (tmp_path / "out" / "ATTRIBUTION.md").unlink()
    image = collection.value("SELECT image FROM face")
    assert purge(collection, image=image, export_folder=tmp_path / "out").exports == [tmp_path / "out"]


def test_a_collection_has_one_form(collection, tmp_path):
    assert chosen_form(collection, size=None, color=None) == LARGE
    assert chosen_form(collection, size=112, color=True) == LARGE
    with pytest.raises(UserError, match=r"holds faces of 112 x 112 RGB pixels.*Omit both keys") as error:
        chosen_form(collection, size=48, color=None)
    assert f"make collect SIZE=48 COLOR=yes STEPS=root={collection.root}-48" in str(error.value)
    with Collection(tmp_path / "new") as new:
        assert chosen_form(new, size=None, color=None) == FER2013_FORM
        assert chosen_form(new, size=64, color=True) == ImageForm(64, color=True)
    with collected(tmp_path / "former", FER2013_FORM) as former:
        assert chosen_form(former, size=None, color=None) == FER2013_FORM
        with pytest.raises(UserError, match="48 x 48 grey pixels"):
            chosen_form(former, size=None, color=True)
