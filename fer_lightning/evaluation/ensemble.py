"""Ensemble of finished runs: the mean of the probabilities that they have saved. Imports no torch.

    python train.py experiment=ensemble 'ensemble=[outputs/best/seed-0,outputs/best/seed-1]'
    python train.py experiment=ensemble 'ensemble=[outputs/best/seed-*/evaluation/ten_crop]' name=best_ten_crop

A member is a run folder, or the folder of an evaluation in it. A run folder has the predictions of the run's own test.
The accuracy on the validation rows, by which members may be chosen, needs an evaluation of each member with rows=val.
"""

import glob
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

import numpy as np

from fer_lightning.errors import UserError
from fer_lightning.evaluation.evaluation_folder import folder_name, require_evaluation
from fer_lightning.evaluation.predictions import Predictions, read_predictions
from fer_lightning.evaluation.settings import EVALUATE, TTA
from fer_lightning.files import file_checksum, no_folder
from fer_lightning.runs.run_folder import RunFolder, arm_name, run_of
from fer_lightning.statistics.metrics import METRICS
from fer_lightning.terminal import plain_console
from fer_lightning.wording import typed

EXPECTED = (
    "Name folders of finished runs (outputs/NAME/RUN), or of evaluations in them (outputs/NAME/RUN/evaluation/TTA)."
)


@dataclass(frozen=True)
class Member:
    """Predictions of a finished run with the views `tta`: of test rows and, if saved, of validation rows."""

    path: Path
    run: Path
    tta: str
    summary: dict[str, Any]
    test: Predictions
    val: Predictions | None

    def facts(self) -> dict[str, Any]:
        """Return the member's entry in the summary of the ensemble."""
        keys = ("name", "job", "seed", "commit", "dirty")
        return {
            "run": str(self.run),
            "tta": self.tta,
            **{key: self.summary.get(key) for key in keys},
            "predictions": file_checksum(self.path / "predictions.csv"),
            "test/acc": _accuracy(self.test),
            "val/acc": None if self.val is None else _accuracy(self.val),
        }


def run(folder: RunFolder, names: Sequence[str], overrides: list[str], *, seed: int = 0) -> float | None:
    """Average the named members and write a normal run folder. Return the accuracy on the validation rows.

    names  folders, or patterns of folders (outputs/best/seed-*)
    seed   number that distinguishes ensembles of other members in a report; nothing is random

    A finished ensemble of the same members is reported and not changed. Raise UserError if the folder has an ensemble
    of other members, or if the members have different rows or classes.
    """
    members = [read_member(path) for path in expand(names)]
    require_same_rows([(member.path, member.test) for member in members], "test")
    facts = [member.facts() for member in members]
    folder.claim({"ensemble": facts, "data": data_config(members[0].run)}, overrides)
    if folder.is_done():
        print(f"{folder.path} is done; resume=never starts it over.")
    else:
        _write(folder, members, facts, {"overrides": overrides, "arm": arm_name(overrides), "seed": seed})
    summary = folder.summary()
    show(summary)
    print(f"next: python -m fer_lightning.compare {typed('runs', [folder.path, members[0].path])}")
    print(f"run folder: {folder.path}")
    return summary["best_value"]


def _views_of(member: dict[str, Any]) -> str:
    """Return the argument of `evaluate` that gives a member's predictions: its views, or its exported file."""
    if member["tta"] in get_args(TTA):
        return f"tta={member['tta']}"
    return typed("model", Path(member["run"], f"{member['tta']}.onnx"))


def expand(names: Sequence[str], key: str = "ensemble") -> list[Path]:
    """Return the folders of the names and patterns, in order.

    Raise UserError if there are fewer than two folders, or if one is named twice.

    key  setting that an error names
    """
    paths = []
    for name in names:
        named = [name] if Path(name).is_dir() else glob.glob(str(name))
        folders = sorted(Path(path) for path in named if Path(path).is_dir())
        if not folders:
            raise UserError(f"{key}: {name}: {no_folder(Path(name))}. {EXPECTED}")
        paths.extend(folders)
    twice = {path for path in paths if paths.count(path) > 1}
    if twice:
        raise UserError(f"{key}: {', '.join(map(str, sorted(twice)))} is named twice. Name each member once.")
    if len(paths) < 2:
        raise UserError(f"{key}={[str(path) for path in paths]}: must be two members or more. {EXPECTED}")
    return paths


def read_member(path: Path, key: str = "ensemble") -> Member:
    """Return the member in folder `path`. Raise UserError if it has no predictions of a finished run."""
    run = run_of(path)
    tta = "none" if run == path else path.name
    summary = RunFolder(run).summary()
    if summary is None:
        raise UserError(f"{key}: {path} is not a run folder: {run / 'summary.json'} is missing. {EXPECTED}")
    if summary["status"] != "done":
        command = summary.get("command", "run its command again")
        raise UserError(f"{key}: {run} is not finished ({summary['status']}). Resume it: {command}")
    val = run / "evaluation" / folder_name(tta, "val") / "predictions.csv"
    require_evaluation(path, key)
    require_evaluation(val.parent, key, rows="val")
    return Member(
        path,
        run,
        tta,
        summary,
        test=_read_rows(path / "predictions.csv", key),
        val=_read_rows(val, key) if val.is_file() else None,
    )


def _read_rows(path: Path, key: str) -> Predictions:
    """Return the predictions of a file. Raise UserError if it has no rows."""
    predictions = read_predictions(path)
    if not len(predictions):
        raise UserError(f"{key}: {path} has no rows. Name runs that were evaluated on at least one row.")
    return predictions


