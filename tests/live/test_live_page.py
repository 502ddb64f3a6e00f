"""The live page in headless Chromium, with a camera that shows a portrait: normal use and faults."""

import json
import re

import cv2
import face_video
import numpy as np
import pytest
from face_models import drawn_metadata, drawn_model
from live_pages import NARROW, again, bounds, camera_on, chromium, needs_browser, pictures, visits
from live_server import LiveServer

from fer_lightning.data.synthetic import load

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
expect = playwright.expect

pytestmark = [pytest.mark.slow, needs_browser]

ASIDE = 1 / 12  # the video's share of time at which the face is farthest to the right
AWAY = 0.65  # share of time at which the face is absent


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    learnt = drawn_metadata().data | {"name": "fer2013"}
    return drawn_model(tmp_path_factory.mktemp("model") / "face.onnx", data=learnt)


@pytest.fixture(scope="module")
def camera(tmp_path_factory):
    """File of the fake camera; a test writes it before its page opens the camera."""
    return tmp_path_factory.mktemp("camera") / "camera.mjpeg"


@pytest.fixture(scope="module")
def browser(camera):
    face_video.write_mjpeg(camera, [face_video.frame(ASIDE)], fps=1)
    with chromium(camera) as started:
        yield started


@pytest.fixture(scope="module")
def server(model):
    with LiveServer(model, inference="server") as started:
        yield started


@pytest.fixture
def visit(browser, camera):
    face_video.write_mjpeg(camera, [face_video.frame(ASIDE)], fps=1)
    with visits(browser) as opened:
        yield opened


def agree(page) -> None:
    page.get_by_role("checkbox", name="I am an adult").check()
    page.get_by_role("button", name="Switch the camera on").click()


def consents(visit) -> list[bool]:
    said = [json.loads(message) for message in visit.sent if isinstance(message, str)]
    return [message["camera"] for message in said if message["type"] == "consent"]


def running(page) -> None:
    expect(page.locator(".box").first).to_be_visible()
    expect(page.locator("#light")).to_have_text(re.compile("[Cc]amera on$"))


def test_nothing_starts_before_the_player_agrees_and_what_is_typed_is_read_without_a_camera(visit, server):
    page = visit(server.address)
    words = page.locator(".consent")
    for fact in (r"\d+\s%of its test faces", r"62\s% of FER2013", r"5\(1\)\(f\)", "stores no image", "posed"):
        expect(words).to_contain_text(re.compile(fact))
    expect(page.locator(".recall li")).to_have_count(7)
    expect(page.get_by_role("button", name="Switch the camera on")).to_be_disabled()
    page.get_by_role("button", name="Keep it off").click()
    expect(page.locator("#instead")).to_contain_text("The camera is off")
    expect(page.locator("#light")).to_have_text("Camera off")
    assert page.evaluate("window.asked") == 0
    page.get_by_label("Type what a player would say").fill("ugh, I give up")
    page.keyboard.press("Enter")
    expect(page.locator("#state")).to_have_text("frustrated")
    expect(page.locator("#reasons")).to_contain_text("give up")
    assert not any(consents(visit))
    assert pictures(page) == 0


def test_boxes_lie_on_the_face_pause_sends_nothing_and_stop_releases_the_camera(visit, server):
    page = visit(server.address)
    agree(page)
    running(page)
    assert re.match("● Camera on", page.title())
    assert page.evaluate("window.asked") == 1
    expect(page.locator("#faces .shares li")).to_have_count(7)
    expect(page.locator("#latency")).to_have_text(re.compile(r"\d+ ms"))
    page.wait_for_timeout(500)  # until the box has come to rest
    box, frame = bounds(page.locator(".box")), bounds(page.locator("#frame"))
    x, y, width, height = face_video.face_box(ASIDE)
    mirrored = 1 - (x + width / 2) / 640
    assert (box["x"] + box["width"] / 2 - frame["x"]) / frame["width"] == pytest.approx(mirrored, abs=0.04)
    assert (box["y"] + box["height"] / 2 - frame["y"]) / frame["height"] == pytest.approx(
        (y + height / 2) / 480, abs=0.06
    )
    assert box["width"] / frame["width"] == pytest.approx(width / 640, rel=0.35)
    size = (
        "async () => { const { width, height } = await createImageBitmap(window.pictures[0]); return [width, height]; }"
    )
    assert page.evaluate(size) == [640, 480]

    page.get_by_role("button", name="Pause").click()
    expect(page.locator("#light")).to_have_text("Camera on, nothing is sent")
    expect(page.locator(".box")).to_have_count(0)
    page.wait_for_timeout(300)
    sent = pictures(page)
    page.wait_for_timeout(1200)
    assert pictures(page) == sent > 0
    page.get_by_role("button", name="Continue").click()
    running(page)
    assert camera_on(page)
    page.get_by_role("button", name="Stop").click()
    expect(page.locator("#light")).to_have_text("Camera off")
    expect(page.locator("#instead")).to_contain_text("The camera is off")
    assert not camera_on(page)
    assert page.title() == "Live"
    assert consents(visit) == [True, False]
    page.get_by_role("button", name="Read about the camera again").click()
    expect(page.get_by_role("checkbox", name="I am an adult")).not_to_be_checked()


