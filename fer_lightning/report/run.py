"""What one run leaves for people: summary, predictions, plots and the closing table. Imports no torch."""

import csv
import importlib.metadata
import logging
import math
import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from fer_lightning import slurm
from fer_lightning.metrics import FIGURES
from fer_lightning.report import plots, reads
from fer_lightning.report.evaluation import evaluate, write_plots
from fer_lightning.report.predictions import JudgedRows, predictions_of, write_predictions
from fer_lightning.report.tables import class_table, set_table
from fer_lightning.runs import RunFolder, command_line, git_state, is_main_process, now

ROOT = Path(__file__).resolve().parents[2]
log = logging.getLogger("fer_lightning.file")  # train.log alone: the console is told by train.py


@contextmanager
def recorded(folder: RunFolder, summary: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Write summary.json whatever happens: running, then done, failed (with the error) or interrupted.

    Of a distributed run's processes only the first writes.
    """
    if not is_main_process():
        yield summary
        return
    began = time.perf_counter()
    summary |= {
        "status": "running",
        "started": now(),
        "command": command_line(),
        **git_state(ROOT),
        **_machine(),
        "slurm": slurm.facts(),
        "earlier": _earlier(folder),
    }
    folder.write_summary(summary)
    try:
        yield summary
    except BaseException as error:
        summary |= _failure(error)
        with suppress(Exception):  # what went wrong is raised, whether or not a full disk takes the summary
            _close(folder, summary, began)
        raise
    summary["status"] = "done"
    _close(folder, summary, began)


def _failure(error: BaseException) -> dict[str, Any]:
    if not isinstance(error, Exception):
        log.info("interrupted; the same command goes on from the last checkpoint")
        return {"status": "interrupted"}
    log.info("failed: %s: %s", type(error).__name__, error)
    return {"status": "failed", "error": f"{type(error).__name__}: {error}"}


def _close(folder: RunFolder, summary: dict[str, Any], began: float) -> None:
    summary |= {"finished": now(), "wall_seconds": round(time.perf_counter() - began, 1)}
    summary |= history(folder.path / "metrics.csv", summary["monitor"], summary["mode"])
    folder.write_summary(summary)


def _earlier(folder: RunFolder) -> list[dict[str, Any]]:
    """Of each call that this one goes on from: when it started, on which commit and hardware, and how it ended."""
    before = folder.summary() if folder.last_checkpoint.exists() else None
    if before is None:
        return []
    keys = ("status", "started", "commit", "dirty", "hardware", "slurm")
    return [*before.get("earlier", []), {key: before.get(key) for key in keys}]


def history(path: Path, monitor: str, mode: str) -> dict[str, Any]:
    """The best and last epoch of metrics.csv, the overfitting gap at both, and speed; {} before the first epoch."""
    if not path.exists():
        return {}
    with open(path, newline="") as file:
        rows = [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]
    if not rows:
        return {}
    pick = max if mode == "max" else min
    known = [row for row in rows if not math.isnan(row[monitor])] or rows
    best, last = pick(known, key=lambda row: row[monitor]), rows[-1]
    seconds = sum(row["seconds"] for row in rows)
    return {
        "epochs": len(rows),
        "best": {**best, "epoch": int(best["epoch"])},
        "last": {**last, "epoch": int(last["epoch"])},
        "best_value": best[monitor],
        "overfitting_gap": {"best": _gap(best), "last": _gap(last)},
        "seconds": round(seconds, 1),
        "images_per_second": round(sum(r["images_per_second"] * r["seconds"] for r in rows) / max(seconds, 1e-9), 1),
    }


def _gap(row: dict[str, float]) -> float:
    """Accuracy on seen rows minus accuracy on unseen ones, both in evaluation mode with the same weights."""
    return row["train_eval/acc"] - row["val/acc"]


def _machine() -> dict[str, Any]:
    packages = ("torch", "lightning", "timm", "numpy", "opencv-python-headless")
    return {
        "hardware": f"{_processor()}, {_cores()} cores",
        "versions": {"python": platform.python_version()} | {p: importlib.metadata.version(p) for p in packages},
    }


def _cores() -> int:
    """Those that this process may use, where the system can tell."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def write_test(
    folder: Path, judged: JudgedRows, predicted: tuple[np.ndarray, np.ndarray, np.ndarray], classes: tuple[str, ...]
) -> dict[str, Any]:
    """Write predictions.csv and the plots; the figures of each set of rows, and those of all rows as `test/NAME`.

    predicted  rows (M,), labels (M,) and probabilities (M, K) of the judged test rows, or of some of them
    """
    predictions = predictions_of(judged, *predicted, classes)
    write_predictions(folder / "predictions.csv", predictions)
    plots.curves(folder / "metrics.csv", folder / "plots" / "curves.png")
    sets = evaluate(predictions)
    write_plots(folder / "plots", predictions, sets["all"], title="Test rows, best epoch")
    values = {f"test/{name}": figure["value"] for name in FIGURES if (figure := sets["all"][name])}
    return {**values, **sets}


def closing_table(summary: dict[str, Any]) -> None:
    """Print the test figures by set and by class, the run's headline figures and how often the test rows were read."""
    console, test = Console(), summary["test"]
    everything = test["all"]
    by_class = f"Test rows by class, all {everything['rows']:,}, in % with 95 % intervals"
    console.print(class_table(everything, by_class), "")
    console.print(set_table(test, f"Test rows, split={summary['split']['name']}, in % with 95 % intervals"), "")
    console.print(_headline_table(summary))
    for metric, (low, high) in (summary.get("expected") or {}).items():
        reached = test[metric]
        word = "as expected" if low <= reached <= high else "NOT as expected"
        console.print(f"expected {metric} {low:.2f} to {high:.2f}, reached {reached:.3f}: {word}")
    console.print(reads.sentence(test["reads"], summary["split"]["name"]))


def _headline_table(summary: dict[str, Any]) -> Table:
    best = summary["best"]
    table = Table(
        title=f"{summary['name']}, seed {summary['seed']}",
        title_justify="left",
        show_header=False,
        box=None,
        pad_edge=False,
    )
    table.add_row("best epoch", f"{best['epoch']} of {summary['epochs']}")
    table.add_row("validation accuracy", f"{100 * best['val/acc']:.2f} %")
    table.add_row("validation cross-entropy", f"{best['val/ce']:.4f}")
    table.add_row("overfitting gap, best epoch", f"{100 * summary['overfitting_gap']['best']:+.2f} points")
    table.add_row("overfitting gap, last epoch", f"{100 * summary['overfitting_gap']['last']:+.2f} points")
    table.add_row("parameters", f"{summary['parameters']['total']:,}")
    table.add_row("training", f"{summary['seconds']:.0f} s, {summary['images_per_second']:.0f} images/s")
    return table
