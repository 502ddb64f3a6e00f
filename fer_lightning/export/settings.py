"""Settings of `python -m fer_lightning.export`."""

from dataclasses import dataclass
from typing import Literal

from fer_lightning.config.settings import Settings, setting


@dataclass(frozen=True, kw_only=True)
class ExportFileSettings(Settings):
    """Settings of an export."""

    run: str = setting(comment="folder of the run whose best.ckpt is exported, or of an ensemble", path=True)
    out: str | None = setting(
        None,
        "file to write, ending in .onnx; its model card is written beside it; null: face.onnx in the run folder",
        path=True,
    )
    weights: Literal["float32", "float16", "int8", "codebook4"] = setting(
        "float32",
        "format of the stored weights; float16: half the size; int8: a quarter; codebook4: about a seventh, with 4 "
        "bits per weight and 16 values per output channel; all computation is in float32, so that no value between the "
        "layers is rounded and no calibration on training rows is needed",
    )
    tta: Literal["none", "flip", "shift"] = setting(
        "none",
        "views of a face whose probabilities the file averages; flip: the face and its mirror image, at twice the time"
        "; shift: each of them moved by one pixel in two directions, at four times the time",
    )
    data_root: str | None = setting(
        None,
        "folder of the store of faces, for the temperature and the comparison; "
        "null: the store that the run was trained on",
        path=True,
    )
