"""Metrics of a set of predictions with their intervals, as one nested dict and as files. Imports no torch.

    {"all": SET, "unseen": SET, "clean": SET}
    SET    = {"rows": 3589, "acc": METRIC, ... each of metrics.METRICS, "classes": {"angry": CLASS, ...}}
    CLASS  = {"rows": 491, "recall": METRIC, "precision": METRIC, "f1": METRIC}
    METRIC = {"value": 0.645, "low": 0.629, "high": 0.661}, or None for `ferplus_acc` without votes

all     all evaluated rows
unseen  rows whose image is not blank and not byte-identical to a training or validation image
clean   unseen rows whose image is not a near copy of such an image and shows a face
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

from fer_lightning.evaluation.predictions import Predictions, write_predictions
from fer_lightning.files import write_atomically
from fer_lightning.pages import plots
from fer_lightning.runs.run_folder import without_nan
from fer_lightning.statistics import resampling
from fer_lightning.statistics.metrics import CLASS_METRICS, METRICS, RowOutcomes
from fer_lightning.statistics.resampling import interval, resampled


def evaluate(
    predictions: Predictions, resamples: int = resampling.RESAMPLES, seed: int = resampling.SEED
) -> dict[str, dict[str, Any]]:
    """Return every metric of every set, with the 95 % percentile interval of a bootstrap over rows.

    A metric is a share of 1, except `ce`, which is in nats. It is NaN without rows for it. The calibration
    error of a resample is on average slightly above that of its rows, so its interval is shifted upwards.
    """
    return {name: _evaluate_rows(predictions, rows, resamples, seed) for name, rows in predictions.sets().items()}


def bootstrap_facts() -> dict[str, Any]:
    return {"level": resampling.LEVEL, "resamples": resampling.RESAMPLES, "seed": resampling.SEED, "over": "rows"}


def write_evaluation(folder: Path, predictions: Predictions, entry: dict[str, Any], title: str) -> None:
    """Write predictions.csv, confusion.png and per_class.png, and metrics.json last."""
    write_predictions(folder / "predictions.csv", predictions)
    write_plots(folder, predictions, entry["all"], title)
    write_atomically(folder / "metrics.json", json.dumps(without_nan(entry), indent=2, allow_nan=False) + "\n")


def write_plots(folder: Path, predictions: Predictions, official: dict[str, Any], title: str) -> None:
    """Write confusion.png and per_class.png of all evaluated rows, per_class.png with intervals."""
    confusion, classes = predictions.confusion(), official["classes"].values()
    intervals = {
        name: np.array([[entry[name]["low"], entry[name]["high"]] for entry in classes]) for name in CLASS_METRICS
    }
    plots.confusion(confusion, predictions.classes, folder / "confusion.png", title=title)
    bars = f"{title} · 95 % intervals"
    plots.per_class(confusion, predictions.classes, folder / "per_class.png", title=bars, intervals=intervals)


def _evaluate_rows(predictions: Predictions, rows: np.ndarray, resamples: int, seed: int) -> dict[str, Any]:
    votes = None if predictions.plurality is None else predictions.plurality[rows]
    outcomes = RowOutcomes.of(predictions.labels[rows], predictions.probabilities[rows], plurality=votes)
    metrics, samples = outcomes.metrics(), resampled(outcomes, resamples=resamples, seed=seed)
    entry = {"rows": len(outcomes)}
    entry |= {name: _with_interval(metrics[name][0], samples[name][:, 0]) for name in METRICS}
    if votes is None:
        entry["ferplus_acc"] = None
    support = np.bincount(outcomes.labels, minlength=outcomes.num_classes)
    entry["classes"] = {
        name: {"rows": int(support[k])}
        | {f: _with_interval(metrics[f][0, k], samples[f][:, 0, k]) for f in CLASS_METRICS}
        for k, name in enumerate(predictions.classes)
    }
    return entry


def _with_interval(value: float, samples: np.ndarray) -> dict[str, float]:
    low, high = interval(samples)
    return {"value": float(value), "low": low, "high": high}
