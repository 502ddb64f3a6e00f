"""The step `detect`: find the main face of every stored image, or record the reason why no face can be used."""

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
from fer_lightning.collect.store.collection import Collection
from fer_lightning.errors import UserError
from fer_lightning.faces.crop import FILTER, crop_side
from fer_lightning.faces.detector import Detector
from fer_lightning.faces.find import FaceResult, find_face, recipe
from fer_lightning.faces.image_form import FER2013_FORM, ImageForm
from fer_lightning.faces.settings import FaceRules
from fer_lightning.terminal import Progress

AT_ONCE = 32  # images per transaction; a kill loses about one second of work


@dataclass
class DetectResult:
    """Result of this call: number of faces, and number of images without a usable face, by reason."""

    faces: int = 0
    refused: Counter[str] = field(default_factory=Counter)


def detect(
    collection: Collection,
    *,
    detector: Detector,
    rules: FaceRules,
    form: ImageForm = FER2013_FORM,
    emotion: str | None = None,
    provider: str | None = None,
    query: str | None = None,
    progress: Progress | None = None,
) -> DetectResult:
    """Detect the face of each image that this detector has not processed under these rules; add its row `face`.

    form      size and color of the crops, the same in all of a collection
    emotion   emotion whose images are processed again under these rules; None: all
    provider  name of the provider that must have found them, too; None: any
    query     query of this provider that must have found them, such as the name of a folder; None: any

    An image of another search keeps its face, which other rules found, for example those for cropped faces. An image
    whose face was already decided about keeps the face that the reviewer saw.
    Raise UserError at the end if stored images are missing or damaged; the faces of the others are kept.
    """
    wanted, result, lost = recipe(detector, rules, form), DetectResult(), []
    images = collection.rows(_IMAGES, wanted, emotion, emotion, provider, provider, query, query)
    for start in range(0, len(images), AT_ONCE):
        rows = []
        try:
            for number, picture in enumerate(images[start : start + AT_ONCE], start + 1):
                path = collection.file(picture["file"])
                pixels = _pixels(path)
                if pixels is None:
                    lost.append(path)
                else:
                    row = _face_row(pixels, detector, rules, form)
                    rows.append({"image": picture["image"], "rules": wanted} | row)
                if progress:
                    progress(number, len(images))
        finally:
            _keep(collection, rows, result)
    if lost:
        raise UserError(
            f"{len(lost):,} of {len(images):,} images are missing or damaged, such as {lost[0]}. The faces of the "
            f"others are kept. Run python -m fer_lightning.collect verify to list them, then `fetch` to download them "
            f"again."
        )
    return result


# Images that are known to be lost are not selected; `fetch` handles them.
_IMAGES = """
SELECT image, file FROM picture
WHERE image IN (SELECT image FROM current_fetch WHERE status = 'stored')
  AND NOT EXISTS (SELECT 1 FROM current_face AS face WHERE face.image = picture.image AND face.rules = ?)
  AND NOT EXISTS (SELECT 1 FROM face JOIN decision ON decision.face = face.id WHERE face.image = picture.image)
  AND (NOT EXISTS (SELECT 1 FROM face WHERE face.image = picture.image) OR EXISTS (
    SELECT 1 FROM source JOIN finding ON finding.candidate = source.candidate JOIN page ON page.id = finding.page
    WHERE source.image = picture.image AND (? IS NULL OR page.emotion = ?)
      AND (? IS NULL OR page.provider = ?) AND (? IS NULL OR page.query = ?)
  ))
ORDER BY time, image
"""


_DECIDED = "SELECT 1 FROM face JOIN decision ON decision.face = face.id WHERE face.image = ?"


def _keep(collection: Collection, rows: list[dict[str, Any]], result: DetectResult) -> None:
    """Add the rows, except for images that were decided about in the meantime."""
    with collection.writing():
        rows = [row for row in rows if not collection.value(_DECIDED, row["image"])]
        for row in rows:
            collection.add("face", row)
    result.faces += sum(row["status"] == "face" for row in rows)
    result.refused.update(row["reason"] for row in rows if row["status"] == "refused")


def _face_row(pixels: np.ndarray, detector: Detector, rules: FaceRules, form: ImageForm) -> dict[str, Any]:
    """Return an image's row of the table `face`."""
    detection = find_face(pixels, detector, rules, form)
    row = {
        "status": "refused" if detection.reason else "face",
        "reason": detection.reason,
        "detector": detector.name,
        "model_sha256": detector.model_sha256,
        "opencv_version": cv2.__version__,
        "n_faces": detection.faces,
    }
    return row | _of_face(detection) | _of_crop(detection)


def _of_face(detection: FaceResult) -> dict[str, Any]:
    face = detection.face
    if face is None:
        return {}
    landmarks = face.landmarks and json.dumps([_rounded(point) for point in face.landmarks])
    return {
        "score": face.score,
        "box": json.dumps(_rounded(face.box)),
        "landmarks": landmarks,
        "roll_deg": detection.roll_deg,
        "face_px": crop_side(face),
        "ambiguous": int(detection.ambiguous),
    }


def _of_crop(detection: FaceResult) -> dict[str, Any]:
    if detection.crop is None:
        return {}
    plain, mirrored = map(as_signed, both_hashes(FER2013_FORM.fit(detection.crop)))
    pixels = detection.crop.tobytes()
    return {
        "crop_box": json.dumps(detection.square),
        "resize_filter": FILTER,
        "crop": pixels,
        "crop_id": hashlib.sha256(pixels).hexdigest(),
        "phash": plain,
        "phash_mirrored": mirrored,
    }


def _rounded(numbers: tuple[float, ...]) -> list[float]:
    return [round(number, 2) for number in numbers]


def _pixels(path: Path) -> np.ndarray | None:
    """Return uint8 RGB pixels of a stored image; None if it is missing or if its SHA-256 differs from its name."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    if hashlib.sha256(data).hexdigest() != path.stem:
        return None
    with Image.open(io.BytesIO(data), formats=("JPEG",)) as image:
        return np.asarray(image.convert("RGB"))
