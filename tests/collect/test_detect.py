"""Step `detect`: one row for each stored image, and the same crop as in all other steps."""

import hashlib
import json

import cv2
import numpy as np
import pytest
from collect_portraits import (
    MODEL,
    FakeDetector,
    drawn_picture,
    mirrored,
    portrait,
    rotated,
    shrunk,
    two_faces,
)
from collect_portraits import store_picture as store
from collect_rows import add_candidate, add_fetch, add_page, decide
from PIL import Image

from fer_lightning.collect.images.hashes import as_signed, both_hashes
from fer_lightning.collect.steps import detect as detect_module
from fer_lightning.collect.steps.detect import detect
from fer_lightning.collect.store.collection import Collection
from fer_lightning.data.ingest import ingest
from fer_lightning.data.readers.photographs import Photographs
from fer_lightning.data.store import open_store
from fer_lightning.errors import UserError
from fer_lightning.faces.detector import open_detector
from fer_lightning.faces.find import find_face, recipe
from fer_lightning.faces.settings import FaceRules

RULES = FaceRules()


@pytest.fixture
def collection(tmp_path):
    with Collection(tmp_path / "collection") as opened:
        yield opened


def face_of(collection, image):
    (row,) = collection.rows("SELECT * FROM face WHERE image = ? ORDER BY id DESC LIMIT 1", image)
    return row


def stored_file(collection, image):
    return collection.file(collection.value("SELECT file FROM picture WHERE image = ?", image))


def test_a_face_is_stored_with_all_that_is_known_of_it(collection):
    image = store(collection, drawn_picture(1))
    result = detect(collection, detector=FakeDetector(roll_deg=3.0), rules=RULES)
    assert (result.faces, result.refused) == (1, {})
    row = face_of(collection, image)
    stored = cv2.imread(str(stored_file(collection, image)))[..., ::-1]
    found = find_face(stored, FakeDetector(), RULES)
    assert (row["status"], row["reason"], row["detector"], row["opencv_version"]) == (
        "face",
        None,
        "drawn",
        cv2.__version__,
    )
    assert json.loads(row["box"]) == pytest.approx(found.face.box, abs=0.01)
    assert np.shape(json.loads(row["landmarks"])) == (5, 2)
    assert tuple(json.loads(row["crop_box"])) == found.square
    assert (row["score"], row["roll_deg"], row["n_faces"], row["ambiguous"]) == (0.95, 3.0, 1, 0)
    assert row["face_px"] == pytest.approx(0.92 * found.face.box[3])
    crop = np.frombuffer(row["crop"], np.uint8).reshape(48, 48)
    assert row["crop_id"] == hashlib.sha256(row["crop"]).hexdigest()
    assert (row["phash"], row["phash_mirrored"]) == tuple(map(as_signed, both_hashes(crop)))
    assert row["resize_filter"] == "area"


def test_pictures_without_a_face_to_take_keep_the_reason(collection):
    pictures = {
        "no face": drawn_picture(1, faces=0),
        "too small": drawn_picture(2, face_height=60),
        None: drawn_picture(3),
    }
    images = {reason: store(collection, picture) for reason, picture in pictures.items()}
    result = detect(collection, detector=FakeDetector(), rules=RULES)
    assert (result.faces, result.refused) == (1, {"no face": 1, "too small": 1})
    for reason, image in images.items():
        row = face_of(collection, image)
        assert row["reason"] == reason
        assert (row["crop"] is None) == (row["crop_box"] is None) == (reason is not None)
        assert (row["box"] is None) == (reason == "no face")
    tilted = detect(collection, detector=FakeDetector(roll_deg=-80.0), rules=FaceRules(max_roll_deg=30))
    assert tilted.refused["tilted"] == 1
    assert face_of(collection, images[None])["roll_deg"] == -80


def test_a_second_call_looks_at_new_pictures_alone_and_changed_rules_at_all(collection):
    seen = FakeDetector()
    steps = []
    for seed in range(40):
        store(collection, drawn_picture(seed))
    detect(collection, detector=seen, rules=RULES, progress=lambda *step: steps.append(step))
    assert steps == [(number, 40) for number in range(1, 41)]
    store(collection, drawn_picture(40))
    assert detect(collection, detector=seen, rules=RULES).faces == 1
    assert detect(collection, detector=seen, rules=RULES).faces == 0
    assert seen.seen == 41
    detect(collection, detector=seen, rules=FaceRules(min_score=0.9))
    assert seen.seen == 82
    assert collection.value("SELECT count(DISTINCT rules) FROM face") == 2


def test_images_of_another_search_keep_the_faces_of_their_own_rules(collection):
    """Cropped faces of one emotion, and then photographs of another, with other rules."""
    _, crop, other = (store(collection, drawn_picture(seed)) for seed in range(3))
    for image, query in ((crop, "crops"), (other, "others")):
        add_fetch(collection, add_candidate(collection, add_page(collection, emotion="boredom", query=query)), image)
    detect(collection, detector=FakeDetector(), rules=RULES)
    changed = FaceRules(min_score=0.9)
    detect(collection, detector=FakeDetector(), rules=changed, emotion="boredom", query="crops")
    again = collection.rows("SELECT image FROM face WHERE rules = ?", recipe(FakeDetector(), changed))
    assert [row["image"] for row in again] == [crop]
    new = store(collection, drawn_picture(3))
    detect(collection, detector=FakeDetector(), rules=changed, emotion="boredom", query="crops")
    assert face_of(collection, new) is not None


