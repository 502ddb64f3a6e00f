"""Settings of `python -m fer_lightning.predict` with their types; a wrong key or type is an error."""

from dataclasses import dataclass, field

from omegaconf import MISSING

from fer_lightning.faces.settings import DetectorKind


@dataclass
class PredictFaces:
    kind: DetectorKind = MISSING  # face detector
    model: str | None = MISSING  # path of YuNet's file
    min_score: float = MISSING  # lowest detector score of a face, 0 to 1
    min_face_px: float = MISSING  # lowest side of a face's square, in pixels of the image
    max_roll_deg: float = MISSING  # largest roll of a head, in degrees


@dataclass
class PredictSettings:
    model: str = MISSING  # exported model file
    input: str = MISSING  # photo, video or folder
    out: str = MISSING  # folder of the results
    annotate: bool = MISSING  # True: copies with boxes are written
    batch_size: int = MISSING  # faces that the model receives at once
    every: int = MISSING  # step between the frames of a video that are used
    threads: int | None = MISSING  # CPU threads; None: one per core
    faces: PredictFaces = field(default_factory=PredictFaces)
