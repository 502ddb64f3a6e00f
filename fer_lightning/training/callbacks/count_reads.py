"""Callback that counts each read of the test rows in a run that measures them after every epoch."""

from pathlib import Path

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Callback

from fer_lightning.runs import reads_of_test_rows
from fer_lightning.runs.processes import is_first_process


class CountReads(Callback):
    """Write a line of test_reads.csv before each validation that includes the test rows."""

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if is_first_process():
            reads_of_test_rows.record(self.folder, trainer.datamodule.table, trainer.datamodule.split)