def require_same_rows(members: Sequence[tuple[Path, Predictions]], rows: str, key: str = "ensemble") -> None:
    """Raise UserError if members have different rows, labels or classes."""
    (first, expected), *others = members
    for path, predictions in others:
        if predictions.classes != expected.classes:
            raise UserError(
                f"{key}: {first} has the classes {', '.join(expected.classes)}, and {path} has "
                f"{', '.join(predictions.classes)}. All members must have the same classes."
            )
        same_images = np.array_equal(predictions.images, expected.images)
        if not same_images or not np.array_equal(predictions.labels, expected.labels):
            common = len(np.intersect1d(predictions.images, expected.images))
            raise UserError(
                f"{key}: {first} has {len(expected):,} {rows} rows and {path} has {len(predictions):,}, with "
                f"{common:,} images in common. All members must have the same rows and labels. Train them with the "
                "same data and data.split."
            )


def mean_probabilities(members: Sequence[np.ndarray]) -> np.ndarray:
    """Return the mean float32 (N, K) of the members' probabilities, each (N, K)."""
    return np.mean(members, axis=0, dtype=np.float64).astype(np.float32)


def average(predictions: Sequence[Predictions]) -> Predictions:
    """Return the mean probabilities of the same rows. A row is unseen or clean if it is so for every member."""
    return replace(
        predictions[0],
        probabilities=mean_probabilities([p.probabilities for p in predictions]),
        unseen=np.all([p.unseen for p in predictions], axis=0),
        clean=np.all([p.clean for p in predictions], axis=0),
    )


def _write(folder: RunFolder, members: list[Member], facts: list[dict[str, Any]], typed: dict[str, Any]) -> None:
    from fer_lightning.evaluation.evaluation import evaluate, write_plots
    from fer_lightning.evaluation.predictions import write_predictions
    from fer_lightning.runs import reads_of_test_rows
    from fer_lightning.runs.run_summary import begin, record_summary

    with record_summary(folder, _identity(folder, members) | typed | {"members": facts}) as summary:
        begin(folder, summary)
        if all(member.val is not None for member in members):
            require_same_rows([(member.path, member.val) for member in members], "validation")
            summary["val"] = evaluate(average([member.val for member in members]))
            summary["best"] = _values("val", summary["val"])
            summary["best_value"] = summary["best"]["val/acc"]
        split = summary["split"]
        reads = reads_of_test_rows.count_read(folder.path, _store(members[0].run), split["name"], split["checksum"])
        test = average([member.test for member in members])
        write_predictions(folder.path / "predictions.csv", test)
        sets = evaluate(test)
        write_plots(folder.path / "plots", test, sets["all"], title=f"Test rows, ensemble of {len(members)}")
        summary["test"] = _values("test", sets) | sets | {"reads": reads}


def _identity(folder: RunFolder, members: list[Member]) -> dict[str, Any]:
    first = members[0].summary
    counts = [member.summary["parameters"] for member in members]
    return {
        "name": folder.path.parent.name,
        "job": folder.path.name,
        "choices": {"experiment": "ensemble"},
        "monitor": "val/acc",
        "mode": "max",
        "best_value": None,
        **{key: first.get(key) for key in ("data", "split", "device", "precision", "threads")},
        "parameters": {key: sum(count[key] for count in counts) for key in counts[0]},
    }


def _values(prefix: str, sets: dict[str, Any]) -> dict[str, float]:
    """Return the metrics of all rows as `prefix/NAME`."""
    return {f"{prefix}/{name}": metric["value"] for name in METRICS if (metric := sets["all"][name])}


def data_config(run: Path) -> dict[str, Any]:
    """Return the `data` of a run's config; {} if it has none."""
    data = RunFolder(run).config().get("data")
    return data if isinstance(data, dict) else {}


def _store(run: Path) -> Path | None:
    """Return the folder of the faces that a run was tested on; None if it does not exist (any more)."""
    root = data_config(run).get("root")
    return Path(root) if root and Path(root).is_dir() else None


def _accuracy(predictions: Predictions) -> float:
    return float((predictions.predicted == predictions.labels).mean())


def show(summary: dict[str, Any]) -> None:
    """Print the members, the metrics by class and by set of rows, and the number of reads of the test rows."""
    from fer_lightning.evaluation.tables import class_table, metric_table, set_table
    from fer_lightning.runs import reads_of_test_rows

    console, test = plain_console(), summary["test"]
    title = f"Test rows, split={summary['split']['name']}, in % with 95 % intervals"
    console.print(class_table(test["all"], f"Test rows by class, all {test['all']['rows']:,}, in %"), "")
    console.print(set_table(test, title), "")
    table = metric_table("Members, accuracy in %", "views", "validation", "test")
    for member in summary["members"]:
        table.add_row(member["run"], member["tta"], percent(member["val/acc"]), percent(member["test/acc"]))
    table.add_row("ensemble", "", percent(summary["best_value"]), percent(test["test/acc"]))
    console.print(table, "")
    missing = [member for member in summary["members"] if member["val/acc"] is None]
    if missing:
        print("The ensemble has no validation accuracy, because members have no predictions of validation rows.")
        print("To get it, run these commands, and then the ensemble again with resume=never:")
    for member in missing:
        print(f"  {EVALUATE} {typed('run', member['run'])} {_views_of(member)} rows=val")
    console.print(reads_of_test_rows.sentence(test["reads"], summary["split"]["name"], summary["data"]["name"]))


def percent(share: float | None) -> str:
    """Return a share in %, or '' for None."""
    return "" if share is None else f"{100 * share:.2f}"
