"""Typed settings of `python -m fer_lightning.export`. A wrong key or type is rejected while the config is composed."""

from dataclasses import dataclass
from enum import Enum

from omegaconf import MISSING


class Weights(Enum):
    """Format of the stored weights of convolutions and linear layers. All computation stays in float32."""

    float32 = "float32"
    float16 = "float16"  # half the size
    int8 = "int8"  # a quarter of the size; symmetric, one scale per output channel


@dataclass
class ExportFileSettings:
    """Settings of an export."""

    run: str = MISSING  # folder of the run whose best.ckpt is exported
    out: str | None = None  # file to write, ending in .onnx; null: face.onnx in the run folder
    weights: Weights = Weights.float32
    data_root: str | None = None  # folder of the store of faces; null: the store that the run was trained on
