"""The root keys of a run, typed: a wrong key or type is refused while the config is composed.

What stands inside a group belongs to the class that its `_target_` names; `check.py` holds it against that
class's own signature.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING


class Resume(Enum):
    """What to do where the run's folder already holds a run."""

    auto = "auto"  # go on from last.ckpt; a finished run is reported and left alone
    never = "never"  # start over; the folder that stood there is kept under another name


@dataclass
class TrainConfig:
    name: str = MISSING  # folder of this experiment under outputs/
    seed: int = MISSING  # of initial weights, order, augmentation, mixing and dropout
    resume: Resume = Resume.auto
    output_dir: str = MISSING  # where run folders are made
    threads: int | None = None  # CPU threads of torch; null: torch's own choice
    channels_last: bool = True  # memory format of images and convolutions
    ema_decay: float | None = None  # exponential moving average of the weights, evaluated in their stead
    expected: Any = None  # {test metric: [low, high]} that this experiment should reach
    data: Any = MISSING
    model: Any = MISSING
    stn: Any = MISSING
    augment: Any = MISSING
    loss: Any = MISSING
    sampler: Any = MISSING
    optim: Any = MISSING
    schedule: Any = MISSING
    trainer: Any = MISSING
    callbacks: Any = MISSING
    logger: Any = None


def register() -> None:
    """Make the schema known to Hydra under the name that conf/train.yaml lists first."""
    ConfigStore.instance().store(name="train_schema", node=TrainConfig)
