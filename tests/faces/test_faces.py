"""A real portrait in many states through detector, rules and crop; and the rules and the crop on made-up faces."""

import math
import warnings
from dataclasses import replace
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from collect_portraits import (
    MODEL,
    PORTRAIT_BOX,
    FakeDetector,
    drawn_picture,
    enlarged,
    mirrored,
    mouth_covered,
    portrait,
    rotated,
    shrunk,
    two_faces,
)

from fer_lightning.errors import UserError
from fer_lightning.faces import detector as detector_module
from fer_lightning.faces import model_file
from fer_lightning.faces.crop import crop_face
from fer_lightning.faces.detector import HaarDetector, open_detector
from fer_lightning.faces.face import Face
from fer_lightning.faces.find import find_face, find_faces, recipe
from fer_lightning.faces.model_file import NoModel
from fer_lightning.faces.quality import choose
from fer_lightning.faces.roll import measure_roll
from fer_lightning.faces.settings import FaceRules

RULES = FaceRules()


@pytest.fixture(scope="module")
def yunet():
    return open_detector(MODEL)


def grey(picture):
    return cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)


def turned_place(degrees):
    """Return the middle of the portrait's face in `rotated(portrait(), degrees)`."""
    x, y, width, height = PORTRAIT_BOX
    angle = math.radians(degrees)
    across, down = x + width / 2 - 256, y + height / 2 - 256
    return (
        256 + across * math.cos(angle) - down * math.sin(angle),
        256 + across * math.sin(angle) + down * math.cos(angle),
    )


def scaled_place(scale):
    x, y, width, height = PORTRAIT_BOX
    return scale * (x + width / 2), scale * (y + height / 2)


STATES = {
    "plain": (portrait, 1, scaled_place(1)),
    "grey": (lambda: grey(portrait()), 1, scaled_place(1)),
    "mirrored": (lambda: mirrored(portrait()), 1, (512 - scaled_place(1)[0], scaled_place(1)[1])),
    "mouth covered": (mouth_covered, 1, scaled_place(1)),
    "160 pixels": (lambda: shrunk(portrait(), 160), 160 / 512, scaled_place(160 / 512)),
    "96 pixels": (lambda: shrunk(portrait(), 96), 96 / 512, scaled_place(96 / 512)),
    "2048 pixels": (lambda: enlarged(portrait(), 4), 4, scaled_place(4)),
    **{
        f"turned by {degrees}": (lambda degrees=degrees: rotated(portrait(), degrees), 1, turned_place(degrees))
        for degrees in (-35, -20, 20, 35)
    },
}


@pytest.mark.parametrize("state", STATES)
def test_the_face_is_found_where_it_is(state, yunet):
    make, scale, place = STATES[state]
    face = max(yunet(make()), key=lambda face: face.score)
    assert face.score >= RULES.min_score
    assert math.dist(face.centre, place) < 0.15 * scale * PORTRAIT_BOX[3]
    assert face.box[3] == pytest.approx(scale * PORTRAIT_BOX[3], rel=0.15)


@pytest.mark.parametrize("which", ["small", "filling"])
def test_a_face_too_small_or_too_large_for_the_first_size_is_found_in_another(which, yunet, monkeypatch):
    x, y, width, height = PORTRAIT_BOX
    if which == "small":
        picture = np.full((900, 1280, 3), 120, np.uint8)
        picture[300:380, 500:580] = shrunk(portrait(), 80)
    else:
        picture = enlarged(portrait()[y : y + height, x : x + width], 10)
    assert choose(yunet(picture), RULES).faces == 1
    monkeypatch.setattr(detector_module, "LONG_SIDES", (640,))
    assert choose(yunet(picture), RULES).faces == 0


def test_landmarks_are_named_from_the_persons_own_side(yunet):
    (face,) = yunet(portrait())
    right_eye, left_eye, nose, right_mouth, left_mouth = face.landmarks
    assert right_eye[0] < nose[0] < left_eye[0]
    assert right_mouth[0] < nose[0] < left_mouth[0]
    assert max(right_eye[1], left_eye[1]) < nose[1] < min(right_mouth[1], left_mouth[1])


