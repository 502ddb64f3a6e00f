"""Typed root keys of a run: a wrong key or type is rejected while the config is composed.

Keys inside a group belong to the class that its `_target_` names; `check.py` compares them with the signature of that
class.
"""

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, OmegaConf

from fer_lightning.config.groups import listing
from fer_lightning.paths import drop_empty_root, with_home

PATH = "path"  # key of the metadata of a field whose value is a path, or a list of paths


class Resume(Enum):
    """Action if the run folder already holds a run."""

    auto = "auto"  # resume from last.ckpt; a finished run is reported and not changed
    never = "never"  # start over; the old folder is kept under another name


class Finder(Enum):
    """Setting that a short run finds, instead of training."""

    lr = "lr"  # learning rate
    batch_size = "batch_size"  # largest batch that fits into memory


@dataclass
class TrainConfig:
    """Root keys of a run."""

    name: str = MISSING  # name of the experiment and of its folder in output_dir
    seed: int = MISSING  # seed of initial weights, order, augmentation, mixing and dropout
    resume: Resume = Resume.auto
    output_dir: str = field(default=MISSING, metadata={PATH: True})  # folder in which run folders are made
    threads: int | None = None  # CPU threads of torch; null: default of torch
    channels_last: bool = True  # memory format of images and convolutions
    ema_decay: float | None = None  # decay of averaged weights, which are then evaluated; null: no average
    freeze_epochs: int | None = None  # first epochs in which weights of model.init do not change; null: no such epoch
    init_lr_factor: float | None = None  # factor on the learning rate of weights of model.init; null: 1
    compile: bool = False  # fuse the training step with torch.compile
    track_test: bool = False  # also measure the test rows after each epoch; only for a curve
    scale: str | None = None  # option of conf/scale/ that sets the size of a run; part of the name of a sweep
    finder: Finder | None = None  # find a setting by a short run instead of training; null: train
    # folder of a finished run that is trained for more epochs; null: a new run
    extend: str | None = field(default=None, metadata={PATH: True})
    # folders of finished runs to average instead of training
    ensemble: list[str] | None = field(default=None, metadata={PATH: True})
    expected: Any = None  # {test metric: [low, high]}, expected range of each metric
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
    """Register the schema with Hydra under the name that conf/train.yaml lists first, and what that file calls."""
    drop_empty_root()
    ConfigStore.instance().store(name="train_schema", node=TrainConfig)
    OmegaConf.register_new_resolver("groups", listing, replace=True)
    OmegaConf.register_new_resolver("with_home", with_home, replace=True)
