"""The live page when the browser finds the faces itself: no image leaves the page, and a failure is shown."""

import face_video
import pytest
from face_models import drawn_model
from live_pages import camera_on, chromium, looks, needs_browser, pictures, visits
from live_server import LiveServer

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
expect = playwright.expect

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900), needs_browser]

ASIDE = 1 / 12  # the video's share of time at which the face is farthest to the right
READY = 90_000  # milliseconds in which a busy machine loads the networks


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    camera = tmp_path_factory.mktemp("camera") / "camera.mjpeg"
    face_video.write_mjpeg(camera, [face_video.frame(ASIDE)], fps=1)
    with chromium(camera) as started:
        yield started


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with LiveServer(drawn_model(tmp_path_factory.mktemp("model") / "face.onnx")) as started:
        yield started


@pytest.fixture
def visit(browser):
    with visits(browser) as opened:
        yield opened


def agree(page) -> None:
    expect(page.locator(".consent")).to_be_visible(timeout=READY)
    page.get_by_role("checkbox", name="I am an adult").check()
    page.get_by_role("button", name="Switch the camera on").click()
    expect(page.locator(".box").first).to_be_visible(timeout=READY)


def test_no_image_leaves_the_page_and_its_text_says_so(visit, server):
    page = visit(server.address)
    words = page.locator(".consent")
    expect(words).to_contain_text("No image leaves this page", timeout=READY)
    expect(words).to_contain_text("on your own device")
    assert page.evaluate("window.asked") == 0
    agree(page)
    page.keyboard.press("Enter")  # a second time: the camera stays on
    expect(page.locator(".care")).to_contain_text("do not leave this page")
    expect(page.locator("#faces .shares li")).to_have_count(7)
    box = page.evaluate("window.looks.find(({ faces }) => faces.length).faces[0].box")
    x, y, width, height = face_video.face_box(ASIDE)
    assert box[0] + box[2] / 2 == pytest.approx((x + width / 2) / 640, abs=0.04)
    assert box[1] + box[3] / 2 == pytest.approx((y + height / 2) / 480, abs=0.06)
    page.get_by_role("button", name="Pause").click()
    expect(page.locator(".box")).to_have_count(0)
    page.wait_for_timeout(300)
    sent = looks(page)
    page.wait_for_timeout(1200)
    assert looks(page) == sent > 0
    page.get_by_role("button", name="Continue").click()
    expect(page.locator(".box").first).to_be_visible()
    page.get_by_role("button", name="Stop").click()
    expect(page.locator("#light")).to_have_text("Camera off")
    assert not camera_on(page)
    assert pictures(page) == 0


def test_a_browser_that_cannot_find_faces_says_so_and_uses_the_server(visit, server):
    page = visit("about:blank", camera=False)
    page.context.route("**/runtime/*.wasm", lambda route: route.fulfill(status=404))
    page.context.grant_permissions(["camera"], origin=server.origin)
    visit.origins.add(server.origin)
    page.goto(server.address)
    words = page.locator(".consent")
    expect(words).to_contain_text("This browser cannot find the faces itself (/runtime/", timeout=READY)
    expect(words).to_contain_text("five small images per second to the server")
    agree(page)
    assert pictures(page) > 0
    assert looks(page) == 0


def test_a_browser_that_fails_later_asks_before_any_image_is_sent(visit, server):
    page = visit(server.address)
    agree(page)
    page.evaluate("""() => {
      const post = Worker.prototype.postMessage;
      Worker.prototype.postMessage = function ({ number }) { post.call(this, { number, task: "fail" }); };
    }""")
    expect(page.locator("#notices")).to_contain_text("This browser can no longer find faces itself")
    expect(page.locator(".consent")).to_contain_text("five small images per second to the server")
    assert not camera_on(page)
    assert pictures(page) == 0
    agree(page)
    assert pictures(page) > 0