@pytest.mark.parametrize("degrees", [0, 35, -35, 60, -60, 90, -90, 180])
@pytest.mark.parametrize("change", [np.copy, mirrored, grey])
def test_roll_is_how_far_the_picture_was_turned_clockwise(degrees, change, yunet):
    picture = change(rotated(portrait(), degrees))
    face = max(yunet(picture), key=lambda face: face.score)
    expected = -degrees if change is mirrored else degrees
    assert abs((yunet.roll(picture, face) - expected + 180) % 360 - 180) < 25


def test_a_lying_head_is_left_out_and_a_leaning_one_is_not(yunet):
    assert find_face(rotated(portrait(), 90), yunet, RULES).reason == "tilted"
    assert find_face(rotated(portrait(), 90), yunet, FaceRules(max_roll_deg=180)).reason is None
    assert find_face(rotated(portrait(), 35), yunet, RULES).reason is None


def test_all_faces_are_cut_out_the_chosen_one_first_and_doubtful_ones_with_the_reason(yunet):
    chosen, small = find_faces(two_faces(0.5), yunet, RULES, roll=True)
    assert (chosen.reason, small.reason) == (None, "too small")
    assert (chosen.ambiguous, small.ambiguous) == (False, True)
    assert chosen.crop.shape == small.crop.shape == (48, 48)
    assert small.square[2] == pytest.approx(0.5 * chosen.square[2], rel=0.1)
    alone = find_face(two_faces(0.5), yunet, RULES)
    assert (chosen.face, chosen.square, chosen.roll_deg) == (alone.face, alone.square, alone.roll_deg)
    assert np.array_equal(chosen.crop, alone.crop)
    (lying,) = find_faces(rotated(portrait(), 90), yunet, RULES, roll=True)
    assert (lying.reason, lying.crop.shape) == ("tilted", (48, 48))


def test_faces_of_an_insufficient_score_are_none_and_tilt_is_measured_where_it_is_wanted():
    assert find_faces(drawn_picture(0, faces=0), FakeDetector(), RULES, roll=True) == []
    assert find_faces(drawn_picture(0, faces=2), FakeDetector(score=0.7), RULES, roll=True) == []
    for roll, reason in ((True, "tilted"), (False, None)):
        found = find_faces(drawn_picture(0, faces=2), FakeDetector(roll_deg=60), RULES, roll=roll)
        assert [face.reason for face in found] == [reason, reason]
        assert [face.roll_deg for face in found] == ([60, 60] if roll else [None, None])
        assert found[0].face.area > found[1].face.area


def test_roll_is_read_from_the_scores_of_a_few_turns():
    """A detector that likes the bright side of a face above: its score falls with the angle between them."""
    seen = []

    def score(cut):
        seen.append(cut.shape)
        rows, columns = np.nonzero(cut > 200)
        bright = math.atan2(columns.mean() - 63.5, 63.5 - rows.mean())
        return max(0.0, math.cos(bright)) ** 2

    for degrees, turns in ((0, 3), (50, 5), (-130, 12)):
        picture = np.zeros((200, 200), np.uint8)
        picture[:80] = 255
        picture = cv2.warpAffine(picture, cv2.getRotationMatrix2D((99.5, 99.5), -degrees, 1), (200, 200))
        seen.clear()
        assert measure_roll(score, picture, Face((60, 50, 80, 100), 0.9)) == pytest.approx(degrees, abs=8)
        assert len(seen) == turns
        assert set(seen) == {(128, 128)}


def test_the_larger_of_two_faces_is_chosen_and_a_close_second_is_flagged(yunet):
    for ratio, ambiguous in ((0.9, True), (0.5, False)):
        found = find_face(two_faces(ratio), yunet, RULES)
        assert found.faces == 2
        assert found.face.centre[0] < 512
        assert found.ambiguous == ambiguous
        assert find_face(mirrored(two_faces(ratio)), yunet, RULES).face.centre[0] > 512


@pytest.mark.parametrize("size", [(1, 1), (1, 3000), (3000, 1), (31, 17), (20, 2000)])
def test_odd_pictures_have_no_face(size, yunet):
    """OpenCV's network reads uninitialised memory if a side is short, unless it gets a larger image."""
    random = np.random.default_rng(0)
    for _ in range(20):
        noise = random.integers(0, 256, (*size, 3), np.uint8)
        assert find_face(noise, yunet, RULES).reason == "no face"
        assert find_face(noise[..., 0], yunet, RULES).reason == "no face"
        yunet(np.full((random.integers(64, 400), 160, 3), 200, np.uint8))


