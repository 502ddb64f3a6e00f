"""Collections of different drawn faces that are ready for a review."""

import hashlib
import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import ROOT
from PIL import Image

from fer_lightning.collect.images.hashes import as_signed, both_hashes
from fer_lightning.collect.store.collection import Collection, now
from fer_lightning.data.synthetic import load
from fer_lightning.labels import TAXONOMIES

CHROMIUM = Path("/usr/bin/chromium")
needs_browser = pytest.mark.skipif(
    not CHROMIUM.exists() or find_spec("playwright") is None, reason=f"playwright and {CHROMIUM} drive the page"
)

CLASSES = TAXONOMIES["learning_game_distracted"].classes
DEFINITIONS = {
    "frustration": "Something does not work out: brows drawn together or one raised, lips pressed or pulled tight, "
    "a hand on the forehead. Not open anger at someone, not tears.",
    "boredom": "Nothing holds the attention: heavy lids, a slack face, the head in a hand, a look past the camera.",
}
WORDS = ("frustrated person", "annoyed student", "person stuck at a computer", "persona frustrada")
CREATORS = ("Ada Example", "B. Muster", "Clara Exemple", "D. Ejemplo")
LICENCES = (("by", "2.0"), ("cc0", "1.0"), ("by-sa", "4.0"), ("by-nc", "2.0"), ("pdm", "1.0"))


def collection_for_review(
    root: Path, faces: int = 120, *, emotions: tuple[str, ...] = ("frustration",), size: tuple[int, int] = (640, 480)
) -> Collection:
    """Distinct faces, all kept, found for the emotions in turn; images of size (width, height).

    Every tenth is flagged as like the one before it, every ninth is ambiguous, the fourth is like one of FER2013.
    """
    crops = load(rows=max(100, faces), seed=1, taxonomy="learning_game", duplicates=0).pixels[:faces]
    collection = Collection(root)
    random = np.random.default_rng(0)
    with collection.writing():
        pages = {(emotion, words): _page(collection, emotion, words) for emotion in emotions for words in WORDS}
        for number, crop in enumerate(crops):
            page = pages[emotions[number % len(emotions)], WORDS[number % len(WORDS)]]
            picture, box = photograph(crop, size, random)
            face = _face(collection, number, crop, box, _picture(collection, number, page, picture))
            _flags(collection, number, face)
    return collection


def photograph(crop: np.ndarray, size: tuple[int, int], random: np.random.Generator) -> tuple[np.ndarray, list[int]]:
    """The face somewhere in a drawn room: uint8 RGB (H, W, 3), and [x, y, side, side] of the crop in it."""
    width, height = size
    side = int(random.uniform(0.3, 0.5) * height)
    x, y = int(random.uniform(0.1, 0.9) * (width - side)), int(random.uniform(0.05, 0.6) * (height - side))
    tint = random.uniform(0.75, 1.0, 3)
    room = cv2.resize(random.uniform(60, 200, (3, 4)).astype(np.float32), size, interpolation=cv2.INTER_CUBIC)
    room = room + random.normal(0, 5, (height, width))
    face = cv2.resize(crop, (side, side), interpolation=cv2.INTER_CUBIC).astype(np.float32)
    edge = np.minimum.reduce(np.meshgrid(*2 * [np.minimum(np.arange(side), np.arange(side)[::-1])]))
    share = np.clip(edge / (0.08 * side), 0, 1)
    room[y : y + side, x : x + side] += share * (face - room[y : y + side, x : x + side])
    return np.clip(room[..., None] * tint, 0, 255).astype(np.uint8), [x, y, side, side]


def _page(collection: Collection, emotion: str, words: str) -> int:
    language = "es" if words.startswith("persona ") else "en"
    row = {"provider": "openverse", "emotion": emotion, "query": words, "language": language}
    return collection.add("page", row | {"status": "answered", "found": 1, "version": "0.1.0"})


def _picture(collection: Collection, number: int, page: int, picture: np.ndarray) -> dict[str, object]:
    content = io.BytesIO()
    Image.fromarray(picture).save(content, "JPEG", quality=90)
    image, file = hashlib.sha256(f"as it came {number}".encode()).hexdigest(), hashlib.sha256(content.getvalue())
    name = f"{file.hexdigest()}.jpg"
    collection.file(name).parent.mkdir(parents=True, exist_ok=True)
    collection.file(name).write_bytes(content.getvalue())
    address = f"https://pictures.example.org/{number}"
    licence, version = LICENCES[number % len(LICENCES)]
    licensed = {
        "creator": CREATORS[number % len(CREATORS)],
        "creator_url": f"https://pictures.example.org/by/{number % len(CREATORS)}",
        "licence": licence,
        "licence_version": version,
        "licence_url": f"https://creativecommons.org/licenses/{licence}/{version}/",
    }
    candidate = collection.add(
        "candidate",
        {
            "provider": "openverse",
            "provider_id": str(number),
            "image_url": f"{address}.jpg",
            "landing_url": address,
            "title": f"Drawn face number {number + 1}, frustrated at a desk",
            **licensed,
        },
    )
    collection.add("licence", {"candidate": candidate, **licensed})
    collection.add("finding", {"page": page, "candidate": candidate, "rank": number})
    collection.add("fetch", {"candidate": candidate, "status": "stored", "stage": "decode", "image": image})
    height, width = picture.shape[:2]
    straight, mirrored = map(as_signed, both_hashes(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)))
    row = {"image": image, "file": name, "format": "JPEG", "width": width, "height": height}
    row |= {"stored_width": width, "stored_height": height, "phash": straight, "phash_mirrored": mirrored}
    collection.add("picture", row)
    return row


