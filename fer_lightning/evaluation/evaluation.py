"""The figures of a set of predictions with their intervals, as one nested dict and as files. No torch.

    {"all": SET, "unseen": SET, "clean": SET}
    SET    = {"rows": 3589, "acc": FIGURE, ... each of metrics.FIGURES, "classes": {"angry": CLASS, ...}}
    CLASS  = {"rows": 491, "recall": FIGURE, "precision": FIGURE, "f1": FIGURE}
    FIGURE = {"value": 0.645, "low": 0.629, "high": 0.661}, or None for `ferplus_acc` without votes

`all` are all test rows, `unseen` those that are not blank and not byte-identical to a training or validation
image, `clean` those of them that are no near copy either and show a face.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

from fer_lightning.evaluation.predictions import Predictions, write_predictions
from fer_lightning.files import write_atomically
from fer_lightning.pages import plots
from fer_lightning.runs.run_folder import without_nan
from fer_lightning.statistics import bootstrap
from fer_lightning.statistics.bootstrap import interval, resampled
from fer_lightning.statistics.metrics import CLASS_FIGURES, FIGURES, RowOutcomes

SETS = ("all", "unseen", "clean")


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
    """predictions.csv, confusion.png, per_class.png and, last, metrics.json."""
    write_predictions(folder / "predictions.csv", predictions)
    write_plots(folder, predictions, entry["all"], title)
    write_atomically(folder / "metrics.json", json.dumps(without_nan(entry), indent=2, allow_nan=False) + "\n")


def write_plots(folder: Path, predictions: Predictions, official: dict[str, Any], title: str) -> None:
    """confusion.png and per_class.png of all test rows, the latter with the intervals of their set."""
    confusion, classes = predictions.confusion(), official["classes"].values()
    intervals = {
        name: np.array([[entry[name]["low"], entry[name]["high"]] for entry in classes]) for name in CLASS_FIGURES
    }
    plots.confusion(confusion, predictions.classes, folder / "confusion.png", title=title)
    bars = f"{title} · 95 % intervals"
    plots.per_class(confusion, predictions.classes, folder / "per_class.png", title=bars, intervals=intervals)


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
