"""What `python -m fer_lightning.teach` takes, typed: a wrong key or type is rejected while the config is composed."""

from dataclasses import dataclass

from omegaconf import MISSING


@dataclass
class TeachSettings:
    runs: list[str] = MISSING  # folders of finished runs with data.split=training_fold, or of evaluations in them
    out: str = MISSING  # the file to write
