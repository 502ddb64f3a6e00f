"""Take the screenshots of docs/ again, in Debian's chromium.

    python scripts/docs_pictures.py              the review page and the game
    python scripts/docs_pictures.py face.onnx    the live page too, with this model and a portrait as camera image

The faces of the review page are synthetic. The portrait is scikit-image's astronaut: Eileen Collins, NASA,
in the public domain.
"""

import argparse
import io
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from playwright.sync_api import Page
from skimage import data

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "helpers")]

from collect_review import Server, collection_for_review  # noqa: E402
from face_video import write_mjpeg  # noqa: E402
from game_player import Player  # noqa: E402
from live_pages import chromium  # noqa: E402
from live_server import LiveServer  # noqa: E402

PICTURES = ROOT / "docs" / "pictures"
WIDE, NARROW = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
KEYS = "aaxa3aauaaadaxama3ai7a8"
LEVEL = 6  # level of the game in its screenshot
AWAY = 2  # seconds without a face at the start of each cycle of the portrait
WALL = (96, 104, 112)
# Options with which the level changes at the first evidence.
SWIFT = ("difficulty.cooldown_seconds=0", "difficulty.min_tasks=3", "difficulty.stand_seconds=0")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, nargs="?", help="model of the live page")
    model = parser.parse_args().model
    PICTURES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        review(Path(folder))
        game()
        if model:
            live(model, Path(folder))


def review(folder: Path) -> None:
    root = folder / "collection"
    collection_for_review(root, 120).close()
    server = Server(root, folder / "log")
    with chromium() as browser:
        try:
            page = browser.new_page(viewport=WIDE)
            page.goto(server.start())
            page.locator("#faces .tile").first.wait_for()
            for key in KEYS:
                page.keyboard.press(key)
            page.keyboard.press("ArrowUp")
            page.locator("#unsaved").wait_for(state="hidden")
            take(page, "review.png")
            page.set_viewport_size(NARROW)
            take(page, "review_phone.png")
        finally:
            server.kill()


@contextmanager
def live_page(camera: Path | None = None, **options: object) -> Iterator[Page]:
    with LiveServer(**options) as server, chromium(camera) as browser:
        context = browser.new_context(viewport=WIDE)
        context.grant_permissions(["camera"], origin=server.origin)
        page = context.new_page()
        page.goto(server.address)
        yield page


def live(model: Path, folder: Path) -> None:
    """Take the live page after a minute with a portrait that moves, disappears at times, and types."""
    camera = folder / "camera.mjpeg"
    write_mjpeg(camera, portrait(17.0, 10), 10)
    with live_page(camera, model=model, threads=2) as page:
        page.get_by_role("checkbox").first.wait_for()
        take(page, "consent.png")
        page.get_by_role("checkbox").first.check()
        page.get_by_role("button", name="camera").first.click()
        page.wait_for_timeout(58_000)
        page.get_by_placeholder("Type as a player").fill("nice, one more")
        page.keyboard.press("Enter")
        page.wait_for_timeout(2_500)
        take(page, "live.png")
        page.set_viewport_size(NARROW)
        take(page, "live_phone.png")


def portrait(seconds: float, fps: int) -> Iterator[np.ndarray]:
    """Yield frames RGB (480, 640, 3): the astronaut in front of a wall, nodding and coming closer."""
    face = data.astronaut()[:, :420]
    for number in range(int(seconds * fps)):
        phase = 2 * np.pi * number / (seconds * fps)
        if number < AWAY * fps:
            yield np.full((480, 640, 3), WALL, np.uint8)
            continue
        turn = cv2.getRotationMatrix2D((224, 120), 6 * np.sin(phase), 0.95 + 0.1 * np.cos(phase))
        turn[:, 2] += (96 + 20 * np.sin(phase), 60)
        yield cv2.warpAffine(face, turn, (640, 480), borderMode=cv2.BORDER_CONSTANT, borderValue=WALL)


def game() -> None:
    """Solve tasks until one with a light circuit appears, and take the game page."""
    with live_page(page="game", words=SWIFT) as page:
        player = Player(page, f"{page.url}?seed=5")
        while player.level < LEVEL or player.task["kind"] != "light":
            player.solve()
            player.next()
        take(page, "game.png")
        page.set_viewport_size(NARROW)
        take(page, "game_phone.png")


def take(page: Page, name: str) -> None:
    page.evaluate("scrollTo(0, 0)")
    page.wait_for_timeout(500)
    Image.open(io.BytesIO(page.screenshot())).convert("RGB").save(PICTURES / name, optimize=True)


if __name__ == "__main__":
    main()
