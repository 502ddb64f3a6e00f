"""Print the training time to a target accuracy on PublicTest: one row per folder, one column per target.

    python train.py sweep=speed
    python scripts/time_to_accuracy.py outputs/fer2013_speed
    python scripts/time_to_accuracy.py outputs/fer2013_speed --target 0.71 --out results/speed
    python scripts/time_to_accuracy.py outputs/fer2013_cpu outputs/seed_plain --target 0.60 0.65
    python scripts/time_to_accuracy.py outputs/fer2013_cpu outputs/seed_plain --extrapolate outputs/seed_plain=80

DIR            folders of finished runs; the runs of one folder must be one arm, with a seed each
--target       targets as shares of the validation rows (val/acc, a single view); default: 0.72
--out          folder for time_to_accuracy.md and time_to_accuracy.json; default: DIR if it is the only one; if there
               are several, no file is written
--extrapolate  DIR=EPOCHS: if no run of DIR reached a target, print the time of its published number of epochs, which is
               EPOCHS x training rows / measured images per second. Nothing shows that it would reach the target.

The time is that of the training steps, with feed and augmentation, to the end of the first epoch at the target. It is
in minutes on a CPU and in seconds on a GPU. It excludes the start of the process, the reading of the store, compilation
(which has its own column) and evaluation. If val/acc fluctuates, its first value at the target is optimistic, so the
table also has the accuracy of the last epoch.
"""

import argparse
import csv
import json
import statistics
import sys
from itertools import accumulate
from pathlib import Path
from typing import Any, NoReturn

from fer_lightning.errors import UserError
from fer_lightning.files import os_message, write_atomically
from fer_lightning.runs.run_folder import RunFolder, without_nan
from fer_lightning.wording import markdown_table

SAME = ("device", "precision", "commit", "world_size")
SAME_ON_CPU = ("hardware", "threads")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", metavar="DIR", type=Path, nargs="+")
    parser.add_argument("--target", type=float, nargs="+", default=[0.72])
    parser.add_argument("--out", type=Path)
    parser.add_argument("--extrapolate", metavar="DIR=EPOCHS", nargs="+", default=[])
    arguments = parser.parse_args()
    try:
        text = report(**vars(arguments))
    except UserError as error:
        refuse(str(error))
    except OSError as error:
        refuse(os_message(error))
    print(text, end="")


def report(folders: list[Path], target: list[float], out: Path | None, extrapolate: list[str]) -> str:
    """Measure the folders, write the files if there is a folder for them, and return the table."""
    check_targets(target)
    recipes = published_epochs(extrapolate, folders)
    entries = [measure(folder, target, recipes.get(folder)) for folder in folders]
    text = table(entries)
    out = out or (folders[0] if len(folders) == 1 else None)
    if out is not None:
        write_atomically(out / "time_to_accuracy.json", json.dumps(without_nan({"folders": entries}), indent=2) + "\n")
        write_atomically(out / "time_to_accuracy.md", text)
    return text


def check_targets(targets: list[float]) -> None:
    """Raise UserError for a target that is not a share."""
    for target in targets:
        if not 0 < target <= 1:
            raise UserError(f"--target {target:g}: must be a share, above 0 and at most 1. Use --target 0.65 for 65 %.")


def published_epochs(recipes: list[str], folders: list[Path]) -> dict[Path, int]:
    """Return the number of epochs by folder from DIR=EPOCHS. Raise UserError for any other form."""
    epochs = {}
    for recipe in recipes:
        folder, _, number = recipe.rpartition("=")
        if Path(folder) not in folders or not number.isdigit() or int(number) == 0:
            raise UserError(
                f"--extrapolate {recipe}: must be DIR=EPOCHS, with one of the folders and a number of epochs. "
                f"Use --extrapolate {folders[0]}=80."
            )
        epochs[Path(folder)] = int(number)
    return epochs


