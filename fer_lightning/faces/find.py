"""From a picture to its face: what the collector, folders of photographs and predictions all go through."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np

from fer_lightning.faces import crop, detector, roll
from fer_lightning.faces.crop import Square, crop_face
from fer_lightning.faces.detector import Detector
from fer_lightning.faces.face import Face
from fer_lightning.faces.quality import TILTED, Rules, choose


@dataclass(frozen=True)
class Found:
    """What became of a picture.

    face      the one that is meant, taken or not; None where there is none
    reason    why it is not taken, one of `quality.REASONS`; None: it is taken, and `crop` and `square` are there
    roll_deg  None where the detector cannot tell, and where the face is not taken for another reason
    crop      uint8 (48, 48)
    square    x, y, side and side again of the crop, in pixels of the picture
    """

    face: Face | None
    reason: str | None
    ambiguous: bool
    faces: int
    roll_deg: float | None = None
    crop: np.ndarray | None = None
    square: Square | None = None


def find_face(picture: np.ndarray, detector: Detector, rules: Rules) -> Found:
    """The face of a picture, uint8 RGB (H, W, 3) or grey (H, W), cut out, or the reason why it has none to take."""
    choice = choose(detector(picture), rules)
    known = {"face": choice.face, "ambiguous": choice.ambiguous, "faces": choice.faces}
    if choice.reason:
        return Found(reason=choice.reason, **known)
    known["roll_deg"] = detector.roll(picture, choice.face)
    if abs(known["roll_deg"] or 0.0) > rules.max_roll_deg:
        return Found(reason=TILTED, **known)
    cut, square = crop_face(picture, choice.face)
    return Found(reason=None, crop=cut, square=square, **known)


def recipe(finder: Detector, rules: Rules) -> str:
    """16 hex digits that change whenever the same picture might give another crop."""
    parts: Mapping = {
        "detector": [finder.name, finder.model_sha256, detector.LONG_SIDES, detector.SURE, detector.WEAKEST],
        "roll": [roll.STEP, roll.DISC_OF_HEIGHT, roll.SURE],
        "rules": asdict(rules),
        "crop": [crop.SIDE_OF_HEIGHT, crop.SIDE, crop.FILTER],
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]
