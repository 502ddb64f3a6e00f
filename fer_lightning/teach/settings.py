"""Typed settings of `python -m fer_lightning.teach`. A wrong key or type is rejected while the config is composed."""

from dataclasses import dataclass

from omegaconf import MISSING


@dataclass
class TeachSettings:
    """Settings of a teacher file."""

    runs: list[str] = MISSING  # folders of finished runs with data.split=training_fold, or of evaluations in them
    out: str = MISSING  # file to write, ending in .npz
