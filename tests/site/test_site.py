"""The static folder is complete; in Chromium it reads a photograph and the camera without a server."""

import functools
import http.server
import json
import os
import re
import threading
from pathlib import Path

import face_video
import pytest
from collect_portraits import MODEL, encoded, two_faces
from face_models import drawn_model
from live_pages import NARROW, bounds, camera_on, chromium, needs_browser, visits

from fer_lightning.errors import UserError
from fer_lightning.faces.browser_files import browser_files
from fer_lightning.faces.detector import open_detector
from fer_lightning.faces.face_model import FaceModel
from fer_lightning.faces.image_form import ImageForm
from fer_lightning.faces.metadata import crop_rule
from fer_lightning.site.__main__ import run

READY = 90_000  # milliseconds in which a busy machine loads the networks


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return drawn_model(tmp_path_factory.mktemp("model") / "face.onnx")


@pytest.fixture(scope="module")
def site(tmp_path_factory, model):
    out = tmp_path_factory.mktemp("hosted") / "site"
    run([f"model={model}", f"out={out}", f"detector={MODEL}", "min_confidence=0.5"])
    return out


def test_every_file_that_is_named_is_there_and_no_address_is_absolute(site):
    named = 0
    for path in (*site.rglob("*.html"), *site.glob("[!r]*/*.js")):
        for name in re.findall(r"(?:from|href=|src=|new URL\()\s*\"([^\"]+)\"", path.read_text()):
            if not name.startswith("https://"):
                named += 1
                assert (path.parent / name).resolve().is_relative_to(site.resolve()), name
                assert (path.parent / name).is_file(), (path, name)
    assert named > 20


def test_the_page_allows_only_its_own_files(site):
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', (site / "index.html").read_text())[1]
    assert "default-src 'none'" in policy
    assert "script-src 'self' 'wasm-unsafe-eval'" in policy
    assert "frame-ancestors" not in policy  # a policy inside a page cannot have it
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son[a-z]+=", (site / "index.html").read_text())


def test_the_model_and_its_card_are_beside_the_page(site, model):
    about = json.loads((site / "files" / "model.json").read_text())
    assert about["model"]["name"] == "drawn/seed-0"
    assert (site / about["files"]["model"]).read_bytes() == model.read_bytes()
    assert "# " in (site / about["files"]["card"]).read_text()
    assert about["min_confidence"] == 0.5
    assert about["rules"]["photo"]["whole_every"] == 1
    assert about["rules"]["camera"]["whole_every"] > 1


def test_a_folder_with_other_content_is_kept_and_a_site_is_replaced(site, model, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UserError, match="files that are not results"):
        run([f"model={model}", f"out={tmp_path}", f"detector={MODEL}"])
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
    (site / "files" / "old.txt").write_text("old")
    run([f"model={model}", f"out={site}", f"detector={MODEL}"])
    assert not (site / "files" / "old.txt").exists()
    assert [path.name for path in site.parent.iterdir()] == ["site"]


def test_a_link_to_a_folder_stays_a_link_and_its_target_gets_the_site(model, tmp_path):
    (tmp_path / "hosted").mkdir()
    (tmp_path / "site").symlink_to("hosted")
    for _ in range(2):
        run([f"model={model}", f"out={tmp_path / 'site'}", f"detector={MODEL}"])
    assert (tmp_path / "site").is_symlink()
    assert (tmp_path / "hosted" / "index.html").is_file()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["hosted", "site"]


def test_files_of_a_user_beside_a_site_are_kept(model, tmp_path, monkeypatch):
    words = [f"model={model}", f"out={tmp_path / 'site'}", f"detector={MODEL}"]
    run(words)
    (tmp_path / "site" / ".git").mkdir()
    (tmp_path / "site" / "CNAME").write_text("example.org")
    with pytest.raises(UserError, match=r"also holds \.git, CNAME, which a new site would delete"):
        run(words)
    assert (tmp_path / "site" / "CNAME").read_text() == "example.org"
    monkeypatch.chdir(tmp_path / "site" / "files")
    with pytest.raises(UserError, match="contains the current folder"):
        run([f"model={model}", "out=..", f"detector={MODEL}"])


