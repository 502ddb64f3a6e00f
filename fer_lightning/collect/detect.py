"""The step `detect`: of every stored picture the face that is meant, or the reason why it has none to take."""

import hashlib
import io
import json
import sqlite3
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from fer_lightning.collect.database import Collection
from fer_lightning.collect.hashes import as_signed, both_hashes
from fer_lightning.errors import UserError
from fer_lightning.faces.crop import FILTER, crop_side
from fer_lightning.faces.detector import Detector
from fer_lightning.faces.find import Found, find_face, recipe
from fer_lightning.faces.quality import Rules

Progress = Callable[[int, int], None]

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
    UserError where a stored picture is missing or damaged; what was found before it is kept.
    """
    wanted, result = recipe(detector, rules), DetectResult()
    pictures = collection.rows(
        "SELECT image, file FROM picture WHERE "
        "NOT EXISTS (SELECT 1 FROM current_face AS face WHERE face.image = picture.image AND face.rules = ?) AND "
        "NOT EXISTS (SELECT 1 FROM face JOIN decision ON decision.face = face.id WHERE face.image = picture.image) "
        "ORDER BY time, image",
        wanted,
    )
    for start in range(0, len(pictures), AT_ONCE):
        rows = []
        try:
            for number, picture in enumerate(pictures[start : start + AT_ONCE], start + 1):
                row = _looked_at(collection, picture, detector, rules)
                rows.append({"image": picture["image"], "rules": wanted} | row)
                if progress:
                    progress(number, len(pictures))
        finally:
            _keep(collection, rows, result)
    return result


def _keep(collection: Collection, rows: list[dict[str, Any]], result: DetectResult) -> None:
    with collection.writing():
        for row in rows:
            collection.add("face", row)
    result.faces += sum(row["status"] == "face" for row in rows)
    result.refused.update(row["reason"] for row in rows if row["status"] == "refused")


def _looked_at(collection: Collection, picture: sqlite3.Row, detector: Detector, rules: Rules) -> dict[str, Any]:
    """What the table `face` says of a picture."""
    found = find_face(_pixels(collection.file(picture["file"])), detector, rules)
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


def _pixels(path: Path) -> np.ndarray:
    """uint8 RGB of a stored picture, whose name says the SHA-256 of its bytes."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; the step `verify` says what is missing and mends it") from error
    if hashlib.sha256(data).hexdigest() != path.stem:
        raise UserError(f"{path}: not the picture that was stored; the step `verify` says what is damaged and mends it")
    with Image.open(io.BytesIO(data), formats=("JPEG",)) as image:
        return np.asarray(image.convert("RGB"))
