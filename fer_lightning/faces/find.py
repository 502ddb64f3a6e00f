"""Detection, choice and crop of faces in an image, shared by the collector, the readers and predictions."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from fer_lightning.faces import crop, detector, roll
from fer_lightning.faces.crop import Square, crop_face
from fer_lightning.faces.detector import Detector
from fer_lightning.faces.face import Face
from fer_lightning.faces.image_form import FER2013_FORM, ImageForm
from fer_lightning.faces.quality import TILTED, ambiguous, choose, doubt, sufficient
from fer_lightning.faces.settings import FaceRules


@dataclass(frozen=True)
class FaceResult:
    """Result for an image (`find_face`), or for one of its faces (`find_faces`).

    face       the chosen face, usable or not; None if the image has no face
    reason     why the face is not usable or is doubtful: one of `quality.REASONS`; None: no reason
    ambiguous  True: another face is nearly as large, or larger
    faces      number of faces in the image with a sufficient score
    roll_deg   roll of the head in degrees; None if it was not requested, if the detector cannot measure it, or if
               there is another reason
    crop       uint8 (48, 48), grey, or the requested form; None if `find_face` finds no usable face
    square     x, y, side and side again of the crop, in pixels of the image
    """

    face: Face | None
    reason: str | None
    ambiguous: bool
    faces: int
    roll_deg: float | None = None
    crop: np.ndarray | None = None
    square: Square | None = None


def find_face(picture: np.ndarray, detector: Detector, rules: FaceRules, form: ImageForm = FER2013_FORM) -> FaceResult:
    """Return the cropped face of an image, uint8 RGB (H, W, 3) or grey (H, W), or why it has no usable face."""
    choice = choose(detector(picture), rules)
    facts = {"face": choice.face, "ambiguous": choice.ambiguous, "faces": choice.faces}
    if choice.reason:
        return FaceResult(reason=choice.reason, **facts)
    facts["roll_deg"] = detector.roll(picture, choice.face)
    if _tilted(facts["roll_deg"], rules):
        return FaceResult(reason=TILTED, **facts)
    cut, square = crop_face(picture, choice.face, form)
    return FaceResult(reason=None, crop=cut, square=square, **facts)


def find_faces(
    picture: np.ndarray, detector: Detector, rules: FaceRules, *, roll: bool, form: ImageForm = FER2013_FORM
) -> list[FaceResult]:
    """Return every face of an image with a sufficient score; the first is the face that `find_face` would choose.

    All faces are cropped, also the doubtful ones, which have a `reason`.

    roll  True: the roll of each head is measured, which takes most of the time; False: no face is "tilted"
    """
    judged = judge(detector(picture), rules)
    return [_cropped(picture, face, detector if roll else None, rules, form) for face in judged]


def judge(faces: Sequence[Face], rules: FaceRules) -> list[FaceResult]:
    """Return every face with a sufficient score, the first as in `find_faces`; without crops and rolls."""
    sure = sufficient(faces, rules)
    return [FaceResult(face, doubt(face, rules), ambiguous(face, sure, rules), len(sure)) for face in sure]


def _cropped(
    picture: np.ndarray, face: FaceResult, detector: Detector | None, rules: FaceRules, form: ImageForm
) -> FaceResult:
    """Return a face with its crop; with `detector` None, the roll of the head is not measured."""
    roll_deg = detector.roll(picture, face.face) if detector and not face.reason else None
    reason = TILTED if _tilted(roll_deg, rules) else face.reason
    cut, square = crop_face(picture, face.face, form)
    return replace(face, reason=reason, roll_deg=roll_deg, crop=cut, square=square)


def _tilted(roll_deg: float | None, rules: FaceRules) -> bool:
    return abs(roll_deg or 0.0) > rules.max_roll_deg


def recipe(finder: Detector, rules: FaceRules, form: ImageForm = FER2013_FORM) -> str:
    """Return 16 hex digits that change whenever the same image could give another crop."""
    parts: Mapping = {
        "detector": [finder.name, finder.model_sha256, detector.LONG_SIDES, detector.SURE, detector.WEAKEST],
        "roll": [roll.STEP, roll.DISC_OF_HEIGHT, roll.SURE],
        "rules": asdict(rules),
        "crop": [crop.SIDE_OF_HEIGHT, form.size, crop.FILTER, *(["RGB"] if form.color else [])],
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]