def measure(folder: Path, targets: list[float], epochs: int | None = None) -> dict[str, Any]:
    """Return mean and deviation over the finished runs of a folder.

    epochs  number in the published recipe, to extrapolate a target that no run reached; None: no extrapolation
    """
    runs, unfinished = read_runs(folder)
    return {
        "folder": str(folder),
        "runs": len(runs),
        "unfinished": unfinished,
        "targets": [measure_target(runs, target, epochs) for target in targets],
        "last_val_acc": spread([run["history"][-1]["val/acc"] for run in runs]),
        "seconds_in_all": spread([seconds_by_epoch(run)[-1] for run in runs]),
        "compile_seconds": spread([run["compile_seconds"] for run in runs if run.get("compile_seconds") is not None]),
        **{key: runs[0].get(key) for key in (*SAME, *SAME_ON_CPU)},
    }


def read_runs(folder: Path) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the summaries of the finished runs in the folder, each with its `history`, and names of unfinished runs.

    Raise UserError if no run is finished, or if the runs differ in more than the seed.
    """
    paths = sorted(path.parent for path in folder.glob("*/summary.json") if "~" not in path.parent.name)
    done = [path for path in paths if RunFolder(path).is_done()]
    unfinished = [path.name for path in paths if path not in done]
    if not done:
        others = f" Unfinished: {', '.join(unfinished)}." if unfinished else ""
        raise UserError(f"{folder}: no finished run.{others} Train one, for example: python train.py sweep=speed")
    runs = [RunFolder(path).summary() | {"history": read_history(path / "metrics.csv")} for path in done]
    for key in ("arm", *SAME, *(SAME_ON_CPU if runs[0].get("device") == "cpu" else ())):
        values = {str(run.get(key) or "none") for run in runs}
        if len(values) > 1:
            raise UserError(
                f"{folder}: its runs differ in {key}: {', '.join(sorted(values))}. Put the runs of each into its own "
                "folder."
            )
    seeds = [run["seed"] for run in runs]
    if len(set(seeds)) < len(seeds):
        names = ", ".join(path.name for path in done)
        raise UserError(f"{folder}: two of its runs have the same seed: {names}. Put one of them into its own folder.")
    return runs, unfinished


def read_history(path: Path) -> list[dict[str, float]]:
    with open(path, newline="") as file:
        return [{key: float(value or "nan") for key, value in row.items()} for row in csv.DictReader(file)]


def seconds_by_epoch(run: dict[str, Any]) -> list[float]:
    """Return the training seconds from the start of the run to the end of each epoch."""
    return list(accumulate(row["seconds"] for row in run["history"]))


def measure_target(runs: list[dict[str, Any]], target: float, epochs: int | None) -> dict[str, Any]:
    """Return seconds and epochs until the target over the runs that reached it."""
    firsts = [first_epoch(run, target) for run in runs]
    reached = [(run, first) for run, first in zip(runs, firsts, strict=True) if first is not None]
    return {
        "target": target,
        "reached": len(reached),
        "seconds": spread([seconds_by_epoch(run)[first] for run, first in reached]),
        "epochs": spread([first + 1 for _, first in reached]),
        "extrapolated": None if reached or epochs is None else extrapolated(runs, epochs),
        "each": [
            {"seed": run["seed"], "seconds": None if first is None else seconds_by_epoch(run)[first]}
            for run, first in zip(runs, firsts, strict=True)
        ],
    }


def first_epoch(run: dict[str, Any], target: float) -> int | None:
    """Return the index of the first epoch at the target; None if no epoch reached it."""
    return next((epoch for epoch, row in enumerate(run["history"]) if row["val/acc"] >= target), None)


def extrapolated(runs: list[dict[str, Any]], epochs: int) -> dict[str, float]:
    """Return the hours of that many epochs over all training rows at the measured speed."""
    rows = runs[0]["split"]["rows"]["train"]
    history = [row for run in runs for row in run["history"]]
    seconds = sum(row["seconds"] for row in history)
    speed = sum(row["images_per_second"] * row["seconds"] for row in history) / seconds
    return {"epochs": epochs, "rows": rows, "images_per_second": speed, "hours": epochs * rows / speed / 3600}


def spread(values: list[float]) -> dict[str, float] | None:
    """Return mean and sample deviation; None for no values, and deviation None for one."""
    if not values:
        return None
    deviation = statistics.stdev(values) if len(values) > 1 else None
    return {"mean": statistics.fmean(values), "deviation": deviation, "n": len(values)}


def table(entries: list[dict[str, Any]]) -> str:
    """Return a Markdown table with one row per folder, and notes below it."""
    targets = [f"time to {100 * entry['target']:g} %" for entry in entries[0]["targets"]]
    header = ["folder", "n", *targets, "last epoch, %", "whole run", "compilation, s", "device, precision", "commit"]
    rows = markdown_table(header, [table_row(entry) for entry in entries])
    return "\n".join([rows, "", "Mean ± standard deviation over n runs.", *notes(entries)]) + "\n"


def table_row(entry: dict[str, Any]) -> list[str]:
    on_cpu = entry["device"] == "cpu"
    return [
        Path(entry["folder"]).name,
        str(entry["runs"]),
        *(target_cell(target, entry["runs"], on_cpu) for target in entry["targets"]),
        _spread(entry["last_val_acc"], "{:.2f}", 100),
        _duration(entry["seconds_in_all"], on_cpu),
        _spread(entry["compile_seconds"], "{:.1f}"),
        f"{entry['hardware'] if on_cpu else entry['device']}, {entry['precision']}",
        str(entry["commit"])[:10],
    ]


def target_cell(target: dict[str, Any], runs: int, on_cpu: bool) -> str:
    reached = f"{target['reached']} of {runs} reached"
    if target["extrapolated"] is not None:
        return f"{reached}; extrapolated: {target['extrapolated']['hours']:.1f} h"
    if target["seconds"] is None:
        return reached
    return f"{_duration(target['seconds'], on_cpu)} in {_spread(target['epochs'], '{:.1f}')} epochs, {reached}"


def notes(entries: list[dict[str, Any]]) -> list[str]:
    """Return sentences about extrapolated, omitted and not comparable values."""
    lines = []
    for entry in entries:
        recipe = next((target["extrapolated"] for target in entry["targets"] if target["extrapolated"]), None)
        if recipe is not None:
            lines.append(
                f"{entry['folder']}, extrapolated: {recipe['epochs']} epochs x {recipe['rows']} rows / "
                f"{recipe['images_per_second']:.2f} images/s. No run has shown that this reaches the target."
            )
        if entry["unfinished"]:
            unfinished = ", ".join(entry["unfinished"])
            lines.append(f"{entry['folder']}: not counted, because they are unfinished: {unfinished}.")
    for key in ("device", *SAME_ON_CPU, "precision", "commit"):
        if len({str(entry[key]) for entry in entries}) > 1:
            lines.append(f"The folders differ in {key}: {', '.join(str(entry[key]) for entry in entries)}.")
    return lines


def _duration(value: dict[str, float], on_cpu: bool) -> str:
    """Return the seconds as minutes on a CPU, with the unit."""
    return f"{_spread(value, '{:.1f}', 1 / 60)} min" if on_cpu else f"{_spread(value, '{:.1f}')} s"


def _spread(value: dict[str, float] | None, form: str, factor: float = 1.0) -> str:
    if value is None:
        return "–"
    mean = form.format(factor * value["mean"])
    return mean if value["deviation"] is None else f"{mean} ± {form.format(factor * value['deviation'])}"


def refuse(message: str) -> NoReturn:
    print(f"time_to_accuracy: {message}", file=sys.stderr)
    sys.exit(2)


if __name__ == "__main__":
    main()
