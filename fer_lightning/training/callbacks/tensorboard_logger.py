"""Logger for TensorBoard: tensorboard --logdir RUN/tensorboard."""

from typing import Any

from lightning.pytorch.loggers import TensorBoardLogger

from fer_lightning.failures import require_package


def build_tensorboard(folder: str, run_config: dict[str, Any]) -> TensorBoardLogger:
    """Return a logger that writes into RUN/tensorboard. `run_config` is already in the run's config.yaml."""
    require_package("tensorboard")
    return TensorBoardLogger(folder, name="tensorboard", version="")
