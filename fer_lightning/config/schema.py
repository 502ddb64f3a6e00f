"""The root keys of a run and of an evaluation, typed: a wrong key or type is refused while the config is composed.

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
    compile: bool = False  # let torch.compile fuse the training step
    track_test: bool = False  # measure the test rows after each epoch too, as a curve; it never decides anything
    scale: str | None = None  # what conf/scale/ makes of a run's size; part of the name of a sweep
    ensemble: list[str] | None = None  # folders of finished runs to average, instead of training
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


class TTA(Enum):
    """Views of a face over which the probabilities are averaged: see tta.py."""

    none = "none"
    flip = "flip"
    ten_crop = "ten_crop"


class Rows(Enum):
    """Which rows are evaluated."""

    test = "test"  # counted as a look at them
    val = "val"  # those by which members of an ensemble or views may be chosen


class Device(Enum):
    """Where the network runs."""

    auto = "auto"  # the first GPU where there is one
    cpu = "cpu"
    cuda = "cuda"


@dataclass
class EvaluateConfig:
    """What `python -m fer_lightning.evaluate` takes."""

    run: str = MISSING  # folder of the run
    model: str | None = None  # an exported file that is evaluated instead of best.ckpt
    tta: TTA = TTA.none
    rows: Rows = Rows.test
    data_root: str | None = None  # the store of faces; null: the one that the run was trained on
    device: Device = Device.auto
    threads: int | None = None  # CPU threads of torch; null: as many as in the run


def register() -> None:
    """Make the schema known to Hydra under the name that conf/train.yaml lists first."""
    ConfigStore.instance().store(name="train_schema", node=TrainConfig)
