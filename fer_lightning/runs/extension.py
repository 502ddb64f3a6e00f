"""Continuation of a finished run for more epochs, in a folder of its own. Imports no torch."""

import csv
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from fer_lightning.errors import UserError
from fer_lightning.files import file_checksum, replacing, report_bad_content
from fer_lightning.runs.run_folder import RunFolder
from fer_lightning.runs.trained_folder import describe_data, origin_folder, require_split, written_config
from fer_lightning.wording import typed

# Keys that may be typed beside extend; all others are those of the parent.
OWN = ("trainer.max_epochs", "name", "output_dir", "resume", "data.root", "threads", "logger")
OWN_GROUPS = ("callbacks.progress.", "callbacks.last.", "logger.")


@dataclass(frozen=True)
class Parent:
    """Finished run that another run continues."""

    folder: RunFolder
    summary: dict[str, Any]

    def record(self, cfg: DictConfig) -> dict[str, Any]:
        """Return the entry in the summary of the new run, whose config is `cfg`."""
        return {
            "path": str(self.folder.path),
            "commit": self.summary.get("commit"),
            "checksum": file_checksum(self.folder.last_checkpoint),
            "epochs": self.summary["epochs"],
            "schedule": describe_schedule(cfg, self.summary["epochs"]),
        }

    def refuse_other_rows(self, split: str, data: DictConfig) -> None:
        """Raise UserError if the data now gives another split than that of the parent."""
        began = self.summary["split"]["checksum"]
        if split != began:
            raise UserError(
                f"extend={self.folder.path}: it was trained on split {began[:12]}, and {describe_data(data)} now gives "
                f"{split[:12]}. Use the data that it was trained on, e.g. with data.root=PATH."
            )

    def hand_over(self, folder: RunFolder) -> Path:
        """Copy the checkpoints into the folder of the new run, last.ckpt at the end; return the path of last.ckpt."""
        folder.last_checkpoint.parent.mkdir(exist_ok=True)
        pairs = (
            (self.folder.best_checkpoint, folder.best_checkpoint),
            (self.folder.last_checkpoint, folder.last_checkpoint),
        )
        for source, target in pairs:
            with open(source, "rb") as file, replacing(target) as copy:
                shutil.copyfileobj(file, copy)
        return folder.last_checkpoint


def read_parent(value: str) -> Parent:
    """Return the run that `extend` names. Raise UserError if it is not finished, or ended before its last epoch."""
    path = origin_folder(value, "extend")
    folder = RunFolder(path)
    summary = folder.summary()
    require_split(path, summary, "extend")
    if not folder.is_done() or not folder.last_checkpoint.is_file() or not summary.get("epochs"):
        raise UserError(f"extend={path}: must be a finished run with checkpoints/last.ckpt. Run its command again.")
    return Parent(folder, summary)


def extended_config(cfg: DictConfig, parent: Parent, overrides: list[str]) -> DictConfig:
    """Return the config of the parent with the number of epochs and the other own keys of `cfg`.

    overrides  arguments of the command. Raise UserError for a key that only the parent decides.
    """
    given = {override.lstrip("+~").partition("=")[0] for override in overrides} - {"extend"}
    foreign = sorted(key for key in given if key not in OWN and not key.startswith(OWN_GROUPS))
    if foreign:
        raise UserError(
            f"{foreign[0]} with extend={cfg.extend}: the config is that of the parent. Allowed: {', '.join(OWN)}. To "
            f"change it, start a new run from its weights: {typed('model.init', parent.folder.path)}"
        )
    config, epochs = written_config(parent.folder.path, "extend"), parent.summary["epochs"]
    if epochs < config.trainer.max_epochs or _is_out_of_patience(config, parent.folder.path):
        raise UserError(
            f"extend={cfg.extend}: ended by callbacks.early_stopping after {epochs} of {config.trainer.max_epochs} "
            "epochs, so more epochs would end it at once. Start a new run from its weights: "
            f"{typed('model.init', parent.folder.path)}"
        )
    wanted = cfg.trainer.max_epochs if "trainer.max_epochs" in given else None
    if not isinstance(wanted, int) or wanted <= epochs:
        raise UserError(
            f"extend={cfg.extend}: trainer.max_epochs must be the number of epochs in all, at least {epochs + 1}, "
            f"because it has trained {epochs}. It is {wanted!r}."
        )
    for key in sorted(given):
        OmegaConf.update(config, key, OmegaConf.select(cfg, key), force_add=True)
    config.extend, config.resume, config.expected = cfg.extend, cfg.resume, None
    config.output_dir = cfg.output_dir
    if config.data.get("start_size"):
        config.data.start_size = None  # images have reached their full size
    return config


def _is_out_of_patience(config: DictConfig, folder: Path) -> bool:
    """Return True if callbacks.early_stopping would have ended the run after its last epoch."""
    stopping = config.callbacks.get("early_stopping")
    if stopping is None or stopping.patience is None:
        return False
    path = folder / "metrics.csv"
    with report_bad_content(path), open(path, newline="") as file:
        values = [float(row[stopping.monitor]) for row in csv.DictReader(file)]
        best = max(values) if stopping.mode == "max" else min(values)
    return len(values) - 1 - values.index(best) >= stopping.patience


def describe_schedule(cfg: DictConfig, epochs: int) -> str:
    """Return the learning-rate schedule of the additional epochs as a sentence."""
    name = cfg.schedule._target_.rpartition(".")[2]
    kept = " at the rate that it has reached" if name == "Plateau" else ""
    return (
        f"epochs {epochs + 1} to {cfg.trainer.max_epochs} run the schedule {name} once more from its start, with its "
        f"warm-up{kept}; weights, averages and the state of the optimiser are those of the last checkpoint"
    )
