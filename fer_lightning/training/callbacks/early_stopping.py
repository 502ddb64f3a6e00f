"""Callback that ends a run when its monitored value has stopped improving."""

import lightning.pytorch as pl
from lightning.pytorch.callbacks import EarlyStopping


class PatientStopping(EarlyStopping):
    """Lightning's early stopping, which also ends a resumed run that had already run out of patience.

    patience  epochs without improvement before the run ends; None: never end it
    """

    def __init__(self, monitor: str = "val/acc", mode: str = "max", patience: int | None = None) -> None:
        super().__init__(
            monitor,
            mode=mode,
            patience=10**9 if patience is None else patience,
            check_on_train_epoch_end=False,
        )

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.wait_count >= self.patience:
            trainer.should_stop = True
