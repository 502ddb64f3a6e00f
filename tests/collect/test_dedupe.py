import cv2
import numpy as np
import pytest
from collect_rows import add_face, add_page, decide, drawn

from fer_lightning.collect.images.hashes import as_hash, as_signed, both_hashes, distances, phash
from fer_lightning.collect.steps.dedupe import dedupe, fer2013_of
from fer_lightning.collect.store.collection import Collection
from fer_lightning.data.ingest import ingest
from fer_lightning.labels import USAGES


@pytest.fixture
def collection(tmp_path):
    with Collection(tmp_path / "collection") as opened:
        yield opened


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A store of twelve drawn faces, numbers 100 to 111."""
    root = tmp_path_factory.mktemp("store")
    lines = ["emotion,pixels,Usage"]
    for number in range(100, 112):
        lines.append(f"{number % 7},{' '.join(map(str, drawn(number).ravel()))},{USAGES[number % 3]}")
    (root / "fer2013.csv").write_text("\n".join(lines))
    ingest(str(root / "fer2013.csv"), str(root / "store"))
    return root / "store"


def verdicts(collection: Collection) -> dict[int, tuple]:
    rows = collection.rows("SELECT face, status, reason, kept_face FROM current_deduped ORDER BY face")
    return {row["face"]: tuple(row)[1:] for row in rows}


def test_hash_survives_what_copies_go_through():
    picture = cv2.resize(drawn(1), (480, 480), interpolation=cv2.INTER_CUBIC)
    saved = cv2.imdecode(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 40])[1], cv2.IMREAD_GRAYSCALE)
    smaller = cv2.resize(picture, (240, 240), interpolation=cv2.INTER_AREA)
    brighter = np.clip(picture * 1.1 + 5, 0, 255).astype(np.uint8)
    for copy in (saved, smaller, brighter):
        assert (phash(copy) ^ phash(picture)).bit_count() <= 6


def test_hash_tells_pictures_and_mirror_images_apart():
    hashes = np.array([phash(drawn(seed)) for seed in range(60)], np.uint64)
    apart = np.concatenate([distances(int(hashes[row]), hashes[row + 1 :]) for row in range(59)])
    assert apart.min() > 10
    straight, mirrored = both_hashes(drawn(3))
    assert phash(drawn(3)[:, ::-1].copy()) == mirrored
    assert (straight ^ mirrored).bit_count() > 10


def test_hashes_come_back_from_the_database_as_they_were():
    for value in (0, 1, (1 << 63) - 1, 1 << 63, (1 << 64) - 1):
        assert as_hash(as_signed(value)) == value
        assert -(1 << 63) <= as_signed(value) < 1 << 63


def test_copies_and_mirror_images_are_set_aside(collection):
    page = add_page(collection)
    first = add_face(collection, page, drawn(1))
    copy = add_face(collection, page, drawn(1))
    mirrored = add_face(collection, page, drawn(1)[:, ::-1].copy())
    other = add_face(collection, page, drawn(2))
    result = dedupe(collection, fer2013=None)
    assert verdicts(collection) == {
        first: ("unique", None, None),
        copy: ("copy", "same image", first),
        mirrored: ("copy", "same image mirrored", first),
        other: ("unique", None, None),
    }
    assert (result.unique, result.copies, result.flagged) == (2, 2, 0)


def test_the_freer_and_then_the_larger_copy_is_kept(collection):
    page = add_page(collection)
    restricted = add_face(collection, page, drawn(1), licence="by-nc")
    free = add_face(collection, page, drawn(1), licence="cc0")
    dedupe(collection, fer2013=None)
    assert verdicts(collection)[free][0] == "unique"
    assert verdicts(collection)[restricted] == ("copy", "same image", free)


def test_what_was_kept_stays_kept(collection):
    page = add_page(collection)
    restricted = add_face(collection, page, drawn(1), licence="by-nc")
    dedupe(collection, fer2013=None)
    decide(collection, restricted)
    better = add_face(collection, page, drawn(1), licence="cc0")
    dedupe(collection, fer2013=None)
    assert verdicts(collection)[restricted][0] == "unique"
    assert verdicts(collection)[better] == ("copy", "same image", restricted)


def test_alike_crops_of_different_pictures_are_flagged_not_dropped(collection):
    page = add_page(collection)
    noise = np.random.default_rng(0).integers(0, 8, (48, 48), dtype=np.uint8)
    first = add_face(collection, page, drawn(1), picture=drawn(10))
    second = add_face(collection, page, (drawn(1) // 2 + 40 + noise).astype(np.uint8), picture=drawn(11))
    result = dedupe(collection, fer2013=None)
    assert {status for status, *_ in verdicts(collection).values()} == {"unique"}
    (like,) = collection.rows("SELECT * FROM likeness")
    assert {like["face"], like["other_face"]} == {first, second}
    assert (like["kind"], like["mirrored"]) == ("crop", 0)
    assert like["distance"] <= 6
    assert result.flagged == 1


def before_one_background(seed: int) -> np.ndarray:
    """uint8 (384, 384): a camera's image, of which a face takes the middle."""
    picture = cv2.resize(drawn(999), (384, 384), interpolation=cv2.INTER_CUBIC)
    picture[144:240, 144:240] = cv2.resize(drawn(seed), (96, 96), interpolation=cv2.INTER_CUBIC) // 8 + 100
    return picture


