"""Is run B better than run A? A paired test over the same test rows, with a verdict in words.

    python -m fer_lightning.compare outputs/train/seed-0 outputs/train/loss-focal_seed-0
    python -m fer_lightning.compare A B --tta flip          what `python -m fer_lightning.evaluate` wrote for both
    python -m fer_lightning.compare outputs/train/seed-0/evaluation/face path/to/other.PrivateTest.npy

A side is a run folder, the folder of an evaluation in it (RUN/evaluation/face, of an exported file), or a .npy file
with the probabilities of another program: float32 (N, K), the test rows in the order of the store, the classes in the
order of the run. One of the two sides must be a folder. A store sorts its rows. If the .npy file follows fer2013.csv
instead, --csv-order names the store that was read from it.

Differences are B minus A, in points, on all test rows and on those that are clean for both.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from fer_lightning.errors import UserError
from fer_lightning.files import in_words, write_atomically

if TYPE_CHECKING:
    import numpy as np

    from fer_lightning.evaluation.predictions import Predictions

PROGRAM = "python -m fer_lightning.compare"
VIEWS = ("none", "flip", "ten_crop")
EVALUATE = "python -m fer_lightning.evaluate"
SEEDS = (
    "One seed each compares two runs, not two methods: another seed moves a score by about as much as another method. "
    "For a claim about methods train several seeds of each."
)

OTHER_PROGRAM = (
    "The .npy file does not say which rows its model was trained and selected on. Rows are clean for the run only, and "
    "a model that has seen test rows scores too high on them."
)


def main() -> None:
    parser = argparse.ArgumentParser(PROGRAM, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "a", metavar="RUN_A", type=Path, help="folder of a finished run or of an evaluation, or a .npy file"
    )
    parser.add_argument("b", metavar="RUN_B", type=Path, help="another, tested on the same rows")
    parser.add_argument("--tta", choices=VIEWS, default="none", help="default: none")
    parser.add_argument("--csv-order", metavar="STORE", type=Path, help="the .npy file follows the CSV of this store")
    parser.add_argument("--json", metavar="PATH", type=Path, help="write the comparison there too")
    arguments = parser.parse_args()
    try:
        show(arguments.a, arguments.b, arguments.tta, arguments.json, arguments.csv_order)
    except UserError as error:
        refuse(str(error))
    except OSError as error:
        refuse(in_words(error))


def show(a: Path, b: Path, tta: str, path: Path | None, csv_order: Path | None = None) -> None:
    from rich.console import Console

    from fer_lightning.evaluation.paired import compare, difference_table, set_in_words
    from fer_lightning.runs.run_folder import without_nan

    runs = {"A": a, "B": b}
    entry = compare(*both_predictions(runs, tta, csv_order))
    console = Console()
    for name, run in runs.items():
        console.print(f"{name}  {run}", highlight=False, soft_wrap=True)
    for name, compared in entry.items():
        console.print(
            "", difference_table(compared, f"{compared['rows']:,} {set_in_words(name)} rows, tta={tta}, in %"), sep="\n"
        )
    console.print()
    for compared in entry.values():
        console.print(f"{compared['verdict'][0].upper()}{compared['verdict'][1:]}", highlight=False)
    for note in notes(a, b):
        console.print(note, highlight=False)
    if path is not None:
        content: dict[str, Any] = {"a": str(a), "b": str(b), "tta": tta, **entry}
        write_atomically(path, json.dumps(without_nan(content), indent=2, allow_nan=False) + "\n")


def both_predictions(runs: dict[str, Path], tta: str, csv_order: Path | None) -> "list[Predictions]":
    """Return what both sides predicted; a file takes rows, labels and classes from the other side."""
    from fer_lightning.evaluation.predictions import read_probabilities

    found = {name: predictions(name, path, tta) for name, path in runs.items() if not of_other_program(path)}
    if not found:
        raise UserError(
            f"{' and '.join(map(str, runs.values()))}: both are .npy files, which hold no labels. Name a run folder as "
            "one of the two."
        )
    like = next(iter(found.values()))
    places = None if csv_order is None else places_in_csv(csv_order, like)
    return [found[name] if name in found else read_probabilities(path, like, places) for name, path in runs.items()]


def places_in_csv(root: Path, like: "Predictions") -> "np.ndarray":
    """Return the places int (N,) that the rows of a run have among each other in the CSV file behind a store."""
    from fer_lightning.data.store import open_store, store_problem

    if problem := store_problem(str(root)):
        raise UserError(problem.replace("data.root=", "--csv-order ", 1))
    store = open_store(root)
    known = like.rows < len(store.digests)
    if not known.all() or [digest.tobytes().hex() for digest in store.digests[like.rows]] != like.images.tolist():
        raise UserError(
            f"--csv-order {root}: holds other images than the run was tested on. Name the store of the run."
        )
    numbers = store.source[like.rows]
    if store.manifest["source"]["form"] != "csv":
        raise UserError(f"--csv-order {root}: must be a store that was read from a CSV file. Drop the option.")
    return numbers.astype(int).argsort().argsort()


def of_other_program(path: Path) -> bool:
    from fer_lightning.evaluation.predictions import PROBABILITIES

    return path.suffix == PROBABILITIES


def predictions(name: str, run: Path, tta: str) -> "Predictions":
    """What a run predicted; UserError with the command that makes it."""
    from fer_lightning.evaluation.predictions import read_predictions

    if not run.is_dir():
        raise UserError(f"RUN_{name}={run}: no such folder. Name two run folders, as outputs/NAME/JOB.")
    found = [run / "evaluation" / tta / "predictions.csv"]
    if tta == "none":
        found.insert(0, run / "predictions.csv")
    reason = f"there is no {found[-1].relative_to(run)} in it"
    for path in filter(Path.is_file, found):
        try:
            return read_predictions(path)
        except UserError as error:
            reason = str(error)
    raise UserError(f"RUN_{name}={run}: {reason}\nMake it: {EVALUATE} run={run} tta={tta}")


def notes(a: Path, b: Path) -> list[str]:
    """Return what the figures do not say."""
    return [OTHER_PROGRAM] if of_other_program(a) or of_other_program(b) else [*other_training(a, b), SEEDS]


def other_training(a: Path, b: Path) -> list[str]:
    """A note where the runs were trained on different splits with the same test rows."""
    from fer_lightning.runs.run_folder import RunFolder, run_of

    first, second = ((RunFolder(run_of(path)).summary() or {}).get("split") or {} for path in (a, b))
    if first.get("checksum") == second.get("checksum"):
        return []
    return [
        f"The test rows are the same, the training rows are not: A was trained on split {first.get('name')}, "
        f"B on {second.get('name')}."
    ]


def refuse(message: str) -> NoReturn:
    print(f"compare: {message}", file=sys.stderr)
    sys.exit(2)


if __name__ == "__main__":
    main()
