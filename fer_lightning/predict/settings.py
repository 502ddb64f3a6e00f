"""What `python -m fer_lightning.predict` takes, typed: a wrong key or type is refused while the config is composed."""

from dataclasses import dataclass, field

from omegaconf import MISSING

from fer_lightning.faces.settings import DetectorKind


@dataclass
class PredictFaces:
    kind: DetectorKind = MISSING  # what finds faces
    model: str | None = MISSING  # YuNet's file
    min_score: float = MISSING  # detector's confidence, 0 to 1
    min_face_px: float = MISSING  # side of the crop in the picture
    max_roll_deg: float = MISSING  # how far a head may lean


@dataclass
class PredictSettings:
    model: str = MISSING  # an exported file
    input: str = MISSING  # a photo, a video or a folder
    out: str = MISSING  # folder of the results
    annotate: bool = MISSING  # whether copies with boxes are written
    batch_size: int = MISSING  # faces that are recognised at once
    every: int = MISSING  # of a video each n-th frame
    threads: int | None = MISSING  # CPU threads
    faces: PredictFaces = field(default_factory=PredictFaces)
