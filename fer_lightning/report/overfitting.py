"""Overfitting measures of a run, from its curves in metrics.csv."""

import numpy as np

from fer_lightning.report.sweep_runs import Run


def overfitting(run: Run) -> dict[str, float]:
    """Return the overfitting measures of a run; {} if metrics.csv lacks a column that they need."""
    history = run.history
    monitor, mode = run.summary.get("monitor", "val/acc"), run.summary.get("mode", "max")
    needed = {"epoch", "val/acc", "train_eval/acc", "val/ce", monitor}
    if not needed <= history.keys() or any(np.isnan(history[name]).all() for name in needed):
        return {}
    gap = history["train_eval/acc"] - history["val/acc"]
    best = int((np.nanargmax if mode == "max" else np.nanargmin)(history[monitor]))
    least = int(np.nanargmin(history["val/ce"]))
    return {
        "gap_best": gap[best],
        "gap_last": gap[-1],
        "ce_rise": history["val/ce"][-1] - history["val/ce"][least],
        "ce_epoch": history["epoch"][least],
        "best_epoch": history["epoch"][best],
        "epochs": history["epoch"][-1],
    }


def still_learning(run: Run) -> bool:
    """Return True if the selected epoch is in the last tenth of the epochs: the run may have ended too soon."""
    measures = overfitting(run)
    return bool(measures) and measures["best_epoch"] > 0.9 * measures["epochs"]