def test_people_before_one_camera_are_no_copies_of_each_other(collection):
    page = add_page(collection)
    places = {"crop_box": "[1152, 1152, 768, 768]"}
    made = [
        add_face(collection, page, drawn(seed), picture=before_one_background(seed), face=places) for seed in range(6)
    ]
    again = add_face(collection, page, drawn(2), picture=before_one_background(2), face=places)
    hashes = [as_hash(row["phash"]) for row in collection.rows("SELECT phash FROM picture")]
    assert distances(hashes[0], np.array(hashes, np.uint64)).max() <= 10
    dedupe(collection, fer2013=None)
    assert {face: verdicts(collection)[face][0] for face in made} == dict.fromkeys(made, "unique")
    assert verdicts(collection)[again] == ("copy", "same image", made[2])
    assert collection.value("SELECT count(*) FROM likeness WHERE kind = 'picture'") > 5


def test_rows_of_fer2013_do_not_come_back(collection, store):
    page = add_page(collection)
    fer2013 = fer2013_of(collection, store)
    copy = add_face(collection, page, drawn(104), picture=drawn(1))
    mirrored = add_face(collection, page, drawn(105)[:, ::-1].copy(), picture=drawn(2))
    new = add_face(collection, page, drawn(5), picture=drawn(3))
    dedupe(collection, fer2013=fer2013)
    assert verdicts(collection) == {
        copy: ("copy", "in FER2013", None),
        mirrored: ("copy", "in FER2013 mirrored", None),
        new: ("unique", None, None),
    }
    rows = collection.rows("SELECT * FROM likeness ORDER BY face")
    assert [row["fer2013_usage"] for row in rows] == [USAGES[104 % 3], USAGES[105 % 3]]
    assert min(row["correlation"] for row in rows) > 0.99


def test_faces_that_were_never_held_against_fer2013_are_once_it_is_there(collection, store):
    page = add_page(collection)
    copy = add_face(collection, page, drawn(104), picture=drawn(1))
    dedupe(collection, fer2013=None)
    assert verdicts(collection)[copy][0] == "unique"
    fer2013 = fer2013_of(collection, store)
    dedupe(collection, fer2013=fer2013)
    assert verdicts(collection)[copy] == ("copy", "in FER2013", None)
    rows = collection.value("SELECT count(*) FROM deduped")
    dedupe(collection, fer2013=fer2013)
    dedupe(collection, fer2013=None)
    assert collection.value("SELECT count(*) FROM deduped") == rows


def test_hashes_of_the_store_are_kept(collection, store, monkeypatch):
    first = fer2013_of(collection, store)
    monkeypatch.setattr("fer_lightning.collect.steps.dedupe.phash", None)
    assert (fer2013_of(collection, store).hashes == first.hashes).all()
