"""What `python -m fer_lightning.export` takes, typed: a wrong key or type is refused while the config is composed."""

from dataclasses import dataclass
from enum import Enum

from omegaconf import MISSING


class Weights(Enum):
    """How the file stores the weights of convolutions and linear layers; all computation stays in float32."""

    float32 = "float32"
    float16 = "float16"  # half the size
    int8 = "int8"  # a quarter of the size; symmetric, one scale per output channel


@dataclass
class ExportFileSettings:
    run: str = MISSING  # folder of the run
    out: str | None = None  # the file to write; null: face.onnx in the run's folder
    weights: Weights = Weights.float32
    data_root: str | None = None  # the store of faces; null: the one that the run was trained on
