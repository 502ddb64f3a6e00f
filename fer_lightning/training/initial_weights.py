"""Start of a run from the weights of another run (`model.init`): which are taken and which are new."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from fer_lightning.data.splits import Split
from fer_lightning.data.table import FaceTable
from fer_lightning.errors import UserError
from fer_lightning.files import file_checksum
from fer_lightning.labels import taxonomy_of
from fer_lightning.models import checkpoints
from fer_lightning.models.network import Network
from fer_lightning.runs.run_folder import RunFolder, log
from fer_lightning.runs.trained_folder import (
    faces_of,
    origin_folder,
    refuse_weights_of_other_rows,
    require_split,
    run_config,
)
from fer_lightning.training import build
from fer_lightning.training.classifier import FERClassifier
from fer_lightning.training.datamodule import FERDataModule
from fer_lightning.training.fine_tuning import FineTuning

NORMALISATION = ("mean", "std")
STN = "stn."
COMPARED = "compared"
NAMED = 4  # new weights that a message names


def begin(
    cfg: DictConfig, model: FERClassifier, data: FERDataModule, earlier: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Let the model start from the run `model.init`; return the summary's entry about it.

    earlier  that entry if the run resumes: its weights come from last.ckpt, so the other run is not read again
    """
    record = earlier or fill(cfg, model.network, data)
    parameters = [key for key, value in model.network.named_parameters() if value.requires_grad]
    if cfg.freeze_epochs and not set(parameters) & set(record["new"]):
        raise UserError(
            f"freeze_epochs={cfg.freeze_epochs}: all weights come from model.init={cfg.model.init}, so nothing would "
            "train in these epochs. Use freeze_epochs=null."
        )
    if model.ema is not None:
        model.ema.module.load_state_dict(model.network.state_dict())
    model.fine_tuning = FineTuning(model.network, record["new"], cfg.freeze_epochs or 0, cfg.init_lr_factor or 1.0)
    return record


def fill(cfg: DictConfig, network: Network, data: FERDataModule) -> dict[str, Any]:
    """Fill the network in place with the weights of the run `model.init`; return the summary's entry about it.

    Raise UserError if the run does not exist, if its architecture differs, or if the run was trained on rows that the
    new run tests or selects on.
    """
    folder = RunFolder(origin_folder(cfg.model.init))
    where = f"model.init={folder.path}"
    summary, config = folder.summary(), run_config(folder.path, "model.init")
    require_split(folder.path, summary, "model.init")
    _refuse_other_normalisation(cfg, config, where)
    content = checkpoints.read_checkpoint(folder.best_checkpoint, where=where, remedy="Name another run.")
    refuse_weights_of_other_rows(content.get(checkpoints.DATA_KEY), folder.path, summary, "model.init")
    state = checkpoints.evaluated_weights(content, averaged=config.ema_decay is not None)
    classes, old_classes = data.table.classes, taxonomy_of(config.data).classes
    heads = class_dimensions(cfg, network.state_dict(), len(classes))
    _refuse_another_network(network.state_dict(), state, heads, f"{where}: {_describe_change(cfg, config)}")
    filled, new = combine(network.state_dict(), state, heads, classes, old_classes)
    rows = _compare_rows(folder, cfg.data, data.table, data.split)
    network.load_state_dict(filled)
    return {
        "path": str(folder.path),
        "commit": summary.get("commit"),
        "checksum": file_checksum(folder.best_checkpoint),
        "split": summary["split"]["checksum"],
        "epoch": summary.get("best", {}).get("epoch"),
        "taken": len(filled) - len(new),
        "new": new,
        "left": [key for key in state if key not in filled or (key in new and key not in heads)],
        "classes": [name for name in classes if name in old_classes],
        "rows": rows,
    }


def report(record: dict[str, Any]) -> None:
    """Log what the network took from the other run and what is new."""
    new = record["new"]
    shown = ", ".join(new[:NAMED]) + (f" and {len(new) - NAMED} more" if new[NAMED:] else "") or "none"
    log.info(
        "model.init=%s: %s tensors are taken from epoch %s; new: %s",
        record["path"],
        record["taken"],
        record["epoch"],
        shown,
    )
    log.info("rows of the head are taken for: %s", ", ".join(record["classes"]) or "no class")
    if record["left"]:
        log.info("not taken: %s", ", ".join(record["left"]))
    if record["rows"] != COMPARED:
        log.warning(
            "warning: %s. Test metrics are too high if it was trained on test rows of this run.", record["rows"]
        )


def combine(
    ours: Mapping[str, Tensor],
    theirs: Mapping[str, Tensor],
    heads: Mapping[str, int],
    classes: tuple[str, ...],
    old_classes: tuple[str, ...],
) -> tuple[dict[str, Tensor], list[str]]:
    """Return a state dict with the weights of `theirs` that fit, and the keys that are not completely from there.

    heads  dimension of the classes in each tensor that has one; their entries are matched by the name of the class

    A spatial transformer is taken as a whole or not at all.
    """
    filled, new = dict(ours), []
    fitting_stn = _part(ours, STN) == _part(theirs, STN)
    pairs = [(classes.index(name), old_classes.index(name)) for name in classes if name in old_classes]
    for key in ours:
        if key in heads:
            filled[key] = _with_rows_of(ours[key], theirs[key], heads[key], pairs)
        elif fitting_stn or not key.startswith(STN):
            filled[key] = theirs[key]
        if (key in heads and len(pairs) < len(classes)) or (key.startswith(STN) and not fitting_stn):
            new.append(key)
    return filled, new


def _part(state: Mapping[str, Tensor], prefix: str) -> dict[str, tuple[int, ...]]:
    return {key: tuple(value.shape) for key, value in state.items() if key.startswith(prefix)}


