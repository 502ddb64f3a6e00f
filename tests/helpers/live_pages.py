"""The live page and the game in headless Chromium: the browser, its camera, and what no page may do."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

CHROMIUM = Path("/usr/bin/chromium")
needs_browser = pytest.mark.skipif(
    not CHROMIUM.exists() or find_spec("playwright") is None, reason=f"playwright and {CHROMIUM} drive the page"
)
PATIENCE = 30_000  # milliseconds; the page tries again every ten seconds at the latest
WIDE = {"width": 1440, "height": 900}
NARROW = {"width": 390, "height": 844}
# Messages of the browser about a server that is away are not errors of the page.
AWAY = ("Failed to load resource", "WebSocket connection to")
# The page's requests for the camera, the tracks that it received, and the images and looks that it has sent.
WATCH = """
window.asked = 0;
window.tracks = [];
window.pictures = [];
window.looks = [];
const send = WebSocket.prototype.send;
WebSocket.prototype.send = function (data) {
  if (typeof data !== "string") window.pictures.push(data);
  else if (data.includes('"type":"look"')) window.looks.push(JSON.parse(data));
  return send.call(this, data);
};
const original = navigator.mediaDevices?.getUserMedia.bind(navigator.mediaDevices);
if (original) navigator.mediaDevices.getUserMedia = async (...what) => {
  window.asked += 1;
  const stream = await original(...what);
  window.tracks.push(...stream.getTracks());
  return stream;
};
"""


@contextmanager
def chromium(camera: Path | None = None) -> Iterator[Any]:
    """A browser; with `camera` it has one that plays this file (.y4m or .mjpeg) again and again."""
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=PATIENCE)
    arguments = ["--no-sandbox", "--disable-background-networking"]
    if camera is not None:
        arguments += ["--use-fake-device-for-media-stream", f"--use-file-for-fake-video-capture={camera}"]
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=str(CHROMIUM), args=arguments)
        yield browser
        browser.close()


def bounds(locator: Any) -> dict[str, float]:
    """Return the bounds of an element. Wait if the page is replacing it: on a slow machine each frame has a new box."""
    deadline = time.monotonic() + PATIENCE / 1000
    while (box := locator.bounding_box()) is None:
        assert time.monotonic() < deadline, f"{locator} has no bounds"
    return box


class Visits:
    """Pages of one browser. At the end none may have asked another origin for anything, nor had an error."""

    def __init__(self, browser: Any) -> None:
        self.browser, self.origins = browser, set()
        self.contexts, self.requests, self.errors = [], [], []
        self.sent, self.received = [], []  # over WebSockets: str, or bytes; Chromium tells no Blob that is sent

    def __call__(
        self,
        address: str,
        *,
        viewport: dict[str, int] = WIDE,
        scheme: str = "light",
        camera: bool = True,
        **options: Any,
    ) -> Any:
        """The page at an address with its token, in a context of its own; `camera`: whether it may have one."""
        context = self.browser.new_context(viewport=viewport, color_scheme=scheme, **options)
        self.contexts.append(context)
        origin = "{0.scheme}://{0.netloc}".format(urlsplit(address))
        self.origins.add(origin)
        if camera:
            context.grant_permissions(["camera"], origin=origin)
        context.add_init_script(WATCH)
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("websocket", self._listen)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", self._hear)
        page.goto(address)
        return page

    def _listen(self, socket: Any) -> None:
        self.requests.append(socket.url.replace("ws", "http", 1))
        socket.on("framesent", lambda message: self.sent.append(message))
        socket.on("framereceived", lambda message: self.received.append(message))

    def _hear(self, message: Any) -> None:
        if message.type in ("error", "warning") and not message.text.startswith(AWAY):
            self.errors.append(message.text)

    def close(self) -> None:
        for context in self.contexts:
            context.close()
        asked = {"{0.scheme}://{0.netloc}".format(urlsplit(url)) for url in self.requests if "://" in url}
        assert asked <= self.origins
        assert not self.errors, self.errors


@contextmanager
def visits(browser: Any) -> Iterator[Visits]:
    made = Visits(browser)
    yield made
    made.close()


def pictures(page: Any) -> int:
    """Return the number of images that the page has sent."""
    return page.evaluate("window.pictures.length")


def looks(page: Any) -> int:
    """Return the number of frames that the page has read itself and sent as numbers."""
    return page.evaluate("window.looks.length")


def camera_on(page: Any) -> bool:
    """Return True if the page holds a running camera."""
    return page.evaluate("() => window.tracks.some((track) => track.readyState === 'live')")


def again(page: Any) -> None:
    """The page tries its server at once, as when the browser is back on the net."""
    page.evaluate("() => dispatchEvent(new Event('online'))")
