"""Take the pictures of docs/ anew: the review page over faces that a program draws, in Debian's chromium.

python scripts/docs_pictures.py
"""

import io
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from collect_review import Server, collection_for_review  # noqa: E402

PICTURES = ROOT / "docs" / "pictures"
KEYS = "aaxa3aauaaadaxama3ai7a8"


def main() -> None:
    PICTURES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        root = Path(folder, "collection")
        collection_for_review(root, 120).close()
        server = Server(root, Path(folder, "log"))
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-background-networking"]
        )
        try:
            page = browser.new_page(viewport={"width": 1440, "height": 900})
            page.goto(server.start())
            page.locator("#faces .tile").first.wait_for()
            for key in KEYS:
                page.keyboard.press(key)
            page.keyboard.press("ArrowUp")
            page.locator("#unsaved").wait_for(state="hidden")
            take(page, "review.png")
            page.set_viewport_size({"width": 390, "height": 800})
            take(page, "review_phone.png")
        finally:
            browser.close()
            server.kill()


def take(page: Page, name: str) -> None:
    page.evaluate("scrollTo(0, 0)")
    page.wait_for_timeout(500)
    Image.open(io.BytesIO(page.screenshot())).convert("RGB").save(PICTURES / name, optimize=True)


if __name__ == "__main__":
    main()