@pytest.mark.parametrize(
    "box",
    [(10, 10, np.inf, np.inf), (10, 10, np.nan, 50), (100, 100, 3000, 3000), (-60, 10, 50, 50), (10, 210, 50, 50)],
)
def test_boxes_that_cannot_be_are_no_faces(box, yunet, monkeypatch):
    row = np.array([*box, *[20] * 10, 0.99], np.float32)
    network = SimpleNamespace(setInputSize=lambda size: None, detect=lambda picture: (1, row[None]))
    monkeypatch.setattr(yunet, "_network", network)
    assert yunet(np.zeros((200, 300, 3), np.uint8)) == []
    row[:4] = 10, 10, 50, 50
    assert len(yunet(np.zeros((200, 300, 3), np.uint8))) == 1


def face(height=100.0, score=0.9, x=0.0):
    return Face((x, 0.0, 0.73 * height, height), score)


@pytest.mark.parametrize(
    ("faces", "chosen", "reason", "ambiguous", "count"),
    [
        ([], None, "no face", False, 0),
        ([face()], 0, None, False, 1),
        ([face(score=0.79)], 0, "low score", False, 0),
        ([face(69)], 0, "too small", False, 1),
        ([face(70)], 0, None, False, 1),
        ([face(100), face(120)], 1, None, True, 2),
        ([face(120), face(90)], 0, None, False, 2),
        ([face(120), face(94)], 0, None, True, 2),
        ([face(100, score=0.99), face(101, score=0.81)], 0, None, True, 2),
        ([face(100), face(300, score=0.6)], 0, None, False, 1),
        ([face(100, score=0.6), face(90, score=0.7)], 0, "low score", False, 0),
    ],
)
def test_rules(faces, chosen, reason, ambiguous, count):
    choice = choose(faces, RULES)
    assert choice.face is (None if chosen is None else faces[chosen])
    assert (choice.reason, choice.ambiguous, choice.faces) == (reason, ambiguous, count)


@pytest.mark.parametrize(("roll", "reason"), [(45, None), (46, "tilted"), (-46, "tilted"), (None, None)])
def test_a_head_may_lean_as_far_as_the_rules_say(roll, reason):
    found = find_face(drawn_picture(0), FakeDetector(roll_deg=roll), RULES)
    assert found.reason == reason
    assert found.roll_deg == roll
    assert (found.crop is None) == (reason is not None)


@pytest.mark.parametrize(
    ("name", "value"),
    [("min_score", 1.1), ("min_face_px", 40), ("max_roll_deg", -1), ("ambiguous_area", float("nan"))],
)
def test_rules_that_make_no_sense_are_refused(name, value):
    with pytest.raises(UserError, match=rf"{name}={value}: must be from "):
        FaceRules(**{name: value})


def test_a_recipe_changes_with_whatever_changes_a_crop(monkeypatch):
    fake = FakeDetector()
    known = {recipe(fake, RULES)}
    assert recipe(FakeDetector(), FaceRules()) in known
    for change in ({"min_score": 0.7}, {"min_face_px": 80}, {"max_roll_deg": 30}, {"ambiguous_area": 0.5}):
        known.add(recipe(fake, replace(RULES, **change)))
    fake.model_sha256 = "another"
    known.add(recipe(fake, RULES))
    monkeypatch.setattr("fer_lightning.faces.crop.SIDE_OF_HEIGHT", 1.0)
    known.add(recipe(fake, RULES))
    assert len(known) == 7


def test_the_crop_is_the_square_that_haar_would_have_cut(yunet):
    """FER2013's faces were cut by Haar: within a tenth of the same side, and of the same centre."""
    for picture in (portrait(), enlarged(portrait(), 2.5)):
        ours, theirs = (find_face(picture, detector, RULES) for detector in (yunet, HaarDetector()))
        assert ours.square[2] == ours.square[3] == round(0.92 * ours.face.box[3])
        assert theirs.square[2] == pytest.approx(ours.square[2], rel=0.1)
        for our_place, their_place in zip(ours.face.centre, theirs.face.centre, strict=True):
            assert their_place == pytest.approx(our_place, abs=0.1 * ours.square[2])


