"""Tables of metrics for the terminal, by class and by set of rows, within 80 characters. Imports no torch."""

import math
from typing import Any

from rich.table import Table

from fer_lightning.runs import reads_of_test_rows
from fer_lightning.runs.summary_file import unfinished_note
from fer_lightning.statistics.metrics import CLASS_METRICS, NAMES
from fer_lightning.terminal import plain_console

SETS = ("all", "unseen", "clean")
ROWS = {"test": "Test rows", "val": "Validation rows"}
NATS = ("ce",)  # metrics in nats; all others are shares of 1, shown in %


def set_table(sets: dict[str, Any], title: str) -> Table:
    """Return a table with one line per metric and one column per set of rows, in % except for cross-entropy."""
    table = metric_table(title, *(f"{name}\n{sets[name]['rows']:,} rows" for name in SETS))
    for key, label in NAMES.items():
        metrics = [sets[name][key] for name in SETS]
        if any(metrics):
            table.add_row(label, *(_with_interval(metric, key) for metric in metrics))
    return table


def class_table(entry: dict[str, Any], title: str) -> Table:
    """Return a table with one line per class of one set of rows, in %."""
    table = metric_table(title, "rows", "recall", "precision", "F1")
    for name, metrics in entry["classes"].items():
        cells = [_with_interval(metrics[key], key) for key in CLASS_METRICS]
        table.add_row(name, f"{metrics['rows']:,}", *cells)
    return table


def metric_table(title: str, *columns: str) -> Table:
    """Return an empty table with right-aligned columns, for metrics."""
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("", overflow="fold")  # a long name wraps, so that no number is cut
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def print_evaluation(summary: dict[str, Any], entry: dict[str, Any], title: str) -> None:
    """Print an evaluation by class and by set of rows, its speed, notes, and the number of reads of the test rows.

    title  option that names the evaluation: `tta=none`, `model=face.onnx`
    """
    console, everything, call, rows = plain_console(), entry["all"], entry["call"], ROWS[entry["rows"]]
    by_class = f"{rows} by class, all {everything['rows']:,}, in % with 95 % intervals"
    by_set = f"{rows}, split={entry['split']['name']}, {title}, in % with 95 % intervals"
    console.print(class_table(everything, by_class), "")
    console.print(set_table(entry, by_set), "")
    speed = call["latency"]
    console.print(
        f"One image takes {speed['milliseconds_of_one_image']:.1f} ms, batches of {speed['batch_size']} run at "
        f"{speed['images_per_second']:,.0f} images/s ({entry['device']}, {_count(entry['threads'], 'thread')}, "
        f"{entry['precision']}, {_count(entry['views'], 'view')})."
    )
    for note in _notes(summary, entry):
        console.print(f"note: {note}")
    if call["reads"]:
        console.print(reads_of_test_rows.sentence(call["reads"], entry["split"]["name"], entry["data"]["name"]))


def _notes(summary: dict[str, Any], entry: dict[str, Any]) -> list[str]:
    """Return notes about the limits of the metrics."""
    notes: list[str] = []
    if "model" in entry or "other" in entry:  # the run reported other metrics
        return notes
    if note := unfinished_note(summary):
        notes.append(note)
    reported = summary.get("test")
    if entry["rows"] == "test" and entry["tta"] == "none" and reported:
        rows = reported.get("all", reported)["rows"]
        before, after = reported["test/acc"], entry["all"]["acc"]["value"]
        if rows != entry["all"]["rows"]:
            notes.append(f"the run itself tested only {rows:,} of these rows")
        elif abs(before - after) > 1e-6:
            notes.append(
                f"the run itself reported an accuracy of {100 * before:.2f} %; rounding depends on hardware, libraries "
                "and the number of threads"
            )
    return notes


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _with_interval(metric: dict[str, float] | None, key: str) -> str:
    """Return e.g. `64.50 [62.9, 66.0]` in %, `0.977 [0.95, 1.00]` in nats, or a dash without a value."""
    if not metric or metric["value"] is None or math.isnan(metric["value"]):
        return "–"
    value, low, high = (metric[end] for end in ("value", "low", "high"))
    if key in NATS:
        return f"{value:.3f} [{low:.2f}, {high:.2f}]"
    return f"{100 * value:.2f} [{100 * low:.1f}, {100 * high:.1f}]"
