"""Choice of one face among the faces of an image, and the rules for a usable face."""

from collections.abc import Sequence
from dataclasses import dataclass

from fer_lightning.faces.crop import crop_side
from fer_lightning.faces.face import Face
from fer_lightning.faces.settings import FaceRules

NO_FACE, LOW_SCORE, TOO_SMALL, TILTED = REASONS = ("no face", "low score", "too small", "tilted")


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
