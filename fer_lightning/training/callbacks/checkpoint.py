"""Callbacks that write best.ckpt and last.ckpt. Each file is written completely or not at all."""

import math
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.plugins.io import TorchCheckpointIO

from fer_lightning.files import replacing
from fer_lightning.runs.interruption import Interrupted, signals


class AtomicCheckpointIO(TorchCheckpointIO):
    """Write a temporary file, flush it to disk and rename it. A kill at any moment leaves the old file or the new."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        with replacing(Path(path)) as file:
            torch.save(checkpoint, file)


class BestCheckpoint(Checkpoint):
    """Keep the weights of the earliest epoch with the best monitored value.

    The file is written after last.ckpt, so this callback must follow LastCheckpoint. If a run is killed between the two
    writes, `complete_best` takes the weights from last.ckpt.
    """

    def __init__(self, folder: str, monitor: str = "val/acc", mode: str = "max") -> None:
        self.path = Path(folder, "checkpoints", "best.ckpt")
        self.monitor, self.mode = monitor, mode
        self.best_value: float | None = None
        self.best_epoch: int | None = None

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        value = trainer.callback_metrics[self.monitor].item()
        if self._improves(value):
            self.best_value, self.best_epoch = value, trainer.current_epoch

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.best_epoch == trainer.current_epoch:
            trainer.save_checkpoint(self.path, weights_only=True)

    def state_dict(self) -> dict[str, Any]:
        return {"best_value": self.best_value, "best_epoch": self.best_epoch}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best_value, self.best_epoch = state_dict["best_value"], state_dict["best_epoch"]

    def _improves(self, value: float) -> bool:
        """Return True if `value` is better than `best_value`. NaN is worse than every number, but better than None."""
        if self.best_value is None or math.isnan(self.best_value):
            return True
        return value > self.best_value if self.mode == "max" else value < self.best_value


class LastCheckpoint(Checkpoint):
    """Keep everything that a run needs to resume. Write it every `every_n_steps` optimiser steps and after each epoch.

    The file is written only at moments from which Lightning's loops resume exactly: after an optimiser step inside an
    epoch, or after an epoch and its validation. If a signal arrives in training, the current step is completed, the
    checkpoint is written, and all ranks raise Interrupted; after the last step of an epoch, the validation and
    best.ckpt are completed first. If a signal arrives in validation, the run ends at once and resumes from before it.
    """

    def __init__(self, folder: str, every_n_steps: int = 200) -> None:
        self.path = Path(folder, "checkpoints", "last.ckpt")
        self.every_n_steps = every_n_steps

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        _end_if_signalled(trainer)

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        signals.deferred = True

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        stepped = (batch_idx + 1) % trainer.accumulate_grad_batches == 0
        inside_epoch = batch_idx + 1 < trainer.num_training_batches
        if not (stepped and inside_epoch):
            return
        signum = _received_by_any(trainer)
        if signum or trainer.global_step % self.every_n_steps == 0:
            trainer.save_checkpoint(self.path, weights_only=False)
        if signum:
            raise Interrupted(signum)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        signals.deferred = bool(signals.received)  # by the last step of the epoch

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        signals.deferred = True

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        trainer.save_checkpoint(self.path, weights_only=False)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        signals.deferred = False
        _end_if_signalled(trainer)

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        signals.deferred = False


def _end_if_signalled(trainer: pl.Trainer) -> None:
    """Raise Interrupted on all ranks if any rank has received a signal."""
    if signum := _received_by_any(trainer):
        raise Interrupted(signum)


def _received_by_any(trainer: pl.Trainer) -> int:
    """Return the signal that any rank has received, the same on all ranks; 0 if no rank has one."""
    if trainer.world_size == 1:
        return signals.received
    received = torch.tensor(signals.received, device=trainer.strategy.root_device)
    return int(trainer.strategy.reduce(received, reduce_op="max"))
