"""Trained run read from its folder: config, faces and network. torch is imported only when a network is built."""

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from fer_lightning.errors import UserError
from fer_lightning.runs.run_folder import RunFolder
from fer_lightning.runs.trained_folder import (
    data_root_hint,
    describe_data,
    faces_of,
    refuse_weights_of_other_rows,
    require_run,
    require_split,
    run_config,
)

if TYPE_CHECKING:
    from fer_lightning.data.splits import Split
    from fer_lightning.data.table import FaceTable
    from fer_lightning.models.network import Network

WAIT = "Wait until it has ended. Only then do best.ckpt and the reported metrics belong together."


@dataclass(frozen=True)
class TrainedRun:
    """Run with a best.ckpt, or ensemble of such runs, locked until this process ends.

    config   config of the run; of the first member for an ensemble
    members  runs whose probabilities are averaged; () if it is a single run
    """

    folder: RunFolder
    config: DictConfig
    summary: dict[str, Any]
    members: "tuple[TrainedRun, ...]" = ()

    @property
    def path(self) -> Path:
        return self.folder.path

    def faces(self) -> "tuple[FaceTable, Split]":
        """Return the run's faces and split. Raise UserError if the split has changed since the training."""
        data = self.config.data
        table, split = faces_of(data)
        began = self.summary["split"]["checksum"]
        if split.checksum != began:
            raise UserError(
                f"run={self.path}: it was trained on split {began[:12]}, and {describe_data(data)} now gives "
                f"{split.checksum[:12]}, because it has other faces or other labels. Metrics would not be comparable. "
                f"{data_root_hint(data)}"
            )
        return table, split

    def network(self, num_classes: int) -> "Network":
        """Return the network of best.ckpt in evaluation mode, with the averaged weights if the run has them."""
        from fer_lightning.models import checkpoints
        from fer_lightning.training import build

        path = self.folder.best_checkpoint
        content = checkpoints.read_checkpoint(path)
        refuse_weights_of_other_rows(content.get(checkpoints.DATA_KEY), self.path, self.summary)
        weights = checkpoints.evaluated_weights(content, averaged=self.config.ema_decay is not None)
        network = build.build_network(self.config, num_classes)
        checkpoints.load_weights(network, weights, where=str(path))
        return network.eval()


def open_run(path: Path, *, data_root: str | None = None, with_faces: bool = True) -> TrainedRun:
    """Lock a run folder and read the run. Raise UserError if the run does not exist or is still running.

    data_root   folder of the store of faces; None: the store that the run was trained on
    with_faces  if True, raise UserError if the faces are missing; if False, only `TrainedRun.faces` raises it
    """
    folder = RunFolder(path)
    require_run(path)
    try:
        folder.lock(WAIT)
    except OSError as error:
        raise UserError(
            f"run={path}: the folder is not writable ({error.strerror}), but the results are written there. "
            f"Use a copy: cp -r {shlex.quote(str(path))} elsewhere"
        ) from None
    summary = folder.summary()
    require_split(path, summary)
    return TrainedRun(folder, run_config(path, data_root=data_root, with_faces=with_faces), summary)
