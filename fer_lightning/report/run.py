"""What one run leaves for people: summary, predictions, plots and the closing table. Imports no torch."""

import csv
import importlib.metadata
import io
import logging
import math
import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from fer_lightning.files import write_atomically
from fer_lightning.metrics import confusion_matrix, expected_calibration_error, per_class, wilson_interval
from fer_lightning.report import plots
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
        "earlier": _earlier(folder),
    }
    folder.write_summary(summary)
    try:
        yield summary
        summary["status"] = "done"
    except Exception as error:
        summary |= {"status": "failed", "error": f"{type(error).__name__}: {error}"}
        log.info("failed: %s", summary["error"])
        raise
    except BaseException:
        summary["status"] = "interrupted"
        log.info("interrupted; the same command goes on from the last checkpoint")
        raise
    finally:
        summary |= {"finished": now(), "wall_seconds": round(time.perf_counter() - began, 1)}
        summary |= history(folder.path / "metrics.csv", summary["monitor"], summary["mode"])
        folder.write_summary(summary)


def _earlier(folder: RunFolder) -> list[dict[str, Any]]:
    """Of each call that this one goes on from: when it started, on which commit and hardware, and how it ended."""
    before = folder.summary() if folder.last_checkpoint.exists() else None
    if before is None:
        return []
    keys = ("status", "started", "commit", "dirty", "hardware")
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


def write_predictions(
    path: Path, rows: np.ndarray, labels: np.ndarray, probabilities: np.ndarray, classes: tuple[str, ...]
) -> None:
    """predictions.csv: row in the face table, label, predicted class, and one probability per class."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["row", "label", "predicted", *classes])
    for row, label, probability in zip(rows, labels, probabilities, strict=True):
        predicted = classes[int(probability.argmax())]
        writer.writerow([row, classes[label], predicted, *(f"{p:.6f}" for p in probability)])
    write_atomically(path, text.getvalue())


def write_plots(folder: Path, confusion: np.ndarray, classes: tuple[str, ...]) -> None:
    plots.curves(folder / "metrics.csv", folder / "plots" / "curves.png")
    plots.confusion(confusion, classes, folder / "plots" / "confusion.png", title="Test rows, best epoch")
    plots.per_class(confusion, classes, folder / "plots" / "per_class.png")


def evaluation_entry(
    row: dict[str, float],
    predictions: tuple[np.ndarray, np.ndarray, np.ndarray],
    unseen_rows: np.ndarray,
    classes: tuple[str, ...],
) -> dict[str, Any]:
    """The summary's `test` entry: scalars, intervals, the score without copies, calibration error, recall by class.

    predictions are rows, labels and probabilities; unseen_rows those without a copy in training or validation.
    """
    rows, labels, probabilities = predictions
    predicted = probabilities.argmax(axis=1)
    hit, unseen = predicted == labels, np.isin(rows, unseen_rows)
    recall = per_class(confusion_matrix(labels, predicted, len(classes)))["recall"]
    return {
        **row,
        "test/acc_interval": wilson_interval(hit.sum(), len(hit)),
        "test/acc_unseen": float(hit[unseen].mean()) if unseen.any() else float("nan"),
        "test/acc_unseen_interval": wilson_interval(hit[unseen].sum(), unseen.sum()),
        "test/ece": expected_calibration_error(probabilities, labels),
        "rows": len(rows),
        "rows_unseen": int(unseen.sum()),
        "recall": {name: float(value) for name, value in zip(classes, recall, strict=True)},
    }


def closing_table(summary: dict[str, Any], confusion: np.ndarray | None, classes: tuple[str, ...]) -> None:
    """Print per-class scores, the headline figures and, last, where everything is."""
    console = Console()
    if confusion is not None:
        console.print(_class_table(confusion, classes))
    console.print(_headline_table(summary))
    for metric, (low, high) in (summary.get("expected") or {}).items():
        reached = summary["test"][metric]
        word = "as expected" if low <= reached <= high else "NOT as expected"
        console.print(f"expected {metric} {low:.2f} to {high:.2f}, reached {reached:.3f}: {word}")


def _class_table(confusion: np.ndarray, classes: tuple[str, ...]) -> Table:
    table = Table(title="Test rows by class, in %", title_justify="left")
    for column in ("class", "rows", "recall", "precision", "F1"):
        table.add_column(column, justify="left" if column == "class" else "right")
    by_class = per_class(confusion)
    scores = 100 * np.stack([by_class["recall"], by_class["precision"], by_class["f1"]], axis=1)
    for name, rows, values in zip(classes, confusion.sum(axis=1), scores, strict=True):
        table.add_row(name, str(int(rows)), *(f"{value:.1f}" for value in values))
    return table


def _headline_table(summary: dict[str, Any]) -> Table:
    best, test = summary["best"], summary.get("test")
    table = Table(title=f"{summary['name']}, seed {summary['seed']}", title_justify="left", show_header=False)
    table.add_row("best epoch", f"{best['epoch']} of {summary['epochs']}")
    table.add_row("validation accuracy", f"{100 * best['val/acc']:.2f} %")
    table.add_row("validation cross-entropy", f"{best['val/ce']:.4f}")
    table.add_row("overfitting gap, best epoch", f"{100 * summary['overfitting_gap']['best']:+.2f} points")
    table.add_row("overfitting gap, last epoch", f"{100 * summary['overfitting_gap']['last']:+.2f} points")
    if test:
        for name, key, rows in (("test accuracy", "acc", "rows"), ("  without copies", "acc_unseen", "rows_unseen")):
            low, high = test[f"test/{key}_interval"]
            span = f"{100 * test[f'test/{key}']:.2f} % [{100 * low:.1f}, {100 * high:.1f}]"
            table.add_row(f"{name} ({test[rows]} rows)", span)
        table.add_row("test macro-F1", f"{100 * test['test/f1_macro']:.2f} %")
        table.add_row("test mean recall", f"{100 * test['test/recall_mean']:.2f} %")
    table.add_row("parameters", f"{summary['parameters']['total']:,}")
    table.add_row("training", f"{summary['seconds']:.0f} s, {summary['images_per_second']:.0f} images/s")
    return table
