"""Measure speed and memory of `make collect`; print one JSON line per measurement. One thread each.

python scripts/benchmark_collect.py steps      each step over 10,000 drawn images: seconds, peak memory
python scripts/benchmark_collect.py copies     milliseconds to compare a new face with FER2013; lower is better
"""

import argparse
import io
import os
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from timing import bounded, compare, measured, megabytes, seconds

from fer_lightning.collect.images.hashes import as_signed, both_hashes, phash
from fer_lightning.collect.steps.dedupe import Fer2013, dedupe
from fer_lightning.collect.store.collection import Collection, now
from fer_lightning.faces.detector import open_detector
from fer_lightning.faces.face import SIDE
from fer_lightning.faces.find import find_face
from fer_lightning.faces.settings import FaceRules

ROOT = Path(__file__).resolve().parent.parent
FER2013_ROWS = 35_887
ACCEPTED = 0.6  # share of the faces that the benchmark's reviewer accepts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    add_faces(commands)
    add_copies(commands)
    add_review(commands)
    add_steps(commands)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    arguments.run(arguments)


def drawn(seed: int, side: int) -> Image.Image:
    blobs = np.random.default_rng(seed).integers(0, 256, (6, 6), dtype=np.uint8)
    return Image.fromarray(blobs).resize((side, side), Image.Resampling.BICUBIC)


# faces: images a second from JPEG files to 48 x 48 faces


def add_faces(commands) -> None:
    parser = commands.add_parser("faces", help="images/s of finding and cutting out faces, against shrinking the image")
    parser.add_argument("--repeats", type=int, default=11, help="timings of each, interleaved")
    parser.add_argument("--images", type=int, default=40, help="portraits of one timing")
    parser.add_argument("--model", help="YuNet's file; without it the one of the package")
    parser.set_defaults(run=faces)


