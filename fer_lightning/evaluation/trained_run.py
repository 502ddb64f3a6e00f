"""A run folder opened again: its config, its faces and its network. Torch is imported with the network alone."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from fer_lightning.compat.old_names import read_config
from fer_lightning.config.check import FEED_KEYS, check
from fer_lightning.config.schema import TrainConfig
from fer_lightning.errors import UserError
from fer_lightning.runs.run_folder import RunFolder

if TYPE_CHECKING:
    from fer_lightning.data.splits import Split
    from fer_lightning.data.table import FaceTable
    from fer_lightning.models.network import Network

WAIT = "Wait until it has ended: then its best.ckpt and its data are those that it reports."


@dataclass(frozen=True)
class TrainedRun:
    """A run that left a best.ckpt, locked until the process ends."""

    folder: RunFolder
    config: DictConfig
    summary: dict[str, Any]

    @property
    def path(self) -> Path:
        return self.folder.path

    def faces(self) -> "tuple[FaceTable, Split]":
        """The run's faces, split as they were. UserError where they are others now."""
        from hydra.errors import InstantiationException
        from hydra.utils import instantiate

        from fer_lightning.data.splits import make_split

        data = self.config.data
        try:
            table = instantiate(OmegaConf.masked_copy(data, [key for key in data if key not in FEED_KEYS]))
        except InstantiationException as error:
            raise (error.__cause__ or error) from None
        dealt = {key: data[key] for key in ("fold", "folds") if key in data}
        split = make_split(table, data.split, data.split_seed, **dealt)
        began = self.summary["split"]["checksum"]
        if split.checksum != began:
            raise UserError(
                f"run={self.path}: it was trained on split {began[:12]}, and {_named(data)} now gives "
                f"{split.checksum[:12]}: other faces or other labels, so its scores would mean something else. "
                f"{_other_data(data)}"
            )
        return table, split

    def network(self, num_classes: int) -> "Network":
        """The network of best.ckpt in evaluation mode, with those of its weights that the run evaluated."""
        from fer_lightning.models import checkpoints
        from fer_lightning.training import build

        path = self.folder.best_checkpoint
        state = checkpoints.read_checkpoint(path).get("state_dict", {})
        prefix = "network." if self.config.ema_decay is None else "ema.module."
        weights = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
        network = build.build_network(self.config, num_classes)
        checkpoints.load_weights(network, weights, where=str(path))
        return network.eval()


def open_run(path: Path, *, data_root: str | None = None, with_faces: bool = True) -> TrainedRun:
    """Lock a run's folder and read what was trained. UserError where there is no such run, or one still going on.

    data_root   the store of faces, instead of the one that the run was trained on
    with_faces  whether a UserError says already here that the faces are missing; else `TrainedRun.faces` does
    """
    folder = RunFolder(path)
    _refuse_no_run(folder)
    try:
        folder.lock(WAIT)
    except OSError as error:
        raise UserError(
            f"run={path}: the folder cannot be written to ({error.strerror}), and the results belong there. "
            f"Evaluate a copy: cp -r {path} elsewhere"
        ) from None
    summary = folder.summary()
    if not summary.get("split"):
        raise UserError(f"run={path}: its summary.json names no split, so it never began to train. {_go_on(folder)}")
    return TrainedRun(folder, _config(path, data_root, with_faces), summary)


def _refuse_no_run(folder: RunFolder) -> None:
    path = folder.path
    if not path.is_dir():
        raise UserError(f"run={path}: no such folder.{_nearby(path.parent)} Train one: python train.py")
    needed = ("config.yaml", "summary.json", "checkpoints/best.ckpt")
    missing = [name for name in needed if not (path / name).is_file()]
    if missing == ["checkpoints/best.ckpt"]:
        raise UserError(f"run={path}: no checkpoints/best.ckpt, so its first epoch has not ended. {_go_on(folder)}")
    if missing:
        raise UserError(f"run={path}: no run's folder, for it has no {' and no '.join(missing)}.{_nearby(path)}")


def _nearby(folder: Path) -> str:
    """' Runs there: ...', or ''."""
    found = sorted({str(path.parent) for depth in ("*", "*/*") for path in folder.glob(f"{depth}/summary.json")})
    return f" Runs there: {', '.join(found[:5])}{' and more' if found[5:] else ''}." if found else ""


def _go_on(folder: RunFolder) -> str:
    command = (folder.summary() or {}).get("command")
    return f"Its own command goes on with it: {command}" if command else "Its own command goes on with it."


def _config(path: Path, data_root: str | None, with_faces: bool) -> DictConfig:
    """The run's config as today's train.py would have it; what only training needs is left out."""
    try:
        written = read_config((path / "config.yaml").read_text())
        config = OmegaConf.merge(OmegaConf.structured(TrainConfig), written)
    except (yaml.YAMLError, OmegaConfBaseException, ValueError, TypeError) as error:
        reason = str(error).partition("\n")[0]
        raise UserError(f"run={path}: its config.yaml is none of this version's ({reason}).") from None
    OmegaConf.set_struct(config, False)
    config.logger = None
    config.data.labels, config.data.teacher = "hard", None  # only training has soft targets
    config.model.weights = None  # all weights come from best.ckpt
    if config.model.get("pretrained"):
        config.model.pretrained = False if config.model.pretrained is True else None
    if data_root is not None:
        if "root" not in config.data:
            raise UserError(f"data_root={data_root}: the faces of run={path} come from {_named(config.data)}. Drop it.")
        config.data.root = data_root
    try:
        check(config, with_faces=with_faces)
    except UserError as error:
        raise UserError(f"run={path}, its config.yaml: {error}\n{_other_data(config.data)}".strip()) from None
    return config


def _named(data: DictConfig) -> str:
    return f"data.root={data.root}" if "root" in data else str(data._target_)


def _other_data(data: DictConfig) -> str:
    return "Name the store that it was trained on: data_root=PATH" if "root" in data else ""
