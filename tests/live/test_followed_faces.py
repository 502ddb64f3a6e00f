"""A face that is followed in the browser has nearly the box of a whole search, and no face is lost."""

import cv2
import face_video
import numpy as np
import pytest
from browser_reader import read_stream
from collect_portraits import portrait
from live_pages import chromium, needs_browser, visits
from live_server import LiveServer

from fer_lightning.faces.shipped import MODEL

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900), needs_browser]

EVERY = 10
# Largest differences that docs/live.md allows: of a box, in longer sides of the face, and of a probability.
BOX, SHARE = 0.1, 0.1
EMPTY = np.full((480, 640, 3), 180, np.uint8)


@pytest.fixture(scope="module")
def page():
    with LiveServer(MODEL) as server, chromium() as browser, visits(browser) as visit:
        yield visit(server.address)


def room(*faces: tuple[float, float, float, float]) -> np.ndarray:
    """A room with the portrait's face at each (x, y, share of the portrait's size, degrees)."""
    picture, canvas = portrait()[:260], EMPTY.copy()
    for x, y, scale, degrees in faces:
        to = cv2.getRotationMatrix2D((223, 120), degrees, scale)
        to[:, 2] += (x - 223, y - 120)
        cv2.warpAffine(picture, to, (640, 480), canvas, cv2.INTER_AREA, cv2.BORDER_TRANSPARENT)
    return canvas


def moving() -> list[np.ndarray]:
    """Heads that move by a few pixels per frame: sideways and nearer, small, large, tilted and at the image's edge."""
    video = [face_video.frame(number / 300) for number in (*range(14), *range(230, 240))]
    steps = np.arange(6)
    small = [room((200 + 5 * n, 150 + 2 * n, 0.5 + 0.01 * n, n)) for n in steps]
    large = [room((320 - 4 * n, 240 + 3 * n, 2.0 - 0.02 * n, -n)) for n in steps]
    edge = [room((580 + 6 * n, 300 + 2 * n, 1.0, 0)) for n in steps]
    return video + small + large + edge


def test_a_followed_face_differs_little_from_a_whole_search(page):
    pictures = moving()
    followed, whole = (read_stream(page, pictures, every) for every in (EVERY, 1))
    assert all(look["whole"] for look in whole)
    assert sum(look["whole"] for look in followed) < len(pictures) / 3
    for number, (look, expected) in enumerate(zip(followed, whole, strict=True)):
        assert len(look["faces"]) == len(expected["faces"]) == 1, number
        (face,), (other,) = look["faces"], expected["faces"]
        assert face["box"] == pytest.approx(other["box"], abs=BOX * max(other["box"][2:])), number
        assert face["probabilities"] == pytest.approx(other["probabilities"], abs=SHARE), number


def test_a_second_face_is_found_after_at_most_the_frames_between_two_whole_searches(page):
    one, other = (180, 200, 1.0, 0), (520, 250, 0.8, 0)
    looks = read_stream(page, [room(one)] * 3 + [room(one, other)] * (EVERY + 1), EVERY)
    counts = [len(look["faces"]) for look in looks]
    assert counts == [1] * EVERY + [2] * 4
    assert [look["whole"] for look in looks] == [True] + [False] * (EVERY - 1) + [True] * 4


def test_a_face_that_leaves_jumps_or_changes_its_image_is_found_in_the_same_frame(page):
    left, right = room((150, 200, 1.0, 0)), room((500, 250, 1.0, 0))
    pictures = [left, left, EMPTY, EMPTY, right, right, left, left, cv2.resize(left, (320, 240))]
    looks = read_stream(page, pictures, EVERY)
    assert [len(look["faces"]) for look in looks] == [1, 1, 0, 0, 1, 1, 1, 1, 1]
    assert [look["whole"] for look in looks] == [True, False, True, True, True, False, True, False, True]
    boxes = [face["box"] for look in looks for face in look["faces"]]
    assert [x + width / 2 for x, _, width, _ in boxes] == pytest.approx([150, 150, 500, 500, 150, 150, 75], abs=10)


def test_a_still_face_has_the_same_probabilities_with_views_by_turns(page):
    pictures = [room((300, 220, 1.2, 0))] * 8
    looks = read_stream(page, pictures, EVERY)
    assert [look["whole"] for look in looks] == [True] + [False] * 7
    assert [look["views"] for look in looks] == [4] + [1] * 7
    steady = [look["faces"][0] for look in looks[4:]]  # the first box of a window differs from that of a whole search
    for face in steady:
        assert face["box"] == pytest.approx(steady[0]["box"], abs=0.5)
        assert face["probabilities"] == pytest.approx(steady[0]["probabilities"], abs=0.01)


def test_photographs_are_read_with_all_views_each(page):
    looks = read_stream(page, [room((300, 220, 1.2, 0))] * 3, 1)
    assert [look["views"] for look in looks] == [4] * 3
