"""Settings of face detection and of usable faces, which several commands share."""

from dataclasses import dataclass
from typing import Literal

from fer_lightning.config.settings import Settings, setting
from fer_lightning.faces.face import SIDE
from fer_lightning.labels import NOT_SURE

DetectorKind = Literal["auto", "yunet", "haar", "whole"]


@dataclass(frozen=True, kw_only=True)
class DetectorSettings(Settings):
    """Choice of the face detector: the keywords of `detector.open_detector`."""

    kind: DetectorKind = setting(
        "auto",
        "face detector; auto: YuNet, or Haar with a warning if YuNet's file is missing; "
        "whole: each image is one face that is already cropped",
    )
    model: str | None = setting(
        None, "path of YuNet's file; null: FER_FACE_MODEL in the environment, or the file of the package", path=True
    )


@dataclass(frozen=True, kw_only=True)
class LabelSettings(Settings):
    """Condition of a label."""

    min_confidence: float = setting(
        0.0, f'lowest probability of a label; a face below it is labelled "{NOT_SURE}"', minimum=0, maximum=1
    )


@dataclass(frozen=True, kw_only=True)
class FaceRules(Settings):
    """Requirements of a usable face."""

    min_score: float = setting(0.8, "minimum confidence of the detector", minimum=0, maximum=1)
    min_face_px: float = setting(
        64, "minimum side of the face crop before it is resized, in pixels", minimum=SIDE, maximum=10_000
    )
    max_roll_deg: float = setting(
        45,
        "maximum angle between the head and the vertical, in degrees; not checked if the detector cannot measure it",
        minimum=0,
        maximum=180,
    )
    ambiguous_area: float = setting(
        0.6,
        "area of a second face from which the choice of a face is uncertain, as a share of the first face's area",
        minimum=0,
        maximum=1,
    )
