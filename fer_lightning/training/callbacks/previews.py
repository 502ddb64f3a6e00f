"""Images that the network receives: augmented views before training, and the output of the STN after it."""

from pathlib import Path

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from fer_lightning.data.table import FaceTable
from fer_lightning.pages import plots
from fer_lightning.runs.processes import is_first_process
from fer_lightning.seeding import derive_seed

VIEWS = 7


class Previews(Callback):
    """Write plots/augmentation.png and plots/stn.png.

    augmentation.png shows one training face of each class, original and augmented; stn.png one validation face of each
    class, before and after the STN. Rows of data.extra are not shown, because `collect purge` does not search the
    folders of runs.
    """

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder, "plots")

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        path = self.folder / "augmentation.png"
        if not is_first_process() or path.exists():
            return
        data = trainer.datamodule
        rows, names = one_of_each_class(data.table, data.train_rows)
        if not names:
            return
        faces = data.pixels[torch.from_numpy(rows).to(data.pixels.device)]
        columns = [data.transform.evaluate(faces)]
        labels = data.labels[torch.from_numpy(rows)].to(faces.device)
        for view in range(VIEWS):
            generator = torch.Generator().manual_seed(derive_seed(data.seed, "preview", view))
            columns.append(data.transform.train(faces, labels, generator)[0])
        header = ["original", *(f"view {view + 1}" for view in range(VIEWS))]
        plots.face_grid(self._to_images(data, columns), names, header, path, title="Training images of the network")

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write stn.png, also if a resumed run had no step left to train."""
        network = pl_module.network if pl_module.ema is None else pl_module.ema.module
        if not is_first_process() or not any(True for _ in network.stn.parameters()):
            return
        data = trainer.datamodule
        rows, names = one_of_each_class(data.table, data.split.val)
        if not names:
            return
        faces = data.transform.evaluate(data.pixels[torch.from_numpy(rows).to(data.pixels.device)].to(pl_module.device))
        was_training = network.training
        network.eval()
        with torch.no_grad():
            warped = network.stn(faces.expand(-1, network.in_channels, -1, -1))[:, : faces.shape[1]]
        network.train(was_training)
        images = self._to_images(data, [faces, warped])
        plots.face_grid(images, names, ["input", "after STN"], self.folder / "stn.png", title="Output of the STN")

    @staticmethod
    def _to_images(data: pl.LightningDataModule, columns: list[Tensor]) -> list[list[np.ndarray]]:
        """Undo the normalisation and return rows of images, float (C, S, S) in [0, 1]."""
        mean, std = data.transform.mean, data.transform.std
        grid = [(column.float() * std + mean).clamp(0, 1).cpu().numpy() for column in columns]
        return [list(row) for row in zip(*grid, strict=True)]


def one_of_each_class(table: FaceTable, rows: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Return the first of these rows of each class, and the names of these classes; without rows of data.extra."""
    if table.extra is not None:
        rows = rows[~table.extra[rows]]
    present, first = np.unique(table.labels[rows], return_index=True)
    return rows[first].astype(np.int64), [table.classes[label] for label in present]