def _face(collection: Collection, number: int, crop: np.ndarray, box: list[int], picture: dict[str, object]) -> int:
    straight, mirrored = map(as_signed, both_hashes(crop))
    ambiguous = number % 9 == 8
    face = collection.add(
        "face",
        {
            "image": picture["image"],
            "rules": "drawn",
            "status": "face",
            "detector": "drawn",
            "opencv_version": cv2.__version__,
            "n_faces": 2 if ambiguous else 1,
            "score": 0.8 + 0.19 * (number % 7) / 7,
            "box": json.dumps(box),
            "face_px": box[2],
            "ambiguous": ambiguous,
            "crop_box": json.dumps(box),
            "resize_filter": "area",
            "crop": crop.tobytes(),
            "crop_id": hashlib.sha256(crop.tobytes()).hexdigest(),
            "phash": straight,
            "phash_mirrored": mirrored,
        },
    )
    collection.add("deduped", {"face": face, "status": "unique"})
    return face


def _flags(collection: Collection, number: int, face: int) -> None:
    row = {"face": face, "kind": "crop", "mirrored": 0}
    if number % 10 == 9:
        collection.add("likeness", row | {"other_face": face - 1, "distance": 4})
    if number == 3:
        collection.add("likeness", row | {"fer2013_digest": "0" * 64, "fer2013_usage": "PublicTest", "distance": 5})


def look_again(collection: Collection, face: int, status: str = "face") -> int:
    """The face that a detector under other rules takes from the same image."""
    with collection.writing():
        row = dict(collection.rows("SELECT * FROM face WHERE id = ?", face)[0]) | {"rules": "other", "status": status}
        crop = bytes(255 - value for value in row["crop"])
        row |= {"crop": crop, "crop_id": hashlib.sha256(crop).hexdigest()}
        newer = collection.add("face", {name: value for name, value in row.items() if name not in ("id", "time")})
        collection.add("deduped", {"face": newer, "status": "unique"})
    return newer


def event(face: int, crop: str, action: str = "accept", label: str | None = None, **other: object) -> dict[str, object]:
    """A decision as the page sends it; each call makes another one."""
    event.made = getattr(event, "made", 0) + 1
    label = label or ("frustration" if action == "accept" else None)
    made = {"event": f"00000000-0000-4000-8000-{event.made:012x}", "time": now(), "face": face, "crop": crop, "pass": 1}
    made |= {"action": action, "label": label, "undoes": None, "ms_spent": 800, "page_version": "abc123"}
    return made | other


class Server:
    """`serve` in a process of its own, started and ended as often as a test likes, at the same port and root."""

    def __init__(self, root: Path, log: Path) -> None:
        self.root, self.log, self.port, self.process = root, log, 0, None

    def start(self, **options: object) -> str:
        """The address that it prints."""
        options = {
            "emotion": "frustration",
            "annotator": "anna",
            "pass_": 1,
            "port": self.port,
            "classes": CLASSES,
            "definitions": DEFINITIONS,
        } | options
        code = (
            "import signal, sys; from fer_lightning.collect.store.collection import Collection;"
            "signal.signal(signal.SIGINT, signal.default_int_handler);"  # a parent in the background may ignore it
            "from fer_lightning.collect.review.server import serve;"
            f"serve(Collection(sys.argv[1]), **{options!r})"
        )
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", code, str(self.root)], cwd=ROOT, env=_environment(), stdout=log, stderr=log
            )
        return self._address()

    def _address(self) -> str:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and self.process.poll() is None:
            for word in self.log.read_text().split():
                if word.startswith("http://"):
                    self.port = int(word.split(":")[2].partition("/")[0])
                    return word
            time.sleep(0.02)
        raise AssertionError(self.log.read_text())

    def kill(self) -> None:
        """End the process as kill -9 does."""
        if self.process and self.process.poll() is None:
            self.process.kill()
        if self.process:
            self.process.wait()


def _environment() -> Mapping[str, str]:
    return os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
