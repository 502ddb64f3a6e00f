"""Which of a picture's faces is meant, and whether it is good enough to be learnt from."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

from fer_lightning.errors import UserError
from fer_lightning.faces.crop import SIDE, crop_side
from fer_lightning.faces.face import Face

NO_FACE, LOW_SCORE, TOO_SMALL, TILTED = REASONS = ("no face", "low score", "too small", "tilted")


@dataclass(frozen=True)
class FaceRules:
    """What a face must be.

    min_score       the detector's score, 0 to 1
    min_face_px     side of the square that is cut, in the picture's pixels; at least 48, so that nothing is enlarged
    max_roll_deg    how far the head may lean to a shoulder, 0 to 180; not judged where the detector has no landmarks
    ambiguous_area  share of the chosen face's area, 0 to 1, beyond which a second face makes the choice ambiguous
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
                raise UserError(f"{field.name}={value}: allowed are {low} to {high}")


@dataclass(frozen=True)
class Choice:
    """The face that a picture shows.

    face       None where there is none at all
    reason     why it is not taken; None: nothing speaks against it but, perhaps, that it is tilted
    ambiguous  whether another face is nearly as large
    faces      how many faces have a sufficient score
    """

    face: Face | None
    reason: str | None
    ambiguous: bool = False
    faces: int = 0


def choose(faces: Sequence[Face], rules: FaceRules) -> Choice:
    """The largest face, weighed by its score, of those whose score suffices; the rules say whether it is taken."""
    if not faces:
        return Choice(None, NO_FACE)
    sure = sufficient(faces, rules)
    if not sure:
        return Choice(max(faces, key=_weight), LOW_SCORE)
    return Choice(sure[0], doubt(sure[0], rules), ambiguous(sure[0], sure, rules), len(sure))


def sufficient(faces: Sequence[Face], rules: FaceRules) -> list[Face]:
    """Those whose score suffices, the largest first, weighed by its score."""
    return sorted((face for face in faces if face.score >= rules.min_score), key=_weight, reverse=True)


def doubt(face: Face, rules: FaceRules) -> str | None:
    """What speaks against a face of sufficient score by its box alone; None: nothing."""
    return TOO_SMALL if crop_side(face) < rules.min_face_px else None


def ambiguous(face: Face, others: Sequence[Face], rules: FaceRules) -> bool:
    """Whether another one is nearly as large, or larger."""
    return any(other.area > rules.ambiguous_area * face.area for other in others if other is not face)


def _weight(face: Face) -> float:
    return face.area * face.score
