"""Images for tests of the collector: one real portrait in many states, and drawn faces that need no detector.

The portrait is NASA's of the astronaut Eileen Collins, in the public domain, which scikit-image ships.
"""

import hashlib
import io
from functools import cache

import cv2
import numpy as np
import skimage.data
from collect_rows import add_candidate, add_fetch, add_page
from PIL import Image

from fer_lightning.collect.store.collection import Collection
from fer_lightning.faces.face import Face
from fer_lightning.faces.model_file import find_model
from fer_lightning.files import write_atomically

# YuNet's file in the package.
MODEL = str(find_model())

# Box of the portrait's face: x, y, width, height in pixels of the 512 x 512 image.
PORTRAIT_BOX = (178, 63, 90, 113)


def store_picture(collection: Collection, picture: np.ndarray) -> str:
    """Put an image into the collection as `fetch` does; returns its key."""
    data = encoded(picture, "JPEG")
    name = f"{hashlib.sha256(data).hexdigest()}.jpg"
    write_atomically(collection.file(name), data)
    height, width = picture.shape[:2]
    row = {"image": hashlib.sha256(picture.tobytes()).hexdigest(), "file": name, "format": "PNG", "phash": 0}
    row |= {"width": width, "height": height, "stored_width": width, "stored_height": height, "phash_mirrored": 0}
    with collection.writing():
        collection.add("picture", row)
    add_fetch(collection, add_candidate(collection, add_page(collection)), row["image"])
    return row["image"]


@cache
def _portrait() -> np.ndarray:
    return skimage.data.astronaut()


def portrait() -> np.ndarray:
    """uint8 RGB (512, 512, 3), its face upright at PORTRAIT_BOX."""
    return _portrait().copy()


def rotated(picture: np.ndarray, degrees: float) -> np.ndarray:
    """Turned clockwise about its centre, at the same size."""
    height, width = picture.shape[:2]
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), -degrees, 1.0)
    return cv2.warpAffine(picture, turn, (width, height), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE)


def shrunk(picture: np.ndarray, long_side: int) -> np.ndarray:
    scale = long_side / max(picture.shape[:2])
    size = (round(picture.shape[1] * scale), round(picture.shape[0] * scale))
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA)


def enlarged(picture: np.ndarray, times: float) -> np.ndarray:
    return cv2.resize(picture, None, fx=times, fy=times, interpolation=cv2.INTER_CUBIC)


def mirrored(picture: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(picture[:, ::-1])


def mouth_covered() -> np.ndarray:
    """The portrait with a grey board before the lower half of the face."""
    picture = portrait()
    x, y, width, height = PORTRAIT_BOX
    picture[y + height // 2 + 10 : y + height + 20, x - 20 : x + width + 20] = 120
    return picture


def two_faces(ratio: float) -> np.ndarray:
    """The portrait at the left of itself shrunk by `ratio` a side: the larger face is the left one."""
    large = portrait()
    canvas = np.full((large.shape[0], 2 * large.shape[1], 3), 128, np.uint8)
    canvas[:, : large.shape[1]] = large
    small = shrunk(large, round(ratio * large.shape[1]))
    canvas[: small.shape[0], large.shape[1] : large.shape[1] + small.shape[1]] = small
    return canvas


def encoded(picture: np.ndarray, form: str = "PNG", orientation: int = 1, **options) -> bytes:
    """The bytes of an image file, with EXIF's orientation if it is not 1."""
    image, file = Image.fromarray(picture), io.BytesIO()
    if orientation != 1:
        exif = Image.Exif()
        exif[0x0112] = orientation
        options["exif"] = exif
    if form == "JPEG":
        options = {"quality": 95, "subsampling": 0} | options
    image.save(file, form, **options)
    return file.getvalue()


def lying(picture: np.ndarray) -> bytes:
    """A JPEG as a phone held sideways writes it: turned pixels, and EXIF saying how to turn them back."""
    return encoded(np.ascontiguousarray(np.rot90(picture)), "JPEG", orientation=6)


def drawn_picture(
    seed: int, *, faces: int = 1, face_height: int = 120, size: tuple[int, int] = (320, 240)
) -> np.ndarray:
    """uint8 RGB (height, width, 3) of soft noise with reddish rectangles in it, which FakeDetector takes for faces.

    Each seed gives another image and other faces, whose perceptual hashes are as far apart as chance has it.

    faces  0, 1 or 2; the second is nearly as large as the first
    size   width, height; without room for the faces ValueError
    """
    random = np.random.default_rng(seed)
    width, height = size
    coarse = random.uniform(80, 175, (height // 12, width // 12)).astype(np.float32)
    noise = cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC)
    hue = np.full(noise.shape, -40, np.float32)
    for place in range(faces):
        face_width = round(0.92 * face_height)
        room = width // max(faces, 1)
        x = place * room + random.integers(4, room - face_width - 4)
        y = random.integers(4, height - face_height - 4)
        shorter = face_height - 6 * place
        hue[y : y + shorter, x : x + face_width] = 40
    return np.clip(np.stack([noise + hue, noise, noise - hue], axis=-1), 0, 255).astype(np.uint8)


class FakeDetector:
    """Takes each reddish rectangle of `drawn_picture` for a face, in its JPEG too; needs no model.

    score, roll_deg  what it says of every face
    seen             number of images that it was given
    """

    name = "drawn"
    model_sha256 = None

    def __init__(self, score: float = 0.95, roll_deg: float = 0.0):
        self.score, self.roll_deg = score, roll_deg
        self.seen = 0

    def __call__(self, picture: np.ndarray) -> list[Face]:
        self.seen += 1
        if picture.ndim == 2:
            return []
        reddish = (picture[..., 0].astype(int) - picture[..., 2] > 20).astype(np.uint8)
        _, _, found, _ = cv2.connectedComponentsWithStats(reddish)
        return [self._face(*map(float, part[:4])) for part in found[1:] if part[4] > 400]

    def roll(self, picture: np.ndarray, face: Face) -> float:
        return self.roll_deg

    def _face(self, x: float, y: float, width: float, height: float) -> Face:
        places = ((0.3, 0.4), (0.7, 0.4), (0.5, 0.6), (0.35, 0.8), (0.65, 0.8))
        return Face((x, y, width, height), self.score, tuple((x + a * width, y + b * height) for a, b in places))