def test_images_of_another_provider_keep_the_faces_of_their_own_rules(collection):
    """Cropped faces of a folder, and then photographs of the same emotion from a provider."""
    crop, other = (store(collection, drawn_picture(seed)) for seed in range(2))
    for image, provider in ((crop, "local"), (other, "openverse")):
        page = add_page(collection, emotion="boredom", provider=provider)
        add_fetch(collection, add_candidate(collection, page), image)
    detect(collection, detector=FakeDetector(), rules=RULES)
    changed = FaceRules(min_score=0.9)
    detect(collection, detector=FakeDetector(), rules=changed, emotion="boredom", provider="openverse")
    again = collection.rows("SELECT image FROM face WHERE rules = ?", recipe(FakeDetector(), changed))
    assert [row["image"] for row in again] == [other]


def test_rules_that_come_back_count_again_and_decided_faces_stay(collection):
    for seed in range(3):
        store(collection, drawn_picture(seed))
    looser, stricter = FaceRules(min_score=0.5), FaceRules(min_score=0.9)
    for rules in (looser, stricter, looser):
        detect(collection, detector=FakeDetector(), rules=rules)
        assert collection.value("SELECT count(*) FROM current_face WHERE rules = ?", recipe(FakeDetector(), rules)) > 0
    face = collection.value("SELECT max(id) FROM current_face")
    decide(collection, face)
    detect(collection, detector=FakeDetector(), rules=stricter)
    assert collection.value("SELECT count(*) FROM current_face WHERE id = ?", face) == 1


def test_what_was_found_before_it_was_stopped_is_kept(collection, monkeypatch):
    """Ctrl-C keeps all faces; a kill keeps all but the last few, which are detected again."""
    for seed in range(10):
        store(collection, drawn_picture(seed))
    monkeypatch.setattr(detect_module, "AT_ONCE", 4)

    def stop_at(number, error):
        def progress(done, total):
            if done == number:
                raise error

        with pytest.raises(type(error)):
            detect(collection, detector=FakeDetector(), rules=RULES, progress=progress)

    stop_at(6, KeyboardInterrupt())
    assert collection.value("SELECT count(*) FROM face") == 6
    monkeypatch.setattr(detect_module, "_keep", lambda *_: None)
    stop_at(3, KeyboardInterrupt())
    monkeypatch.undo()
    detect(collection, detector=FakeDetector(), rules=RULES)
    assert collection.value("SELECT count(*) FROM face") == 10
    assert collection.value("SELECT count(DISTINCT image) FROM face") == 10


@pytest.mark.parametrize("damage", ["missing", "cut", "changed"])
def test_a_damaged_file_is_told_at_the_end_and_the_others_are_looked_at(damage, collection):
    images = sorted(store(collection, drawn_picture(seed)) for seed in range(3))
    file = stored_file(collection, images[1])
    data = file.read_bytes()
    file.unlink() if damage == "missing" else file.write_bytes(data[:-9] if damage == "cut" else data + b"?")
    with pytest.raises(UserError, match=rf"1 of 3 images .*such as {file}\. .* verify .*`fetch`"):
        detect(collection, detector=FakeDetector(), rules=RULES)
    assert collection.value("SELECT count(*) FROM face WHERE status = 'face'") == 2
    file.write_bytes(data)
    detect(collection, detector=FakeDetector(), rules=RULES)
    assert collection.value("SELECT count(*) FROM face WHERE status = 'face'") == 3


def test_the_collector_a_folder_and_a_direct_call_cut_the_same_pixels(collection, tmp_path):
    yunet = open_detector(MODEL)
    pictures = {
        "plain": portrait(),
        "turned": rotated(portrait(), 20),
        "mirrored": mirrored(portrait()),
        "two": two_faces(0.9),
        "small": shrunk(portrait(), 400),
        "grey": cv2.cvtColor(portrait(), cv2.COLOR_RGB2GRAY),
    }
    images = {name: store(collection, picture) for name, picture in pictures.items()}
    (tmp_path / "photos" / "happy").mkdir(parents=True)
    for name, image in images.items():
        (tmp_path / "photos" / "happy" / f"{name}.jpg").write_bytes(stored_file(collection, image).read_bytes())
    detect(collection, detector=yunet, rules=RULES)
    ingest(str(tmp_path / "photos"), str(tmp_path / "store"), photographs=Photographs(yunet, RULES))
    ingested = open_store(tmp_path / "store")
    crops = dict(zip(ingested.source, ingested.pixels, strict=True))
    assert len(crops) == len(pictures)
    for name, image in images.items():
        row = face_of(collection, image)
        direct = find_face(np.asarray(Image.open(stored_file(collection, image))), yunet, RULES)
        assert row["crop"] == crops[f"happy/{name}.jpg"].tobytes() == direct.crop.tobytes()
        assert row["ambiguous"] == (name == "two")
