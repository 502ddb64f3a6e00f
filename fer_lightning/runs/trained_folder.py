"""Folder of a trained run: the files, the config and the rows that other runs and commands read. Imports no torch."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from fer_lightning.check.check import FEED_KEYS, check
from fer_lightning.config.schema import TrainConfig
from fer_lightning.errors import UserError
from fer_lightning.faces.shipped import SHIPPED
from fer_lightning.files import no_folder, report_bad_content
from fer_lightning.machine import fitting_experiment
from fer_lightning.runs.run_folder import CONFIG_REMEDY, RunFolder

if TYPE_CHECKING:
    from fer_lightning.data.splits import Split
    from fer_lightning.data.table import FaceTable

NEEDED = ("config.yaml", "summary.json", "checkpoints/best.ckpt")


def require_run(path: Path, key: str = "run") -> None:
    """Raise UserError if a file of a trained run is missing. `key` is the setting that names the folder."""
    folder = RunFolder(path)
    if not path.is_dir():
        train = f"Train a run: python train.py{fitting_experiment()}"
        raise UserError(f"{key}={path}: {no_folder(path)}.{list_runs(path.parent)} {train}")
    missing = [name for name in NEEDED if not (path / name).is_file()]
    if missing == ["checkpoints/best.ckpt"] and (members := members_of(folder)):
        raise UserError(
            f"{key}={path}: is an ensemble, which has no checkpoint of its own. Name one of its members: "
            f"{', '.join(member['run'] for member in members)}"
        )
    if missing == ["checkpoints/best.ckpt"]:
        raise UserError(
            f"{key}={path}: checkpoints/best.ckpt is missing, so its first epoch has not ended. {resume_hint(folder)}"
        )
    if missing:
        verb = "is" if len(missing) == 1 else "are"
        names = " and ".join(filter(None, [", ".join(missing[:-1]), missing[-1]]))
        raise UserError(f"{key}={path}: not a run folder: {names} {verb} missing.{list_runs(path)}")


def members_of(folder: RunFolder) -> list[dict[str, Any]]:
    """Return the entries of an ensemble's members in its summary; [] for another folder."""
    return (folder.summary() or {}).get("members") or []


def origin_folder(value: str, key: str = "model.init") -> Path:
    """Return the run folder that `value` names: the folder itself or its best.ckpt. Raise UserError otherwise."""
    path = Path(value)
    if value == SHIPPED or path.suffix == ".onnx":
        raise UserError(
            f"{key}={value}: an exported file holds rounded and merged weights, which cannot be trained further. Name "
            "the run folder that it was exported from. For a run like that of the network of the package: "
            "python train.py experiment=fer2013_cpu_large"
        )
    if path.is_file() and (path.name != "best.ckpt" or path.parent.name != "checkpoints"):
        raise UserError(f"{key}={value}: must be a run folder, or its checkpoints/best.ckpt. Name the run folder.")
    folder = path.parent.parent if path.is_file() else path
    require_run(folder, key)
    return folder


def require_split(path: Path, summary: dict[str, Any], key: str = "run") -> None:
    """Raise UserError if the summary does not name the split of the run's rows."""
    if not summary.get("split"):
        raise UserError(
            f"{key}={path}: its summary.json has no split, so its training has not begun. "
            f"{resume_hint(RunFolder(path))}"
        )


def resume_hint(folder: RunFolder) -> str:
    command = (folder.summary() or {}).get("command")
    return f"Resume it: {command}" if command else "Run its command again to resume it."


def written_config(path: Path, key: str = "run") -> DictConfig:
    """Return the run's config.yaml with the root keys of this version; keys that it does not have are null."""
    written = RunFolder(path).config()
    with report_bad_content(path / "config.yaml", CONFIG_REMEDY):
        try:
            config = OmegaConf.merge(OmegaConf.structured(TrainConfig), written)
        except (OmegaConfBaseException, ValueError, TypeError) as error:
            reason = str(error).partition("\n")[0]
            raise UserError(
                f"{key}={path}: its config.yaml was written by an incompatible version ({reason})."
            ) from None
        OmegaConf.set_struct(config, False)
    return config


def run_config(path: Path, key: str = "run", *, data_root: str | None = None, with_faces: bool = False) -> DictConfig:
    """Return the run's config as this version of train.py would write it, without settings of training only.

    data_root   folder of the store of faces; None: the store that the run was trained on
    with_faces  if True, raise UserError if the faces are missing
    """
    config = written_config(path, key)
    with report_bad_content(path / "config.yaml", CONFIG_REMEDY):
        _adapt(config, path, data_root)
        try:
            check(config, with_faces=with_faces)
        except UserError as error:
            raise UserError(f"{key}={path}, its config.yaml: {error}\n{data_root_hint(config.data)}".strip()) from None
    return config


def _adapt(config: DictConfig, path: Path, data_root: str | None) -> None:
    """Remove the settings of training only, and name another store if `data_root` does."""
    config.logger = None
    config.data.labels, config.data.teacher = "hard", None  # only training has soft targets
    config.model.weights = config.model.init = None  # all weights come from best.ckpt
    config.freeze_epochs = config.init_lr_factor = None
    if config.model.get("pretrained"):
        config.model.pretrained = False if config.model.pretrained is True else None
    if data_root is None:
        return
    if "root" not in config.data:
        raise UserError(
            f"data_root={data_root}: the faces of run={path} come from {describe_data(config.data)}. Drop it."
        )
    config.data.root = data_root


def describe_data(data: DictConfig) -> str:
    return f"data.root={data.root}" if "root" in data else str(data._target_)


def data_root_hint(data: DictConfig) -> str:
    return "Name the store that it was trained on: data_root=PATH" if "root" in data else ""


def faces_of(data: DictConfig) -> "tuple[FaceTable, Split]":
    """Return the faces that the group `data` of a config describes, and their split."""
    from hydra.errors import InstantiationException
    from hydra.utils import instantiate

    from fer_lightning.data.splits import make_split

    try:
        table = instantiate(OmegaConf.masked_copy(data, [key for key in data if key not in FEED_KEYS]))
    except InstantiationException as error:
        raise (error.__cause__ or error) from None
    folds = {key: data[key] for key in ("fold", "folds") if key in data}
    return table, make_split(table, data.split, data.split_seed, **folds)


def refuse_weights_of_other_rows(trained: Any, path: Path, summary: dict[str, Any], key: str = "run") -> None:
    """Raise UserError if best.ckpt was trained on another split than summary.json names.

    trained  checksums of the data in the checkpoint, or None
    """
    split, began = (trained or {}).get("split"), summary["split"]["checksum"]
    if split not in (None, began):
        raise UserError(
            f"{key}={path}: best.ckpt was trained on split {str(split)[:12]}, and summary.json names split "
            f"{began[:12]}, so test rows may be among the training rows. Restore the files of one run."
        )


def list_runs(folder: Path) -> str:
    """Return ' Runs in FOLDER: ...' with up to five runs below a folder, or ''."""
    runs = sorted({str(path.parent) for depth in ("*", "*/*") for path in folder.glob(f"{depth}/config.yaml")})
    return f" Runs in {folder}: {', '.join(runs[:5])}{' and more' if runs[5:] else ''}." if runs else ""
