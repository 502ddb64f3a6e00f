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
from fer_lightning.faces.quality import TILTED, FaceRules, ambiguous, choose, doubt, sufficient


@dataclass(frozen=True)
class Found:
    """What became of a picture (`find_face`), or of one of its faces (`find_faces`).

    face       the one that is meant, taken or not; None where there is none
    reason     why it is not taken, or not to be relied on: one of `quality.REASONS`; None: nothing speaks against it
    ambiguous  whether another face is nearly as large, or larger
    faces      how many faces of the picture have a sufficient score
    roll_deg   None where nobody asked or the detector cannot tell, and where another reason speaks against the face
    crop       uint8 (48, 48), grey; None where `find_face` takes no face
    square     x, y, side and side again of the crop, in pixels of the picture
    """

    face: Face | None
    reason: str | None
    ambiguous: bool
    faces: int
    roll_deg: float | None = None
    crop: np.ndarray | None = None
    square: Square | None = None


def find_face(picture: np.ndarray, detector: Detector, rules: FaceRules) -> Found:
    """The face of a picture, uint8 RGB (H, W, 3) or grey (H, W), cut out, or the reason why it has none to take."""
    choice = choose(detector(picture), rules)
    known = {"face": choice.face, "ambiguous": choice.ambiguous, "faces": choice.faces}
    if choice.reason:
        return Found(reason=choice.reason, **known)
    known["roll_deg"] = detector.roll(picture, choice.face)
    if _tilted(known["roll_deg"], rules):
        return Found(reason=TILTED, **known)
    cut, square = crop_face(picture, choice.face)
    return Found(reason=None, crop=cut, square=square, **known)


def find_faces(picture: np.ndarray, detector: Detector, rules: FaceRules, *, roll: bool) -> list[Found]:
    """Every face of sufficient score of a picture, as `find_face` takes it, the one that it would choose first.

    All are cut out: `reason` says which are not to be relied on.

    roll  whether it is measured how far heads lean, which takes most of the time of a face; else none is "tilted"
    """
    sure = sufficient(detector(picture), rules)
    return [_found(picture, face, sure, detector if roll else None, rules) for face in sure]


def _found(picture: np.ndarray, face: Face, sure: list[Face], detector: Detector | None, rules: FaceRules) -> Found:
    """detector  None: how far the head leans is not measured."""
    reason = doubt(face, rules)
    roll_deg = detector.roll(picture, face) if detector and not reason else None
    if _tilted(roll_deg, rules):
        reason = TILTED
    cut, square = crop_face(picture, face)
    return Found(face, reason, ambiguous(face, sure, rules), len(sure), roll_deg, cut, square)


def _tilted(roll_deg: float | None, rules: FaceRules) -> bool:
    return abs(roll_deg or 0.0) > rules.max_roll_deg


def recipe(finder: Detector, rules: FaceRules) -> str:
    """16 hex digits that change whenever the same picture might give another crop."""
    parts: Mapping = {
        "detector": [finder.name, finder.model_sha256, detector.LONG_SIDES, detector.SURE, detector.WEAKEST],
        "roll": [roll.STEP, roll.DISC_OF_HEIGHT, roll.SURE],
        "rules": asdict(rules),
        "crop": [crop.SIDE_OF_HEIGHT, crop.SIDE, crop.FILTER],
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]
