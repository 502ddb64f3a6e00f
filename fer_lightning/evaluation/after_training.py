"""Results of a run after its test: predictions, plots and the closing tables. Imports no torch."""

from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from fer_lightning.data.judged_rows import JudgedRows
from fer_lightning.evaluation.evaluation import evaluate, write_plots
from fer_lightning.evaluation.predictions import predictions_of, write_predictions
from fer_lightning.evaluation.tables import class_table, set_table
from fer_lightning.pages import plots
from fer_lightning.runs import reads_of_test_rows
from fer_lightning.statistics.metrics import METRICS
from fer_lightning.terminal import plain_console


def write_test(
    folder: Path, judged: JudgedRows, predicted: tuple[np.ndarray, np.ndarray, np.ndarray], classes: tuple[str, ...]
) -> dict[str, Any]:
    """Write predictions.csv and the plots. Return the metrics of each set of rows, and of all rows as `test/NAME`.

    predicted  rows (M,), labels (M,) and probabilities (M, K) of the judged test rows, or of a part of them
    """
    predictions = predictions_of(judged, *predicted, classes)
    write_predictions(folder / "predictions.csv", predictions)
    plots.curves(folder / "metrics.csv", folder / "plots" / "curves.png")
    sets = evaluate(predictions)
    write_plots(folder / "plots", predictions, sets["all"], title="Test rows, best epoch")
    values = {f"test/{name}": metric["value"] for name in METRICS if (metric := sets["all"][name])}
    return {**values, **sets}


def closing_table(summary: dict[str, Any]) -> None:
    """Print the test metrics by set and by class, the run's main metrics and the number of reads of the test rows."""
    console, test = plain_console(), summary["test"]
    everything = test["all"]
    by_class = f"Test rows by class, all {everything['rows']:,}, in % with 95 % intervals"
    console.print(class_table(everything, by_class), "")
    console.print(set_table(test, f"Test rows, split={summary['split']['name']}, in % with 95 % intervals"), "")
    console.print(_main_table(summary))
    for metric, span in (summary.get("expected") or {}).items():
        if span and metric == "train_eval/acc":
            console.print(learned_by_heart(summary, span[0]))
        elif span:
            low, high = span
            word = "as expected" if low <= test[metric] <= high else "NOT as expected"
            console.print(f"expected {metric} {low:.2f} to {high:.2f}, reached {test[metric]:.3f}: {word}")
    console.print(reads_of_test_rows.sentence(test["reads"], summary["split"]["name"], summary["data"]["name"]))


def learned_by_heart(summary: dict[str, Any], least: float) -> str:
    """Return the verdict on a run with few training rows: whether their accuracy after the last epoch is `least`."""
    reached, rows = summary["last"]["train_eval/acc"], summary["split"]["rows"]["train"]
    question = f"Does the network learn its {rows:,} training rows by heart?"
    result = (
        f"{100 * reached:.1f} % of them are right after {summary['epochs']} epochs, {100 * least:.0f} % are needed."
    )
    if reached >= least:
        return f"{question} Yes: {result}\nNext: the same command without debug=overfit."
    return (
        f"{question} NO: {result}\n"
        "Check in this order: dropout and label smoothing (set them to 0), the learning rate (optim.lr), the loss, "
        "and the forward pass of the network."
    )


def _main_table(summary: dict[str, Any]) -> Table:
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