def test_a_crop_is_the_named_square_scaled_by_area():
    picture = portrait()
    cut, square = crop_face(picture, Face((178.2, 62.9, 89.9, 113.3), 0.93))
    x, y, side, _ = square
    assert square == (171, 68, 104, 104)
    expected = cv2.resize(grey(picture[y : y + side, x : x + side]), (48, 48), interpolation=cv2.INTER_AREA)
    assert np.array_equal(cut, expected)
    assert np.array_equal(cut, crop_face(grey(picture), Face((178.2, 62.9, 89.9, 113.3), 0.93))[0])


def test_grey_is_bt601():
    colours = np.repeat(np.diag([255, 255, 255]).astype(np.uint8)[:, None, None], 100, axis=1).repeat(100, axis=2)
    assert [int(crop_face(colour, face(80))[0].mean()) for colour in colours] == [76, 150, 29]


def test_what_sticks_out_is_filled_with_the_edge():
    picture = np.random.default_rng(0).integers(0, 256, (100, 120), np.uint8)
    padded = np.pad(picture, 200, mode="edge")
    for x, y in ((-40, -30), (80, 60), (-40, 60), (20, -90)):
        cut, square = crop_face(picture, Face((x, y, 73, 100), 0.9))
        inside, _ = crop_face(padded, Face((x + 200, y + 200, 73, 100), 0.9))
        assert square[0] < 0 or square[1] < 0 or square[0] + square[2] > 120 or square[1] + square[3] > 100
        assert np.array_equal(cut, inside)


def test_the_mirrored_crop_is_the_crop_of_the_mirror_image():
    random = np.random.default_rng(0)
    for _ in range(50):
        x, y, width, height = random.uniform((-20, -20, 60, 80), (400, 400, 200, 300))
        cut, _ = crop_face(portrait(), Face((x, y, width, height), 0.9))
        again, _ = crop_face(mirrored(portrait()), Face((512 - x - width, y, width, height), 0.9))
        assert np.abs(again[:, ::-1].astype(int) - cut).max() <= 1


def test_the_mirrored_face_is_cut_alike(yunet):
    one, other = (find_face(picture, yunet, RULES) for picture in (portrait(), mirrored(portrait())))
    assert other.square[2] == pytest.approx(one.square[2], rel=0.06)
    assert np.corrcoef(one.crop.ravel(), other.crop[:, ::-1].ravel())[0, 1] > 0.95


def test_without_the_file_haar_is_taken_loudly_and_only_where_that_is_allowed(tmp_path, monkeypatch):
    monkeypatch.delenv(model_file.ENVIRONMENT, raising=False)
    monkeypatch.setattr(model_file, "FOLDER", tmp_path)
    with pytest.warns(UserWarning, match="Haar cascade, which misses tilted .* Install the package again"):
        detector = open_detector()
    assert detector.name == "haar-frontalface-default"
    assert detector.roll(portrait(), face()) is None
    with pytest.raises(NoModel):
        open_detector(kind="yunet")
    with pytest.raises(UserError, match="no such file"):
        open_detector("named.onnx")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = find_face(portrait(), open_detector(kind="haar"), RULES)
    assert found.reason is None
    assert math.dist(found.face.centre, scaled_place(1)) < 20


def test_where_opencv_has_no_cascade_the_way_on_is_named(tmp_path, monkeypatch):
    monkeypatch.delenv(model_file.ENVIRONMENT, raising=False)
    monkeypatch.setattr(model_file, "FOLDER", tmp_path)
    monkeypatch.delattr(cv2, "CascadeClassifier")
    for kind in ("haar", "auto"):
        with pytest.raises(UserError, match=r"has no Haar cascade.*opencv-python-headless<5.*faces.kind=yunet"):
            open_detector(kind=kind)


def test_drawn_faces_are_found_by_the_detector_of_the_other_tests():
    for seed in range(10):
        for count in (0, 1, 2):
            assert len(FakeDetector()(drawn_picture(seed, faces=count))) == count
