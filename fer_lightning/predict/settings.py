"""Settings of `python -m fer_lightning.predict`."""

from dataclasses import dataclass

from fer_lightning.config.settings import nested, setting
from fer_lightning.faces.settings import DetectorSettings, FaceRules, LabelSettings
from fer_lightning.faces.shipped import SHIPPED


@dataclass(frozen=True, kw_only=True)
class PredictFaces(FaceRules, DetectorSettings):
    """Detection and usable faces."""


@dataclass(frozen=True, kw_only=True)
class Processing(LabelSettings):
    """Settings of `predict.predict`, for any model and input."""

    annotate: bool = setting(True, "true: also write copies of images and videos with boxes, labels and probabilities")
    batch_size: int = setting(64, "faces that the model receives at once", minimum=1)
    every: int = setting(1, "step between the frames of a video that are used; 1: every frame", minimum=1)


@dataclass(frozen=True, kw_only=True)
class PredictSettings(Processing):
    """Settings of the command."""

    model: str = setting(
        SHIPPED,
        "exported model file; shipped: the network of the package; python -m fer_lightning.export run=PATH writes one",
        path=True,
    )
    input: str = setting(comment="photo, video, or folder of photos and videos; subfolders are included", path=True)
    out: str = setting("predictions", "folder of the results; the same command again replaces them", path=True)
    threads: int | None = setting(None, "CPU threads; null: one per core", minimum=1)
    faces: PredictFaces = nested(PredictFaces, without=("ambiguous_area",))