def faces(arguments: argparse.Namespace) -> None:
    detector, files = open_detector(arguments.model, kind="yunet"), portraits(arguments.images)

    def cut_out() -> float:
        start = time.perf_counter()
        for data in files:
            with Image.open(io.BytesIO(data)) as image:
                assert find_face(np.asarray(image), detector, FaceRules()).crop is not None
        return len(files) / (time.perf_counter() - start)

    def shrunk() -> float:
        start = time.perf_counter()
        for data in files:
            grey = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)
            cv2.resize(grey, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        return len(files) / (time.perf_counter() - start)

    compare("faces_cut_out", "images/s", cut_out, shrunk, arguments.repeats)


def portraits(count: int) -> list[bytes]:
    """JPEGs of 640 x 640 of one portrait, each turned by another angle within 20 degrees, every second mirrored."""
    import skimage.data

    portrait = cv2.resize(skimage.data.astronaut(), (640, 640), interpolation=cv2.INTER_CUBIC)
    files = []
    for number, degrees in enumerate(np.linspace(-20, 20, count)):
        turn = cv2.getRotationMatrix2D((320, 320), degrees, 1.0)
        turned = cv2.warpAffine(portrait, turn, (640, 640), borderMode=cv2.BORDER_REPLICATE)
        file = io.BytesIO()
        Image.fromarray(turned[:, ::-1] if number % 2 else turned).save(file, "JPEG", quality=90)
        files.append(file.getvalue())
    return files


# copies: a new face against FER2013's rows


def add_copies(commands) -> None:
    parser = commands.add_parser("copies", help="milliseconds to hold a new face against FER2013's rows")
    parser.add_argument("--faces", type=int, default=500, help="new faces")
    parser.set_defaults(run=copies)


def copies(arguments: argparse.Namespace) -> None:
    rows = [np.asarray(drawn(seed, SIDE)) for seed in range(FER2013_ROWS)]
    began = time.perf_counter()
    hashes = np.array([phash(row) for row in rows], np.uint64)
    measured("copies_hashing_fer2013_once", "s", time.perf_counter() - began)
    fer2013 = Fer2013(
        "drawn", hashes, np.stack(rows), np.zeros((FER2013_ROWS, 32), np.uint8), np.zeros(FER2013_ROWS, np.uint8)
    )
    with tempfile.TemporaryDirectory() as folder, Collection(folder) as collection:
        fill(collection, arguments.faces)
        each = 1000 * seconds(lambda: dedupe(collection, fer2013=fer2013)) / arguments.faces
    bounded("copies_new_face", "ms", each, limit=50)


def fill(collection: Collection, count: int) -> None:
    """New faces, every tenth of which is a row of FER2013."""
    with collection.writing():
        for number in range(count):
            crop = np.asarray(drawn(number if number % 10 == 0 else 10**6 + number, SIDE))
            plain, mirrored = map(as_signed, both_hashes(crop))
            picture = {"phash": as_signed(number * 0x9E3779B97F4A7C15 % 2**64), "phash_mirrored": plain}
            image = f"{number:064x}"
            size = {"width": 160, "height": 160, "stored_width": 160, "stored_height": 160}
            collection.add("picture", {"image": image, "file": f"{image}.jpg", "format": "JPEG", **size, **picture})
            row = {"image": image, "rules": "drawn", "status": "face", "detector": "drawn", "opencv_version": ""}
            row |= {"n_faces": 1, "crop": crop.tobytes(), "crop_id": image, "phash": plain, "phash_mirrored": mirrored}
            collection.add("face", row)


# review: from a key to the next face, in a browser


def add_review(commands) -> None:
    parser = commands.add_parser("review", help="milliseconds from a key to the next face; the server's memory")
    parser.add_argument("--faces", type=int, default=1000, help="drawn faces that wait for a review")
    parser.add_argument("--decisions", type=int, default=1000, help="how many of them are decided, by one key each")
    parser.add_argument("--width", type=int, default=960, help="width of the images with faces, in pixels")
    parser.set_defaults(run=review)


def review(arguments: argparse.Namespace) -> None:
    sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "helpers")]
    from collect_review import Server, collection_for_review

    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder, "collection")
        size = (arguments.width, arguments.width * 3 // 4)
        collection_for_review(root, arguments.faces, size=size).close()
        server = Server(root, Path(folder, "log"))
        try:
            opened, waits = decide_in_browser(server.start(), arguments.decisions)
            status = Path(f"/proc/{server.process.pid}/status").read_text()
        finally:
            server.kill()
    part = max(1, len(waits) // 10)
    begin, end = statistics.median(waits[:part]), statistics.median(waits[-part:])
    bounded("review_open", "ms", opened, limit=2000)
    bounded("review_key_median", "ms", statistics.median(waits), limit=40)
    bounded("review_key_p95", "ms", float(np.quantile(waits, 0.95)), limit=100)
    bounded("review_slow_down", "ms", max(0.0, end - begin), limit=10)
    bounded("review_server_memory", "MB", megabytes("VmHWM", status), limit=200)


# For each key that decides, the time until the next face and its image are drawn: from the key to the frame after the
# image is decoded.
NOTE_WAITS = """
window.waits = [];
addEventListener("keydown", (event) => {
  if (event.key !== "a") return;
  const drawn = () => requestAnimationFrame(() => waits.push(performance.now() - event.timeStamp));
  const image = document.querySelector("#frame img");
  Promise.all([image?.decode(), document.getElementById("crop").decode()]).then(drawn, drawn);
});
"""


def decide_in_browser(address: str, decisions: int) -> tuple[float, list[float]]:
    """Milliseconds until the page can be used, and of each key."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as started:
        arguments = ["--no-sandbox", "--disable-background-networking"]
        browser = started.chromium.launch(executable_path="/usr/bin/chromium", args=arguments)
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.add_init_script(NOTE_WAITS)
        start = time.perf_counter()
        page.goto(address)
        page.locator("#frame img").wait_for()
        opened = 1000 * (time.perf_counter() - start)
        for done in range(1, decisions + 1):
            page.keyboard.press("a")
            while page.evaluate("waits.length") < done:
                time.sleep(0.001)
            if page.evaluate("document.activeElement.id") == "next":
                page.keyboard.press("Enter")
        page.locator("#unsaved").wait_for(state="hidden")
        waits = page.evaluate("waits")
        browser.close()
    return opened, waits


# steps: each as its own command, over many images


def add_steps(commands) -> None:
    parser = commands.add_parser("steps", help="seconds and memory of each step")
    parser.add_argument("--pictures", type=int, default=10_000, help="number of drawn images of 160 pixels")
    parser.set_defaults(run=steps)


def steps(arguments: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as folder:
        pictures, root = Path(folder, "pictures"), Path(folder, "collection")
        pictures.mkdir()
        for number in range(arguments.pictures):
            drawn(number, 160).save(pictures / f"{number:06d}.jpg", quality=90)
        settings = [f"root={root}", "provider=local", f"provider.path={pictures}", "faces.kind=whole"]
        for step in ("search", "fetch", "detect", "dedupe"):
            time_step(step, settings)
        decide(root)
        for step in ("merge", "tally", "export", "verify"):
            time_step(step, settings)
        with Collection(root) as collection:
            image = collection.value("SELECT image FROM picture LIMIT 1")
        time_step("purge", ["--id", image, *settings])
        time_step("search", settings, name="search_of_nothing_new")


def time_step(step: str, settings: list[str], name: str = "") -> None:
    """Run one step as its command; the memory is that of the command itself, not of the process that decodes."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "fer_lightning.collect", step, *settings]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENCV_FOR_THREADS_NUM": "1"}
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{step} ended with {os.waitstatus_to_exitcode(status)}")
    measured(f"{name or step}_time", "s", time.perf_counter() - began)
    measured(f"{name or step}_memory", "MB", usage.ru_maxrss / 1024)


def decide(root: Path) -> None:
    """Decisions about every unique face, as the page would send them."""
    random = np.random.default_rng(0)
    with Collection(root) as collection, collection.writing():
        for (face,) in collection.rows("SELECT face FROM current_deduped WHERE status = 'unique'"):
            accepted = random.random() < ACCEPTED
            row = {"event": str(uuid.uuid4()), "time": now(), "received": now(), "face": face, "pass": 1}
            row |= {"annotator": "first", "action": "accept" if accepted else "reject"}
            collection.add("decision", row | {"label": "frustration" if accepted else None})


if __name__ == "__main__":
    main()
