"""What `python -m fer_lightning.export` takes, typed: a wrong key or type is refused while the config is composed."""

from dataclasses import dataclass

from omegaconf import MISSING


@dataclass
class ExportFileSettings:
    run: str = MISSING  # folder of the run
    out: str | None = None  # the file to write; null: face.onnx in the run's folder
    data_root: str | None = None  # the store of faces; null: the one that the run was trained on