def test_an_empty_room_is_unknown_and_a_face_that_goes_leaves_no_label_behind(visit, server, camera):
    face_video.write_mjpeg(camera, [face_video.frame(AWAY)] * 4 + [face_video.frame(ASIDE)] * 4, fps=2)
    page = visit(server.address)
    agree(page)
    expect(page.locator("#absent")).to_be_visible()
    expect(page.locator("#state")).to_have_text("unknown")
    running(page)
    expect(page.locator("#absent")).to_be_visible()
    expect(page.locator(".box")).to_have_count(0)
    expect(page.locator("#nobody")).to_have_text("No face in the image.")


def test_drawn_faces_get_a_label_each_in_their_own_place(visit, server, camera):
    """The large, pale face is the player. The dark face is another person: see face_models.drawn_model."""
    picture = np.full((480, 640, 3), 110, np.uint8)
    faces = load(rows=100, seed=1).pixels
    for row, left, side, light in ((12, 20, 340, 1.25), (20, 430, 180, 0.45)):
        face = cv2.resize(faces[row], (side, side), interpolation=cv2.INTER_CUBIC)
        picture[60 : 60 + side, left : left + side] = np.clip(light * face, 0, 255)[..., None]
    face_video.write_mjpeg(camera, [picture], fps=1)
    page = visit(server.address)
    agree(page)
    expect(page.locator(".box")).to_have_count(2)
    player, other = (page.locator(".box").filter(has_text=label) for label in ("sad", "disgust"))
    expect(player).to_be_visible()
    expect(other).to_be_visible()
    assert bounds(player)["width"] > bounds(other)["width"]
    assert bounds(player)["x"] > bounds(other)["x"]  # as in a mirror
    expect(page.locator("#reasons")).to_contain_text("sad")


def test_faces_in_doubt_get_no_label(visit, server, camera):
    half = face_video.frame(0)[:, 160:480]
    face_video.write_mjpeg(camera, [np.hstack([half, half])], fps=1)
    page = visit(server.address)
    agree(page)
    expect(page.locator(".box.doubtful")).to_have_count(2)
    expect(page.locator("#faces .doubtful")).to_have_count(2)
    expect(page.locator("#boxes")).not_to_contain_text("%")
    expect(page.locator("#faces .words").first).to_contain_text("does not count")


def test_a_server_that_comes_back_finds_the_camera_as_it_was_but_another_model_is_agreed_to_anew(visit, tmp_path):
    with LiveServer(drawn_model(tmp_path / "face.onnx")) as server:
        page = visit(server.address)
        agree(page)
        running(page)
        server.kill()
        expect(page.locator("#notices")).to_contain_text("The server is not reachable")
        expect(page.locator("#light")).to_have_text("Camera on, nothing is sent")
        expect(page.locator(".box")).to_have_count(0)
        expect(page.locator("#state")).to_have_text("unknown")
        server.start()
        again(page)
        running(page)
        expect(page.locator("#notices .notice")).to_have_count(0)
        assert page.evaluate("window.asked") == 1
        server.kill()
        drawn_model(tmp_path / "face.onnx", "learning_game")
        server.start()
        expect(page.locator(".recall")).to_contain_text("boredom")
        assert not camera_on(page)
        assert consents(visit) == [True, True]


