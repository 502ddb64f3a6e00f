"""Progress of a run: a bar if stdout is a terminal, otherwise one line per epoch. train.log always has the lines."""

import logging
import sys
from typing import Literal

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Callback, RichProgressBar

log = logging.getLogger("fer_lightning")
bar_log = logging.getLogger("fer_lightning.file")  # writes only to train.log


class EpochLines(Callback):
    """Write one line per epoch with its main metrics."""

    def __init__(self, *, console: bool) -> None:
        self.destination = log if console else bar_log

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.destination.info(epoch_line(trainer.current_epoch, trainer.max_epochs, pl_module.epoch_row))


class Progress(RichProgressBar):
    """Lightning's rich progress bar, which also writes the line of each epoch to train.log."""

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        super().on_validation_end(trainer, pl_module)
        bar_log.info(epoch_line(trainer.current_epoch, trainer.max_epochs, pl_module.epoch_row))

    def get_metrics(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> dict[str, str]:
        row = pl_module.epoch_row
        return {name: f"{row[name]:.3f}" for name in ("train/loss", "val/ce", "val/acc") if name in row}


def progress(style: Literal["auto", "rich", "plain", "off"] = "auto") -> Callback:
    """Return the callback for a style; auto is rich if stdout is a terminal, otherwise plain."""
    if style == "rich" or (style == "auto" and sys.stdout.isatty()):
        return Progress()
    return EpochLines(console=style != "off")


def epoch_line(epoch: int, epochs: int, row: dict[str, float]) -> str:
    return (
        f"epoch {epoch + 1:>3}/{epochs}  lr {row['lr']:.2e}  "
        f"train loss {row['train/loss']:.3f} acc {row['train/acc']:.3f}  "
        f"val ce {row['val/ce']:.3f} acc {row['val/acc']:.3f} f1 {row['val/f1_macro']:.3f}  "
        f"gap {row['train_eval/acc'] - row['val/acc']:+.3f}  {row['images_per_second']:.0f} images/s"
    )
