"""The figures of a set of predictions with their intervals, as one nested dict, as tables and as files. No torch.

    {"official": SET, "unseen": SET, "clean": SET}
    SET    = {"rows": 3589, "acc": FIGURE, ... each of metrics.FIGURES, "classes": {"angry": CLASS, ...}}
    CLASS  = {"rows": 491, "recall": FIGURE, "precision": FIGURE, "f1": FIGURE}
    FIGURE = {"value": 0.645, "low": 0.629, "high": 0.661}, or None for `ferplus_acc` without votes

`official` are all test rows, `unseen` those that are not blank and not byte-identical to a training or validation
image, `clean` those of them that are no near copy either and show a face.
"""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from fer_lightning import bootstrap
from fer_lightning.bootstrap import interval, resampled
from fer_lightning.files import write_atomically
from fer_lightning.metrics import CLASS_FIGURES, FIGURES, RowOutcomes
from fer_lightning.report import plots, reads
from fer_lightning.report.predictions import Predictions, write_predictions
from fer_lightning.runs import without_nan

SETS = ("official", "unseen", "clean")
NAMES = {
    "acc": "accuracy",
    "f1_macro": "macro-F1",
    "recall_mean": "mean recall",
    "ece": "calibration error",
    "ce": "cross-entropy, nats",
    "ferplus_acc": "FER+ agreement",
}
NATS = ("ce",)  # all other figures are shares of 1, shown in %


def evaluate(
    predictions: Predictions, resamples: int = bootstrap.RESAMPLES, seed: int = bootstrap.SEED
) -> dict[str, dict[str, Any]]:
    """Every figure of every set, each with the 95 % percentile interval of a bootstrap over rows.

    A figure is a share of 1 but for `ce`, in nats; NaN where there are no rows of its kind. The calibration error of
    a resample is on average a little above that of its rows, so its interval leans upwards.
    """
    return {name: _of_rows(predictions, rows, resamples, seed) for name, rows in predictions.sets().items()}


def bootstrap_facts() -> dict[str, Any]:
    return {"level": bootstrap.LEVEL, "resamples": bootstrap.RESAMPLES, "seed": bootstrap.SEED, "over": "rows"}


def write_evaluation(folder: Path, predictions: Predictions, entry: dict[str, Any], title: str) -> None:
    """metrics.json (last), predictions.csv, confusion.png and per_class.png."""
    write_predictions(folder / "predictions.csv", predictions)
    write_plots(folder, predictions, title)
    write_atomically(folder / "metrics.json", json.dumps(without_nan(entry), indent=2, allow_nan=False) + "\n")


def write_plots(folder: Path, predictions: Predictions, title: str) -> None:
    confusion = predictions.confusion()
    plots.confusion(confusion, predictions.classes, folder / "confusion.png", title=title)
    plots.per_class(confusion, predictions.classes, folder / "per_class.png", title=title)


def set_table(sets: dict[str, Any], title: str) -> Table:
    """One line per figure, one column per set of rows; in % but for cross-entropy."""
    table = _table(title, *(f"{name}\n{sets[name]['rows']:,} rows" for name in SETS))
    for key, label in NAMES.items():
        figures = [sets[name][key] for name in SETS]
        if any(figures):
            table.add_row(label, *(_with_interval(figure, key) for figure in figures))
    return table


def class_table(entry: dict[str, Any], title: str) -> Table:
    """One line per class of one set of rows, in %."""
    table = _table(title, "rows", "recall", "precision", "F1")
    for name, figures in entry["classes"].items():
        shown = [_with_interval(figures[key], key) for key in CLASS_FIGURES]
        table.add_row(name, f"{figures['rows']:,}", *shown)
    return table


def _table(title: str, *columns: str) -> Table:
    """Figures in columns, within 80 characters."""
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("", no_wrap=True)
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def closing(summary: dict[str, Any], entry: dict[str, Any]) -> None:
    """Print an evaluation: by class, by set of rows, latency, notes, and how often the test rows were read."""
    console, official, call = Console(), entry["official"], entry["call"]
    console.print(class_table(official, f"Test rows by class, all {official['rows']:,}, in % with 95 % intervals"), "")
    console.print(set_table(entry, f"Test rows by set, tta={entry['tta']}, in % with 95 % intervals"), "")
    speed = call["latency"]
    console.print(
        f"One image takes {speed['milliseconds_of_one_image']:.1f} ms, batches of {speed['batch_size']} run at "
        f"{speed['images_per_second']:,.0f} images/s ({entry['device']}, {_number(entry['threads'], 'thread')}, "
        f"{entry['precision']}, {_number(entry['views'], 'view')})."
    )
    for note in _notes(summary, entry):
        console.print(f"note: {note}")
    console.print(reads.sentence(call["reads"], entry["split"]["name"]))


def _notes(summary: dict[str, Any], entry: dict[str, Any]) -> list[str]:
    """What a reader of the figures should know."""
    notes = []
    if summary["status"] != "done":
        notes.append(f"this run has not ended ({summary['status']}); its best.ckpt is the best so far")
    before, after = summary.get("test", {}).get("test/acc"), entry["official"]["acc"]["value"]
    if entry["tta"] == "none" and before is not None and abs(before - after) > 1e-6:
        notes.append(
            f"the run itself reported an accuracy of {100 * before:.2f} %; other hardware, libraries or numbers of "
            "threads round otherwise"
        )
    return notes


def _number(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def _of_rows(predictions: Predictions, rows: np.ndarray, resamples: int, seed: int) -> dict[str, Any]:
    votes = None if predictions.plurality is None else predictions.plurality[rows]
    outcomes = RowOutcomes(predictions.labels[rows], predictions.probabilities[rows], votes)
    whole = outcomes.tally()
    figures, (samples,) = whole.figures(), resampled(outcomes, resamples=resamples, seed=seed)
    entry = {"rows": len(outcomes)}
    entry |= {name: _figure(figures[name], samples[name]) for name in FIGURES}
    if votes is None:
        entry["ferplus_acc"] = None
    support = whole.confusion.sum(axis=1)
    entry["classes"] = {
        name: {"rows": int(support[k])} | {f: _figure(figures[f][k], samples[f][:, k]) for f in CLASS_FIGURES}
        for k, name in enumerate(predictions.classes)
    }
    return entry


def _figure(value: float, samples: np.ndarray) -> dict[str, float]:
    low, high = interval(samples)
    return {"value": float(value), "low": low, "high": high}


def _with_interval(figure: dict[str, float] | None, key: str) -> str:
    """`64.50 [62.9, 66.0]`, `0.977 [0.95, 1.00]` nats, or a dash."""
    if not figure or math.isnan(figure["value"]):
        return "–"
    value, low, high = (figure[end] for end in ("value", "low", "high"))
    if key in NATS:
        return f"{value:.3f} [{low:.2f}, {high:.2f}]"
    return f"{100 * value:.2f} [{100 * low:.1f}, {100 * high:.1f}]"
