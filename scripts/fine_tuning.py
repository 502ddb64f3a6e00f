"""Compare a network from scratch with a fine-tuned one, on drawn faces that stand in for collected ones.

    python scripts/fine_tuning.py draw data/drawn
    python scripts/fine_tuning.py table outputs/drawn_scratch outputs/drawn_tuned

`draw` writes two files: fer2013.csv with 2,000 faces of the classes of FER2013, and custom.csv with 265 faces of
frustration and 238 of boredom.
`table` prints the recall of these two classes, as mean and standard deviation over the seeds of each folder of runs.
docs/fine_tuning.md has the commands between the two.
"""

import argparse
from pathlib import Path
from statistics import mean, stdev

import numpy as np

from fer_lightning.data import synthetic
from fer_lightning.errors import UserError
from fer_lightning.files import write_csv
from fer_lightning.labels import USAGES
from fer_lightning.runs.summary_file import RunTime, read_summary

ROWS = 2000  # of the classes of FER2013
COLLECTED = {"frustration": 265, "boredom": 238}


def draw(folder: Path) -> None:
    """Write the two CSV files."""
    folder.mkdir(parents=True, exist_ok=True)
    table = synthetic.load(rows=ROWS)
    lines = zip(
        [table.classes[code] for code in table.labels],
        map(_as_text, table.pixels),
        [USAGES[code] for code in table.usage],
        strict=True,
    )
    write_csv(folder / "fer2013.csv", ["emotion", "pixels", "Usage"], lines)
    names = [name for name, count in COLLECTED.items() for _ in range(count)]
    pixels = synthetic.draw(names, seed=1)
    write_csv(folder / "custom.csv", ["emotion", "pixels"], zip(names, map(_as_text, pixels), strict=True))
    print(f"{folder}: {ROWS:,} drawn faces in fer2013.csv, {len(names)} in custom.csv")


def _as_text(face: np.ndarray) -> str:
    return " ".join(map(str, face.ravel()))


def row_of(folder: Path) -> str:
    """Return the line of the table for all finished runs in a folder."""
    summaries = [read_summary(path) for path in sorted(folder.glob("*/summary.json"))]
    done = [summary for summary in summaries if summary["status"] == "done"]
    if not done:
        raise UserError(f"{folder}: holds no finished run. Train them first, as docs/fine_tuning.md shows.")
    arms = sorted({summary.get("arm") or "no changes" for summary in done})
    if len(arms) > 1:
        raise UserError(f"{folder}: has runs of several arms: {', '.join(arms)}. Put the runs of each in a folder.")
    classes = [summary["test"]["all"]["classes"] for summary in done]
    for name in COLLECTED:
        if any(name not in each or each[name]["recall"]["value"] is None for each in classes):
            raise UserError(
                f"{folder}: its runs lack test rows of {name}. Name the runs that docs/fine_tuning.md trains."
            )
    recalls = [_mean_and_deviation([100 * each[name]["recall"]["value"] for each in classes]) for name in COLLECTED]
    accuracy = _mean_and_deviation([100 * summary["test"]["test/acc"] for summary in done])
    minutes = mean(RunTime.of(summary).seconds for summary in done) / 60
    return f"| `{folder.name}` | {len(done)} | {' | '.join(recalls)} | {accuracy} | {minutes:.1f} |"


def _mean_and_deviation(values: list[float]) -> str:
    return f"{mean(values):.1f}" + (f" ± {stdev(values):.1f}" if values[1:] else "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True, dest="command")
    commands.add_parser("draw", help="write the drawn faces").add_argument("folder", type=Path, help="folder to write")
    table = commands.add_parser("table", help="print recalls and minutes")
    table.add_argument("folders", type=Path, nargs="+", help="folders of runs that differ by their seed")
    args = parser.parse_args()
    if args.command == "draw":
        draw(args.folder)
        return
    try:
        rows = [row_of(folder) for folder in args.folders]
    except UserError as error:
        parser.error(str(error))
    columns = ["runs", "seeds", *(f"recall of {name}, %" for name in COLLECTED), "accuracy, %", "minutes of a run"]
    print(f"| {' | '.join(columns)} |", f"|{' --- |' * len(columns)}", *rows, sep="\n")


if __name__ == "__main__":
    main()
