"""Test whether run B is better than run A: a paired test over the same test rows, with a verdict.

    python -m fer_lightning.compare 'runs=[outputs/train/seed-0,outputs/train/loss-focal_seed-0]'
    python -m fer_lightning.compare 'runs=[A,B]' tta=flip   results of `python -m fer_lightning.evaluate` for both
    python -m fer_lightning.compare 'runs=[outputs/train/seed-0/evaluation/face,path/to/other.PrivateTest.npy]'

RUN_A and RUN_B are each one of:

- a run folder
- the folder of an evaluation in it, e.g. RUN/evaluation/face of an exported file
- a .npy or .csv file with the probabilities of another program: float32 (N, K), the N test rows in the order of the
  store, the K classes in the order of the run

At least one of the two must be a folder. A store sorts its rows. If the rows of that file are in the order of
fer2013.csv instead, name the store that was read from this CSV file with csv_order=STORE.

Differences are B minus A, in percentage points, on all test rows and on the rows that are clean for both.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fer_lightning.compat.old_words import OldForm
from fer_lightning.config import command
from fer_lightning.config.messages import Command
from fer_lightning.config.settings import Settings, setting
from fer_lightning.errors import UserError
from fer_lightning.evaluation.evaluation_folder import (
    average_views,
    evaluate_again,
    file_of,
    folder_name,
    require_evaluation,
)
from fer_lightning.evaluation.settings import TTA
from fer_lightning.files import no_folder, read_json, write_atomically
from fer_lightning.paths import CONF
from fer_lightning.runs.run_folder import RunFolder, run_of, without_nan
from fer_lightning.runs.trained_folder import list_runs, members_of
from fer_lightning.terminal import plain_console

if TYPE_CHECKING:
    import numpy as np

    from fer_lightning.evaluation.predictions import Predictions

SEEDS = (
    "One seed each compares two runs, not two methods: another seed changes a metric about as much as another method. "
    "For a claim about methods, train several seeds of each."
)

OTHER_PROGRAM = (
    "The file of probabilities does not say which rows its model was trained and selected on. Clean rows are clean "
    "only for the run, and a model that was trained on test rows has too high an accuracy on them."
)


@dataclass(frozen=True, kw_only=True)
class CompareSettings(Settings):
    """Settings of a comparison."""

    runs: list[str] = setting(comment="list of RUN_A and RUN_B", path=True)
    tta: TTA = setting("none", "views of the evaluations to compare")
    csv_order: str | None = setting(
        None, "store in whose order the file of probabilities is; null: order of the rows of a store", path=True
    )
    json: str | None = setting(None, "file for the comparison; null: no file", path=True)


COMMAND = Command(
    "python -m fer_lightning.compare",
    CompareSettings,
    CONF / "compare" / "compare.yaml",
    example="'runs=[outputs/train/seed-0,outputs/train/seed-1]'",
)
OLD = OldForm(gathered="runs", options={"--tta": "tta", "--csv-order": "csv_order", "--json": "json"})


def main(arguments: list[str] | None = None) -> None:
    with command.report_errors("compare", "Nothing is half written"):
        cfg = config(command.read_arguments(COMMAND, __doc__, arguments, OLD))
        paths = [None if value is None else Path(value) for value in (cfg.json, cfg.csv_order)]
        if cfg.json is not None and Path(cfg.json).is_dir():
            raise UserError(f"json={cfg.json}: is a folder. Name a file, such as {Path(cfg.json, 'compare.json')}.")
        show(*map(Path, cfg.runs), cfg.tta, *paths)


def config(overrides: list[str]) -> CompareSettings:
    """Return the settings of the command line. Raise UserError if they cannot be used."""
    cfg = command.settings(COMMAND, overrides)
    if len(cfg.runs) != 2:
        raise UserError(
            f"runs=[{','.join(cfg.runs)}]: must name RUN_A and RUN_B, two folders of finished runs or of evaluations, "
            f"or a .npy or .csv file of probabilities as one of them. Example: {COMMAND.program} {COMMAND.example}"
        )
    if Path(cfg.runs[0]).resolve() == Path(cfg.runs[1]).resolve():
        raise UserError(f"runs=[{','.join(cfg.runs)}]: both name the same folder. Name two different ones.")
    return cfg


def show(a: Path, b: Path, tta: str, path: Path | None, csv_order: Path | None = None) -> None:
    """Compare two sides, print the tables and verdicts, and write them to `path` if it is not None."""
    from fer_lightning.evaluation.paired import compare, difference_table, row_set

    runs = {"A": a, "B": b}
    entry = compare(*both_predictions(runs, tta, csv_order))
    console = plain_console()
    for name, run in runs.items():
        console.print(f"{name}  {run}", highlight=False, soft_wrap=True)
    for name, compared in entry.items():
        console.print(
            "", difference_table(compared, f"{compared['rows']:,} {row_set(name)}, tta={tta}, in %"), sep="\n"
        )
    console.print()
    for compared in entry.values():
        console.print(f"{compared['verdict'][0].upper()}{compared['verdict'][1:]}", highlight=False)
    for note in notes(a, b):
        console.print(note, highlight=False)
    print("next: to compare methods, not two runs, train several seeds of each: python train.py sweep=seeds model=...")
    if path is not None:
        content: dict[str, Any] = {"a": str(a), "b": str(b), "tta": tta, **entry}
        write_atomically(path, json.dumps(without_nan(content), indent=2, allow_nan=False) + "\n")


def both_predictions(runs: dict[str, Path], tta: str, csv_order: Path | None) -> "list[Predictions]":
    """Return the predictions of both sides. A file of probabilities gets rows and labels from the other side."""
    from fer_lightning.evaluation.predictions import read_probabilities

    by_name = {name: read_run(f"RUN_{name}", path, tta) for name, path in runs.items() if not is_of_other_program(path)}
    if not by_name:
        raise UserError(
            f"{' and '.join(map(str, runs.values()))}: both are files of probabilities, which hold no labels. Name a "
            "run folder as one of the two."
        )
    if csv_order is not None and len(by_name) == len(runs):
        raise UserError(
            f"csv_order={csv_order}: is the order of the rows in a file of probabilities, and both sides are folders. "
            "Drop it."
        )
    like = next(iter(by_name.values()))
    indices = None if csv_order is None else csv_indices(csv_order, like)
    return [
        by_name[name] if name in by_name else read_probabilities(path, like, indices) for name, path in runs.items()
    ]


def csv_indices(root: Path, like: "Predictions", key: str = "csv_order") -> "np.ndarray":
    """Return the indices int (N,) of a run's rows in the order of the CSV file that a store was read from.

    key  setting that names the store
    """
    from fer_lightning.data.store import open_store, store_problem

    if problem := store_problem(str(root)):
        raise UserError(problem.replace("data.root=", f"{key}=", 1))
    store = open_store(root)
    inside = like.rows < len(store.digests)
    if not inside.all() or [digest.tobytes().hex() for digest in store.digests[like.rows]] != like.images.tolist():
        raise UserError(f"{key}={root}: holds other images than the run was tested on. Name the store of the run.")
    numbers = store.source[like.rows]
    if store.manifest["source"]["form"] != "csv":
        raise UserError(f"{key}={root}: was not read from a CSV file. Write the rows in the order of the store.")
    if not all(number.isdecimal() for number in numbers.tolist()):
        raise UserError(
            f"{key}={root}: its CSV has a column source, which the store keeps instead of the numbers of the rows. "
            "Write the rows in the order of the store."
        )
    return numbers.astype(int).argsort().argsort()


def is_of_other_program(path: Path) -> bool:
    """Return True for a file with the probabilities of another program."""
    from fer_lightning.evaluation.predictions import PROBABILITIES

    return path.suffix in PROBABILITIES


def read_run(name: str, run: Path, tta: str, rows: str = "test") -> "Predictions":
    """Return the predictions of a run, or of the folder of an evaluation.

    name  setting that an error names
    rows  test or val

    Raise UserError if they are missing, with the command that writes them, or if they are for other rows or from other
    weights.
    """
    from fer_lightning.evaluation.predictions import read_predictions

    if not run.is_dir():
        raise UserError(f"{name}={run}: {no_folder(run)}. Name a run folder, e.g. outputs/NAME/RUN.")
    of_evaluation = run_of(run) != run
    if not any((run / entry).exists() for entry in ("summary.json", "metrics.json", "predictions.csv", "evaluation")):
        raise UserError(f"{name}={run}: not a run folder: summary.json is missing.{list_runs(run)}")
    if of_evaluation and tta != "none":
        raise UserError(
            f"{name}={run}: is the folder of an evaluation, whose views are fixed. Drop tta={tta}, and "
            f"name an evaluation of the other run too, such as RUN/evaluation/{tta}."
        )
    member_views = {member["tta"] for member in members_of(RunFolder(run))}
    is_own = rows == "test" and (tta == "none" or member_views == {tta})
    candidates = [run] if of_evaluation or is_own else []
    candidates += [] if of_evaluation else [run / "evaluation" / folder_name(tta, rows)]
    reason = f"{(candidates[-1] / 'predictions.csv').relative_to(run)} is missing."
    for folder in candidates:
        require_evaluation(folder, name, rows=rows, other_data=True)
        if (folder / "predictions.csv").is_file():
            try:
                return read_predictions(folder / "predictions.csv")
            except UserError as error:
                reason = str(error)
    raise UserError(f"{name}={run}: {reason}\n{_how_to_write(run, tta, rows)}")


def _how_to_write(run: Path, tta: str, rows: str) -> str:
    """Return the command that writes the predictions of a run, or of the folder of an evaluation."""
    if run_of(run) != run:
        entry = read_json(run / "metrics.json")
        return f"Write it: {evaluate_again(run_of(run), entry, file_of(run, entry))}"
    members = [Path(member["run"]) for member in members_of(RunFolder(run))]
    if members and rows != "test":
        return "An ensemble has no predictions of validation rows. Name one of its members."
    if members:
        return f"An ensemble has no checkpoint of its own. {average_views(members, tta)}"
    return f"Write it: {evaluate_again(run, {'tta': tta, 'rows': rows})}"


def notes(a: Path, b: Path) -> list[str]:
    """Return notes about the limits of the comparison."""
    return [OTHER_PROGRAM] if is_of_other_program(a) or is_of_other_program(b) else [*other_training(a, b), SEEDS]


def other_training(a: Path, b: Path) -> list[str]:
    """Return a note if the runs were trained on different splits with the same test rows."""
    first, second = ((RunFolder(run_of(path)).summary() or {}).get("split") or {} for path in (a, b))
    if first.get("checksum") == second.get("checksum"):
        return []
    return [
        f"The test rows are the same, but the training rows are different: A was trained on split {first.get('name')}, "
        f"B on {second.get('name')}."
    ]


if __name__ == "__main__":
    main()
