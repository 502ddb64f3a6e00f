"""Choice of one face among the faces of an image, and the rules for a usable face."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

from fer_lightning.errors import UserError
from fer_lightning.faces.crop import SIDE, crop_side
from fer_lightning.faces.face import Face

NO_FACE, LOW_SCORE, TOO_SMALL, TILTED = REASONS = ("no face", "low score", "too small", "tilted")


@dataclass(frozen=True)
class FaceRules:
    """Requirements of a face.

    min_score       lowest score of the detector, 0 to 1
    min_face_px     lowest side of the square to crop, in pixels of the image; at least 48, so no crop is enlarged
    max_roll_deg    largest roll of the head in degrees, 0 to 180; not checked if the detector cannot measure it
    ambiguous_area  area of a second face, as a share of the chosen face's area, above which the choice is ambiguous
    """

    min_score: float = 0.8
    min_face_px: float = 64
    max_roll_deg: float = 45
    ambiguous_area: float = 0.6

    def __post_init__(self) -> None:
        limits = {
            "min_score": (0, 1),
            "min_face_px": (SIDE, 10_000),
            "max_roll_deg": (0, 180),
            "ambiguous_area": (0, 1),
        }
        for field in fields(self):
            value, (low, high) = getattr(self, field.name), limits[field.name]
            if not low <= value <= high:
                raise UserError(f"{field.name}={value}: must be from {low} to {high}.")


@dataclass(frozen=True)
class Choice:
    """Chosen face of an image.

    face       None if the image has no face
    reason     why the face is not usable; None: no reason, but the roll of the head is not checked here
    ambiguous  True: another face is nearly as large
    faces      number of faces with a sufficient score
    """

    face: Face | None
    reason: str | None
    ambiguous: bool = False
    faces: int = 0


def choose(faces: Sequence[Face], rules: FaceRules) -> Choice:
    """Choose the face with the largest product of area and score among those with a sufficient score.

    `reason` says whether it meets the other rules.
    """
    if not faces:
        return Choice(None, NO_FACE)
    sure = sufficient(faces, rules)
    if not sure:
        return Choice(max(faces, key=_weight), LOW_SCORE)
    return Choice(sure[0], doubt(sure[0], rules), ambiguous(sure[0], sure, rules), len(sure))


def sufficient(faces: Sequence[Face], rules: FaceRules) -> list[Face]:
    """Return the faces with a sufficient score, the largest product of area and score first."""
    return sorted((face for face in faces if face.score >= rules.min_score), key=_weight, reverse=True)


def doubt(face: Face, rules: FaceRules) -> str | None:
    """Return why a face with a sufficient score is not usable because of its size; None if its size is sufficient."""
    return TOO_SMALL if crop_side(face) < rules.min_face_px else None


def ambiguous(face: Face, others: Sequence[Face], rules: FaceRules) -> bool:
    """Return True if another face is nearly as large, or larger."""
    return any(other.area > rules.ambiguous_area * face.area for other in others if other is not face)


def _weight(face: Face) -> float:
    return face.area * face.score
