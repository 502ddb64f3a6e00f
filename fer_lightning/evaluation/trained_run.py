"""Trained run read from its folder: config, faces and network. torch is imported only when a network is built."""

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from fer_lightning.check.check import FEED_KEYS, check
from fer_lightning.config.schema import TrainConfig
from fer_lightning.errors import UserError
from fer_lightning.files import report_bad_content
from fer_lightning.runs.run_folder import CONFIG_REMEDY, RunFolder

if TYPE_CHECKING:
    from fer_lightning.data.splits import Split
    from fer_lightning.data.table import FaceTable
    from fer_lightning.models.network import Network

WAIT = "Wait until it has ended. Only then do best.ckpt and the reported metrics belong together."


@dataclass(frozen=True)
class TrainedRun:
    """Run with a best.ckpt, locked until this process ends."""

    folder: RunFolder
    config: DictConfig
    summary: dict[str, Any]

    @property
    def path(self) -> Path:
        return self.folder.path

    def faces(self) -> "tuple[FaceTable, Split]":
        """Return the run's faces and split. Raise UserError if the split is now another one."""
        from hydra.errors import InstantiationException
        from hydra.utils import instantiate

        from fer_lightning.data.splits import make_split

        data = self.config.data
        try:
            table = instantiate(OmegaConf.masked_copy(data, [key for key in data if key not in FEED_KEYS]))
        except InstantiationException as error:
            raise (error.__cause__ or error) from None
        folds = {key: data[key] for key in ("fold", "folds") if key in data}
        split = make_split(table, data.split, data.split_seed, **folds)
        began = self.summary["split"]["checksum"]
        if split.checksum != began:
            raise UserError(
                f"run={self.path}: it was trained on split {began[:12]}, and {_describe_data(data)} now gives "
                f"{split.checksum[:12]}, because it has other faces or other labels. Metrics would not be comparable. "
                f"{_data_root_hint(data)}"
            )
        return table, split

    def network(self, num_classes: int) -> "Network":
        """Return the network of best.ckpt in evaluation mode, with the averaged weights if the run has them."""
        from fer_lightning.models import checkpoints
        from fer_lightning.training import build

        path = self.folder.best_checkpoint
        content = checkpoints.read_checkpoint(path)
        self._refuse_weights_of_other_rows(content.get(checkpoints.DATA_KEY))
        state = content.get("state_dict", {})
        prefix = "network." if self.config.ema_decay is None else "ema.module."
        weights = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
        network = build.build_network(self.config, num_classes)
        checkpoints.load_weights(network, weights, where=str(path))
        return network.eval()

    def _refuse_weights_of_other_rows(self, trained: Any) -> None:
        """Raise UserError if best.ckpt was trained on another split than summary.json names."""
        split, began = (trained or {}).get("split"), self.summary["split"]["checksum"]
        if split not in (None, began):
            raise UserError(
                f"run={self.path}: best.ckpt was trained on split {str(split)[:12]}, and summary.json names split "
                f"{began[:12]}, so test rows may be among the training rows. Restore the files of one run."
            )


def open_run(path: Path, *, data_root: str | None = None, with_faces: bool = True) -> TrainedRun:
    """Lock a run folder and read the run. Raise UserError if there is no such run, or if it is still running.

    data_root   folder of the store of faces; None: the store that the run was trained on
    with_faces  if True, raise UserError if the faces are missing; if False, only `TrainedRun.faces` raises it
    """
    folder = RunFolder(path)
    _require_run(folder)
    try:
        folder.lock(WAIT)
    except OSError as error:
        raise UserError(
            f"run={path}: the folder is not writable ({error.strerror}), but the results are written there. "
            f"Use a copy: cp -r {shlex.quote(str(path))} elsewhere"
        ) from None
    summary = folder.summary()
    if not summary.get("split"):
        raise UserError(
            f"run={path}: its summary.json has no split, so its training has not begun. {_resume_hint(folder)}"
        )
    return TrainedRun(folder, _config(path, data_root, with_faces), summary)


def _require_run(folder: RunFolder) -> None:
    """Raise UserError if a file of a trained run is missing."""
    path = folder.path
    if not path.is_dir():
        raise UserError(f"run={path}: no such folder.{_list_runs(path.parent)} Train a run: python train.py")
    needed = ("config.yaml", "summary.json", "checkpoints/best.ckpt")
    missing = [name for name in needed if not (path / name).is_file()]
    if missing == ["checkpoints/best.ckpt"]:
        raise UserError(
            f"run={path}: checkpoints/best.ckpt is missing, so its first epoch has not ended. {_resume_hint(folder)}"
        )
    if missing:
        verb = "is" if len(missing) == 1 else "are"
        raise UserError(f"run={path}: not a run folder: {' and '.join(missing)} {verb} missing.{_list_runs(path)}")


def _list_runs(folder: Path) -> str:
    """Return ' Runs in FOLDER: ...' with up to five runs below a folder, or ''."""
    runs = sorted({str(path.parent) for depth in ("*", "*/*") for path in folder.glob(f"{depth}/summary.json")})
    return f" Runs in {folder}: {', '.join(runs[:5])}{' and more' if runs[5:] else ''}." if runs else ""


def _resume_hint(folder: RunFolder) -> str:
    command = (folder.summary() or {}).get("command")
    return f"Resume it: {command}" if command else "Run its command again to resume it."


def _config(path: Path, data_root: str | None, with_faces: bool) -> DictConfig:
    """Return the run's config as this version of train.py would write it, without settings of training only."""
    written = RunFolder(path).config()
    with report_bad_content(path / "config.yaml", CONFIG_REMEDY):
        try:
            config = OmegaConf.merge(OmegaConf.structured(TrainConfig), written)
        except (OmegaConfBaseException, ValueError, TypeError) as error:
            reason = str(error).partition("\n")[0]
            raise UserError(f"run={path}: its config.yaml was written by an incompatible version ({reason}).") from None
        _adapt(config, path, data_root)
        try:
            check(config, with_faces=with_faces)
        except UserError as error:
            raise UserError(f"run={path}, its config.yaml: {error}\n{_data_root_hint(config.data)}".strip()) from None
    return config


def _adapt(config: DictConfig, path: Path, data_root: str | None) -> None:
    """Remove the settings of training only, and name another store if `data_root` does."""
    OmegaConf.set_struct(config, False)
    config.logger = None
    config.data.labels, config.data.teacher = "hard", None  # only training has soft targets
    config.model.weights = None  # all weights come from best.ckpt
    if config.model.get("pretrained"):
        config.model.pretrained = False if config.model.pretrained is True else None
    if data_root is None:
        return
    if "root" not in config.data:
        raise UserError(
            f"data_root={data_root}: the faces of run={path} come from {_describe_data(config.data)}. Drop it."
        )
    config.data.root = data_root


def _describe_data(data: DictConfig) -> str:
    return f"data.root={data.root}" if "root" in data else str(data._target_)


def _data_root_hint(data: DictConfig) -> str:
    return "Name the store that it was trained on: data_root=PATH" if "root" in data else ""
