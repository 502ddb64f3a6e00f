"""Callback that writes metrics.csv after each epoch, one row per epoch, and sends the row to the logger, if any."""

from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Callback

from fer_lightning.files import write_csv
from fer_lightning.runs.processes import is_first_process


class MetricsTable(Callback):
    """Table of metrics by epoch, counted from 1.

    The rows are part of the checkpoint, so a resumed run has the same table as an uninterrupted one.
    """

    def __init__(self, folder: str) -> None:
        self.path = Path(folder, "metrics.csv")
        self.rows: list[dict[str, float]] = []

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        row = {"epoch": trainer.current_epoch + 1, **pl_module.epoch_row}
        self.rows.append(row)
        if is_first_process():
            self._write()
        for logger in trainer.loggers:
            logger.log_metrics(row, step=row["epoch"])

    def state_dict(self) -> dict[str, Any]:
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.rows = state_dict["rows"]

    def _write(self) -> None:
        columns = list(dict.fromkeys(name for row in self.rows for name in row))
        write_csv(self.path, columns, ([row.get(name) for name in columns] for row in self.rows))