def test_no_camera_is_told_in_words(visit, server):
    page = visit(server.address, camera=False)
    agree(page)
    expect(page.locator("#instead")).to_contain_text("was not allowed to use the camera")
    page.evaluate("Object.defineProperty(navigator, 'mediaDevices', { value: undefined })")
    page.get_by_role("button", name="Read, agree and try again").click()
    agree(page)
    expect(page.locator("#instead")).to_contain_text("ssh -L")
    page = visit(server.address)
    agree(page)
    running(page)
    page.evaluate("() => { for (const track of window.tracks) track.dispatchEvent(new Event('ended')); }")
    expect(page.locator("#instead")).to_contain_text("The camera has stopped")
    expect(page.locator("#light")).to_have_text("Camera off")
    assert consents(visit)[-1] is False


def test_without_a_model_the_page_names_the_export_and_reads_text(visit):
    with LiveServer(None) as server:
        page = visit(server.address)
        expect(page.locator("#instead")).to_contain_text("python -m fer_lightning.export run=")
        page.get_by_label("Type what a player would say").fill("this is so boring")
        page.keyboard.press("Enter")
        expect(page.locator("#state")).to_have_text("bored")
        assert page.evaluate("window.asked") == 0


def test_a_model_that_learnt_from_drawn_faces_claims_no_others_and_a_lost_camera_is_no_light(visit, tmp_path):
    model = drawn_model(tmp_path / "face.onnx", data=drawn_metadata().data | {"name": "synthetic"})
    video = face_video.write_video(tmp_path / "video.avi", [face_video.frame(ASIDE)] * 10, fps=5)
    with LiveServer(model, source=video) as server:
        page = visit(server.address)
        expect(page.locator(".consent")).to_contain_text("faces drawn by a program and is not valid for real faces")
        expect(page.locator(".consent")).not_to_contain_text("FER2013")
        expect(page.locator(".consent")).to_contain_text("It finds faces in these images")
        agree(page)
        running(page)
        away = video.rename(tmp_path / "unplugged.avi")
        expect(page.locator("#light")).to_have_text("Server’s camera: no image", timeout=15_000)
        expect(page.locator("#light")).to_have_attribute("data-camera", "paused")
        away.rename(video)
        running(page)


def test_the_servers_own_camera_is_shown_after_consent_alone(visit, model, tmp_path):
    video = face_video.write_video(tmp_path / "video.avi", [face_video.frame(ASIDE)] * 10, fps=5)
    with LiveServer(model, source=video) as server:
        page = visit(server.address)
        expect(page.locator(".consent")).to_contain_text("The server uses its own camera")
        page.wait_for_timeout(1000)
        assert not any(isinstance(message, bytes) for message in visit.received)
        agree(page)
        running(page)
        assert any(isinstance(message, bytes) for message in visit.received)
        lit = "(canvas) => canvas.getContext('2d').getImageData(5, 5, 1, 1).data[0]"
        assert page.locator("#image").evaluate(lit) > 0
        page.get_by_role("button", name="Pause").click()
        expect(page.locator(".box")).to_have_count(0)
        page.get_by_role("button", name="Continue").click()
        running(page)
        page.get_by_role("button", name="Stop").click()
        assert page.evaluate("window.asked") == 0
        assert consents(visit) == [True, False, True, False]


def test_a_phone_and_a_keyboard_suffice(visit, server, camera):
    """The face is at the right of the mirrored image, and its label does not stick out."""
    face_video.write_mjpeg(camera, [face_video.frame(3 * ASIDE)], fps=1)
    page = visit(server.address, viewport=NARROW)
    expect(page.locator(".consent h1")).to_be_focused()
    page.get_by_role("checkbox").focus()
    for key in ("Space", "Tab", "Tab", "Enter"):
        page.keyboard.press(key)
    running(page)
    page.wait_for_timeout(500)  # until the box has come to rest
    label, frame = bounds(page.locator(".box p").first), bounds(page.locator("#frame"))
    assert label["x"] + label["width"] <= frame["x"] + frame["width"]
    assert page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"]
    expect(page.locator("#stage")).to_be_focused()
    page.get_by_role("button", name="Stop").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#light")).to_have_text("Camera off")
    assert page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"]
