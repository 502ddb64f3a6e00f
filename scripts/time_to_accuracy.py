"""Seconds of training until PublicTest is classified as well as asked, over the runs of a sweep.

    python train.py sweep=speed
    python scripts/time_to_accuracy.py outputs/fer2013_speed
    python scripts/time_to_accuracy.py outputs/fer2013_speed --target 0.71 --out results/speed

DIR       folder of the finished runs, which must agree in all but the seed
--target  share of the validation rows (val/acc, a single view) to reach; default 0.72
--out     write time_to_accuracy.md and time_to_accuracy.json there; default: DIR

Counted are the seconds of the training steps, feed and augmentation included, through the first epoch at the target.
Not counted are the process's start, reading the store, compilation, which stands beside it, and evaluation.
A first crossing flatters a curve that wavers, so the accuracy of the last epoch stands beside it too.
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
from fer_lightning.files import in_words, write_atomically
from fer_lightning.runs.run_folder import RunFolder, without_nan

SAME = ("device", "precision", "commit", "world_size")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", metavar="DIR", type=Path)
    parser.add_argument("--target", type=float, default=0.72)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    try:
        entry = measure(finished(arguments.folder), arguments.target)
        out = arguments.out or arguments.folder
        write_atomically(out / "time_to_accuracy.json", json.dumps(without_nan(entry), indent=2) + "\n")
        write_atomically(out / "time_to_accuracy.md", table(entry))
    except UserError as error:
        refuse(str(error))
    except OSError as error:
        refuse(in_words(error))
    print(table(entry), end="")


def finished(folder: Path) -> list[dict[str, Any]]:
    """Summaries of the finished runs right below the folder, each with its `history`; UserError where there is none."""
    paths = sorted(path.parent for path in folder.glob("*/summary.json") if "~" not in path.parent.name)
    runs = []
    for path in paths:
        run = RunFolder(path)
        if run.is_done():
            with open(path / "metrics.csv", newline="") as file:
                history = [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]
            runs.append(run.summary() | {"history": history})
    if not runs:
        raise UserError(f"{folder}: no finished run in it. Train some: python train.py sweep=speed")
    for key in SAME:
        found = {str(run.get(key)) for run in runs}
        if len(found) > 1:
            raise UserError(f"{folder}: its runs differ in {key}: {', '.join(sorted(found))}. Time runs of one kind.")
    return runs


def measure(runs: list[dict[str, Any]], target: float) -> dict[str, Any]:
    """What each run took, and mean and deviation over the runs."""
    each = [of_run(run, target) for run in runs]
    reached = [run for run in each if run["seconds"] is not None]
    return {
        "target": target,
        "runs": len(each),
        "reached": len(reached),
        **{f"{key}_to_target": spread([run[key] for run in reached]) for key in ("seconds", "epochs")},
        "last_val_acc": spread([run["last_val_acc"] for run in each]),
        "seconds_in_all": spread([run["seconds_in_all"] for run in each]),
        "compile_seconds": spread([run["compile_seconds"] for run in each if run["compile_seconds"] is not None]),
        **{key: runs[0].get(key) for key in SAME},
        "each": each,
    }


def of_run(run: dict[str, Any], target: float) -> dict[str, Any]:
    history = run["history"]
    spent = list(accumulate(row["seconds"] for row in history))
    first = next((epoch for epoch, row in enumerate(history) if row["val/acc"] >= target), None)
    return {
        "seed": run["seed"],
        "seconds": None if first is None else spent[first],
        "epochs": None if first is None else first + 1,
        "last_val_acc": history[-1]["val/acc"],
        "seconds_in_all": spent[-1],
        "compile_seconds": run.get("compile_seconds"),
    }


def spread(values: list[float]) -> dict[str, float] | None:
    """Mean and sample deviation; None of no values, and no deviation of one."""
    if not values:
        return None
    deviation = statistics.stdev(values) if len(values) > 1 else None
    return {"mean": statistics.fmean(values), "deviation": deviation, "n": len(values)}


def table(entry: dict[str, Any]) -> str:
    target = f"{100 * entry['target']:g} %"
    rows = [
        (f"runs that reach {target} of the validation rows", f"{entry['reached']} of {entry['runs']}"),
        ("training seconds until then", _spread(entry["seconds_to_target"], "{:.1f}")),
        ("epochs until then", _spread(entry["epochs_to_target"], "{:.1f}")),
        ("accuracy after the last epoch, %", _spread(entry["last_val_acc"], "{:.2f}", 100)),
        ("training seconds of the whole run", _spread(entry["seconds_in_all"], "{:.1f}")),
        ("seconds of compilation, not counted above", _spread(entry["compile_seconds"], "{:.1f}")),
        ("device, precision", f"{entry['device']}, {entry['precision']}"),
        ("commit", str(entry["commit"])[:10]),
    ]
    lines = ["| figure | mean ± deviation |", "| --- | --- |", *(f"| {name} | {value} |" for name, value in rows)]
    return "\n".join(lines) + "\n"


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
