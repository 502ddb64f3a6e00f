"""The step `detect`: of every stored picture the face that is meant, or the reason why it has none to take."""

import hashlib
import io
import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from fer_lightning.collect.images.hashes import as_signed, both_hashes
from fer_lightning.collect.store.collection import Collection, Progress
from fer_lightning.errors import UserError
from fer_lightning.faces.crop import FILTER, crop_side
from fer_lightning.faces.detector import Detector
from fer_lightning.faces.find import Found, find_face, recipe
from fer_lightning.faces.quality import Rules

AT_ONCE = 32  # pictures of one transaction: what a kill may cost is a second's work


@dataclass
class DetectResult:
    """What was done just now: how many faces were taken, and how many pictures have none to take, by reason."""

    faces: int = 0
    refused: Counter[str] = field(default_factory=Counter)


def detect(
    collection: Collection, *, detector: Detector, rules: Rules, progress: Progress | None = None
) -> DetectResult:
    """Look at each picture that this detector has not looked at under these rules, and add its row `face`.

    A picture about whose face somebody has decided is left as it was seen then.
    UserError at the end where stored pictures are missing or damaged: what was found in the others is kept.
    """
    wanted, result, lost = recipe(detector, rules), DetectResult(), []
    pictures = collection.rows(_PICTURES, wanted)
    for start in range(0, len(pictures), AT_ONCE):
        rows = []
        try:
            for number, picture in enumerate(pictures[start : start + AT_ONCE], start + 1):
                path = collection.file(picture["file"])
                pixels = _pixels(path)
                if pixels is None:
                    lost.append(path)
                else:
                    rows.append({"image": picture["image"], "rules": wanted} | _looked_at(pixels, detector, rules))
                if progress:
                    progress(number, len(pictures))
        finally:
            _keep(collection, rows, result)
    if lost:
        raise UserError(
            f"{len(lost):,} of {len(pictures):,} pictures are missing or not what was stored, such as {lost[0]}; the "
            f"faces of the others are kept. python -m fer_lightning.collect verify   names them all, and after it "
            f"`fetch` gets them again"
        )
    return result


# What is known to be lost is left to `fetch`.
_PICTURES = """
SELECT image, file FROM picture
WHERE image IN (SELECT image FROM current_fetch WHERE status = 'stored')
  AND NOT EXISTS (SELECT 1 FROM current_face AS face WHERE face.image = picture.image AND face.rules = ?)
  AND NOT EXISTS (SELECT 1 FROM face JOIN decision ON decision.face = face.id WHERE face.image = picture.image)
ORDER BY time, image
"""


_DECIDED = "SELECT 1 FROM face JOIN decision ON decision.face = face.id WHERE face.image = ?"


def _keep(collection: Collection, rows: list[dict[str, Any]], result: DetectResult) -> None:
    """Add the rows, but for pictures about which somebody has decided meanwhile."""
    with collection.writing():
        rows = [row for row in rows if not collection.value(_DECIDED, row["image"])]
        for row in rows:
            collection.add("face", row)
    result.faces += sum(row["status"] == "face" for row in rows)
    result.refused.update(row["reason"] for row in rows if row["status"] == "refused")


def _looked_at(pixels: np.ndarray, detector: Detector, rules: Rules) -> dict[str, Any]:
    """What the table `face` says of a picture."""
    found = find_face(pixels, detector, rules)
    row = {
        "status": "refused" if found.reason else "face",
        "reason": found.reason,
        "detector": detector.name,
        "model_sha256": detector.model_sha256,
        "opencv_version": cv2.__version__,
        "n_faces": found.faces,
    }
    return row | _of_face(found) | _of_crop(found)


def _of_face(found: Found) -> dict[str, Any]:
    face = found.face
    if face is None:
        return {}
    landmarks = face.landmarks and json.dumps([_rounded(point) for point in face.landmarks])
    return {
        "score": face.score,
        "box": json.dumps(_rounded(face.box)),
        "landmarks": landmarks,
        "roll_deg": found.roll_deg,
        "face_px": crop_side(face),
        "ambiguous": int(found.ambiguous),
    }


def _of_crop(found: Found) -> dict[str, Any]:
    if found.crop is None:
        return {}
    plain, mirrored = map(as_signed, both_hashes(found.crop))
    pixels = found.crop.tobytes()
    return {
        "crop_box": json.dumps(found.square),
        "resize_filter": FILTER,
        "crop": pixels,
        "crop_id": hashlib.sha256(pixels).hexdigest(),
        "phash": plain,
        "phash_mirrored": mirrored,
    }


def _rounded(numbers: tuple[float, ...]) -> list[float]:
    return [round(number, 2) for number in numbers]


def _pixels(path: Path) -> np.ndarray | None:
    """uint8 RGB of a stored picture, whose name says the SHA-256 of its bytes; None where it is lost."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    if hashlib.sha256(data).hexdigest() != path.stem:
        return None
    with Image.open(io.BytesIO(data), formats=("JPEG",)) as image:
        return np.asarray(image.convert("RGB"))
