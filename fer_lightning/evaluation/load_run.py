"""A trained run in a script or a notebook: its network, its transform and its predictor."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from fer_lightning.errors import UserError
from fer_lightning.evaluation.trained_run import TrainedRun, open_run
from fer_lightning.failures import require_package
from fer_lightning.labels import taxonomy_of

if TYPE_CHECKING:
    from fer_lightning.augment.pipeline import BatchTransform
    from fer_lightning.evaluation.torch_predictor import Predictor
    from fer_lightning.models.network import Network


@dataclass(frozen=True)
class LoadedRun:
    """Network of a run's best.ckpt in evaluation mode, and what it needs.

    network    float32 (B, C, S, S), normalised -> logits float32 (B, K)
    transform  its method `evaluate` turns uint8 faces (B, S, S) into the input of `network`
    predictor  uint8 faces (B, S, S), torch, -> probabilities float32 (B, K) on the CPU
    classes    names of the K classes, in order
    config     content of the run's config.yaml
    summary    content of the run's summary.json
    """

    network: "Network"
    transform: "BatchTransform"
    predictor: "Predictor"
    classes: tuple[str, ...]
    config: Any
    summary: dict[str, Any]
    _run: TrainedRun = field(repr=False)

    def faces(self, rows: Literal["train", "val"] = "val") -> tuple[np.ndarray, np.ndarray]:
        """Return the faces uint8 (N, S, S) and labels int64 (N,) of the run's training or validation rows.

        Test rows are not offered, because every read of them is counted: use `python -m fer_lightning.evaluate`.
        Raise UserError if the faces are missing, or are not those that the run was trained on.
        """
        if rows not in ("train", "val"):
            raise UserError(f"rows={rows}: must be train or val. For test rows, use python -m fer_lightning.evaluate.")
        table, split = self._run.faces()
        chosen = split.val if rows == "val" else split.train
        return np.asarray(table.pixels[chosen]), np.asarray(table.labels[chosen])


def load_run(
    path: str | os.PathLike[str], *, device: str = "cpu", views: str = "none", data_root: str | None = None
) -> LoadedRun:
    """Return the network, the transform and the predictor of a trained run.

    path       folder of the run, such as outputs/train/seed-0
    device     cpu, cuda, or auto: the first GPU if there is one
    views      views of a face that the predictor averages: none, flip, shift or ten_crop
    data_root  folder of the store of faces; None: the store that the run was trained on

    Raise UserError if torch is not installed, or if the folder is not a run, has no best.ckpt or is still running.
    """
    if not os.fspath(path):  # Path("") is the current folder
        raise UserError("path='': must be the folder of a run. Use '.' for the current folder.")
    require_package("torch")
    from fer_lightning.evaluation.torch_predictor import Predictor

    run = open_run(Path(path), data_root=data_root, with_faces=False)
    try:
        classes = taxonomy_of(run.config.data).classes
        predictor = Predictor.of_run(run, len(classes), views=views, device=device)
    finally:
        run.folder.release()
    return LoadedRun(predictor.network, predictor.transform, predictor, classes, run.config, run.summary, run)