def _with_rows_of(ours: Tensor, theirs: Tensor, dimension: int, pairs: list[tuple[int, int]]) -> Tensor:
    rows = ours.transpose(0, dimension).clone()
    for own, other in pairs:
        rows[own] = theirs.transpose(0, dimension)[other]
    return rows.transpose(0, dimension)


def class_dimensions(cfg: DictConfig, state: Mapping[str, Tensor], num_classes: int) -> dict[str, int]:
    """Return the dimension of the classes of each tensor whose shape depends on the number of classes."""
    with torch.random.fork_rng(devices=[]):
        larger = build.build_network(cfg, num_classes + 1).state_dict()
    shapes = {key: (tuple(value.shape), tuple(larger[key].shape)) for key, value in state.items()}
    return {
        key: next(i for i, (size, other) in enumerate(zip(*pair, strict=True)) if size != other)
        for key, pair in shapes.items()
        if pair[0] != pair[1]
    }


def _refuse_another_network(
    ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor], heads: Mapping[str, int], start_of_message: str
) -> None:
    """Raise UserError with the first layer of the backbone that does not fit, if there is one."""
    shapes, others = ({key: _shape(key, value, heads) for key, value in state.items()} for state in (ours, theirs))
    backbone = [key for key in dict.fromkeys((*ours, *theirs)) if not key.startswith(STN)]
    wrong = [key for key in backbone if shapes.get(key) != others.get(key)]
    if not wrong:
        return
    fits = len(wrong) < len(backbone)
    first = f"{wrong[0]} is {_describe_shape(ours, wrong[0])} here and {_describe_shape(theirs, wrong[0])} there"
    raise UserError(
        f"{start_of_message}. {'The first layer that does not fit' if fits else 'No weight fits. The first layer'}: "
        f"{first}. Use the model of that run, or name another run."
    )


def _shape(key: str, value: Tensor, heads: Mapping[str, int]) -> list[int]:
    """Return the shape of a tensor without its dimension of the classes."""
    return [size for index, size in enumerate(value.shape) if index != heads.get(key)]


def _describe_shape(state: Mapping[str, Tensor], key: str) -> str:
    return str(tuple(state[key].shape)) if key in state else "missing"


def _describe_change(cfg: DictConfig, config: DictConfig) -> str:
    """Return the settings of the model that differ between this run and the other one, as the start of a sentence."""
    skipped = ("weights", "init", "pretrained", "dropout", "head_dropout", "drop_rate", "drop_path")
    keys = [key for key in {**config.model, **cfg.model} if key not in skipped]
    other = [key for key in keys if config.model.get(key) != cfg.model.get(key)]
    named = " ".join(f"model.{key.lstrip('_')}={config.model.get(key)}" for key in other)
    return f"the network of that run has another architecture{f' ({named})' if named else ''}"


def _refuse_other_normalisation(cfg: DictConfig, config: DictConfig, where: str) -> None:
    for key in NORMALISATION:
        if cfg.model[key] != config.model[key]:
            raise UserError(
                f"{where}: was trained with model.{key}={config.model[key]}, and this run has model.{key}="
                f"{cfg.model[key]}, so its weights would get other images. Set model.{key}={config.model[key]}."
            )


def _compare_rows(folder: RunFolder, data: DictConfig, table: FaceTable, split: Split) -> str:
    """Return COMPARED, or the reason why the rows of the other run, or of the run that it began from, are unknown.

    Raise UserError if that run was trained on test or validation rows of this run, or selected on test rows of it. Rows
    with a copy among this run's own training and validation rows do not count, because they are known not to be unseen.
    """
    while True:
        summary, config = folder.summary(), run_config(folder.path, "model.init")
        try:
            theirs, parts = _rows_of(config.data, data, summary["split"]["checksum"])
        except (UserError, OSError) as error:
            reason = str(error).partition("\n")[0].rstrip(".")
            return f"the rows of {folder.path} cannot be compared with those of this run ({reason})"
        seen = _images(theirs, parts.train)
        own = _images(table, np.concatenate([split.train, split.val]))
        _refuse_seen_rows(_images(table, split.val) - _images(table, split.train), seen, "validation", folder.path)
        _refuse_seen_rows(_images(table, split.test) - own, seen | _images(theirs, parts.val), "test", folder.path)
        earlier = summary.get("init")
        if not earlier:
            return COMPARED
        folder = RunFolder(Path(earlier["path"]))
        if not folder.summary():
            return f"the rows of {folder.path} cannot be compared with those of this run (no such run)"


def _rows_of(began: DictConfig, data: DictConfig, checksum: str) -> tuple[FaceTable, Split]:
    """Return the faces and the split of the other run, from its own store or from the store of this run."""
    of_store = "root" in began  # drawn faces have no store
    roots = [root for root in dict.fromkeys((began.get("root"), data.get("root"))) if of_store and root] or [None]
    for root in roots:
        if root is not None:
            began = OmegaConf.merge(began, {"root": root})
        try:
            table, split = faces_of(began)
        except UserError as error:
            failure = error
            continue
        if split.checksum == checksum:
            return table, split
        failure = UserError(f"its data now gives split {split.checksum[:12]}, and it began on {checksum[:12]}")
    raise failure


def _images(table: FaceTable, rows: np.ndarray) -> set[bytes]:
    return {digest.tobytes() for digest in table.digests[rows]}


def _refuse_seen_rows(held_out: set[bytes], seen: set[bytes], part: str, path: Path) -> None:
    if both := held_out & seen:
        raise UserError(
            f"model.init={path}: was trained on {len(both):,} images of the {part} rows of this run, so its {part} "
            "metrics would be too high. Use the data and the data.split of that run, or name another run."
        )