def test_an_interruption_keeps_the_site_that_was_there(model, tmp_path, monkeypatch):
    words = [f"model={model}", f"out={tmp_path / 'site'}", f"detector={MODEL}"]
    run(words)
    before = sorted(tmp_path.rglob("*"))
    rename = os.replace

    def interrupted(source, target):
        if ".new." in str(source):
            raise KeyboardInterrupt
        rename(source, target)

    monkeypatch.setattr("fer_lightning.site.folder.os.replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(words)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_model_of_larger_or_coloured_faces_is_refused(tmp_path):
    """The page cuts faces of 48 x 48 grey pixels."""
    model = drawn_model(tmp_path / "face.onnx", crop=crop_rule(ImageForm(64, color=True)))
    assert browser_files(FaceModel(model), open_detector(MODEL)) == {}
    with pytest.raises(
        UserError, match=r"face\.onnx: its network takes faces of 64 x 64 RGB pixels, and the page cuts"
    ):
        run([f"model={model}", f"out={tmp_path / 'site'}", f"detector={MODEL}"])


@pytest.mark.parametrize("words", [[], ["model=face.onnx"]])
def test_a_missing_setting_is_named(words):
    with pytest.raises(UserError, match="is not set"):
        run(words)


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def address(site):
    handler = functools.partial(Quiet, directory=site.parent)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/site/"
        server.shutdown()


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    camera = tmp_path_factory.mktemp("camera") / "camera.mjpeg"
    face_video.write_mjpeg(camera, [face_video.frame(1 / 12)], fps=1)
    with chromium(camera) as started:
        yield started


@pytest.mark.slow
@needs_browser
def test_a_visitor_reads_a_photograph_and_the_camera_by_keyboard(browser, address, tmp_path):
    from playwright.sync_api import expect

    photograph = tmp_path / "two.jpg"
    photograph.write_bytes(encoded(two_faces(0.6), "JPEG"))
    with visits(browser) as visit:
        page = visit(address, viewport=NARROW)
        expect(page.get_by_role("status")).to_have_text("Ready.")
        expect(page.locator("#about")).to_contain_text("What the model cannot do")
        expect(page.locator("#card")).to_contain_text("drawn/seed-0")
        with page.expect_file_chooser() as chooser:
            page.get_by_role("button", name="Choose a photograph").press("Enter")
        chooser.value.set_files(photograph)
        expect(page.get_by_role("status")).to_contain_text("2 faces", timeout=READY)
        expect(page.locator(".box")).to_have_count(2)
        expect(page.locator("#faces li[data-face]")).to_have_count(2)
        assert page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"]
        page.get_by_role("button", name="Use the camera").press("Enter")
        expect(page.locator("#consent")).to_contain_text("It has no server")
        assert page.evaluate("window.asked") == 0
        dialog, button = bounds(page.locator("#consent")), bounds(page.get_by_role("button", name="Keep it off"))
        assert button["y"] + button["height"] < dialog["y"] + dialog["height"] < NARROW["height"]
        page.get_by_role("checkbox").press("Space")
        page.get_by_role("button", name="Switch the camera on").press("Enter")
        expect(page.locator(".box").first).to_be_visible(timeout=READY)
        expect(page.locator("#light")).to_have_text("Camera on")
        expect(page.get_by_role("button", name="Switch the camera off")).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.locator("#light")).to_have_text("Camera off")
        assert not camera_on(page)
        assert not visit.sent
        text = tmp_path / "text.jpg"
        text.write_text("no image")
        page.locator("#file").set_input_files(Path(text))
        expect(page.get_by_role("status")).to_contain_text("cannot read it as an image")
