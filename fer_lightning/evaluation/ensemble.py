"""Several finished runs as one: the mean of the probabilities that they have saved. Imports no torch.

    python train.py experiment=ensemble 'ensemble=[outputs/best/seed-0,outputs/best/seed-1]'
    python train.py experiment=ensemble 'ensemble=[outputs/best/seed-*/evaluation/ten_crop]' name=best_ten_crop

A member is a run's folder, with what it predicted at its end, or the folder of an evaluation in it, through declared
views. The figure on the validation rows, by which members may be chosen, needs an evaluation of each with rows=val.
"""

import glob
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from fer_lightning.errors import UserError
from fer_lightning.evaluation.predictions import Predictions, read_predictions
from fer_lightning.runs.run_folder import RunFolder, arm_name, run_of
from fer_lightning.statistics.metrics import FIGURES

WHAT = "Name folders of finished runs (outputs/NAME/JOB), or of evaluations in them (outputs/NAME/JOB/evaluation/TTA)."
EVALUATE = "python -m fer_lightning.evaluate"


@dataclass(frozen=True)
class Member:
    """A finished run, seen through the declared views `tta`; test and, where saved, validation predictions."""

    path: Path
    run: Path
    tta: str
    summary: dict[str, Any]
    test: Predictions
    val: Predictions | None

    def facts(self) -> dict[str, Any]:
        """What the ensemble's summary says of it."""
        keys = ("name", "job", "seed", "commit", "dirty")
        file = self.path / "predictions.csv"
        return {
            "run": str(self.run),
            "tta": self.tta,
            **{key: self.summary.get(key) for key in keys},
            "predictions": hashlib.sha256(file.read_bytes()).hexdigest(),
            "test/acc": _accuracy(self.test),
            "val/acc": None if self.val is None else _accuracy(self.val),
        }


def run(
    folder: RunFolder, names: Sequence[str], overrides: list[str], *, seed: int = 0, start_over: bool = False
) -> float | None:
    """Average the named members and leave an ordinary run folder; returns the accuracy on the validation rows.

    names  folders, or patterns of folders (outputs/best/seed-*)
    seed   numbers ensembles of other members in a report; nothing is drawn

    A finished ensemble of the same members is reported and left alone. UserError where there are other members now,
    or where members do not fit together.
    """
    members = [read_member(path) for path in expand(names)]
    refuse_unlike([(member.path, member.test) for member in members], "test")
    facts = [member.facts() for member in members]
    folder.claim({"ensemble": facts, "data": data_config(members[0].run)}, start_over=start_over)
    if folder.is_done():
        print(f"{folder.path} is done; resume=never would start it over.")
    else:
        folder.write_provenance(overrides)
        _write(folder, members, facts, {"overrides": overrides, "arm": arm_name(overrides), "seed": seed})
    summary = folder.summary()
    show(summary)
    print(f"run folder: {folder.path}")
    return summary["best_value"]


def expand(names: Sequence[str], key: str = "ensemble") -> list[Path]:
    """The folders of the names and patterns, in order; UserError where there are fewer than two, or one twice.

    key  the setting that an error names
    """
    paths = []
    for name in names:
        found = sorted(Path(path) for path in glob.glob(str(name)) if Path(path).is_dir())
        if not found:
            raise UserError(f"{key}: {name}: no such folder. {WHAT}")
        paths.extend(found)
    twice = {path for path in paths if paths.count(path) > 1}
    if twice:
        raise UserError(f"{key}: {', '.join(map(str, sorted(twice)))} is named twice. Name each member once.")
    if len(paths) < 2:
        raise UserError(f"{key}={[str(path) for path in paths]}: an ensemble has two members or more. {WHAT}")
    return paths


def read_member(path: Path, key: str = "ensemble") -> Member:
    """UserError where `path` holds no predictions of a finished run."""
    run = run_of(path)
    tta = "none" if run == path else path.name
    summary = RunFolder(run).summary()
    if summary is None:
        raise UserError(f"{key}: {path} is no run's folder, for {run} has no summary.json. {WHAT}")
    if summary["status"] != "done":
        command = summary.get("command", "its own command")
        raise UserError(f"{key}: {run} has not ended ({summary['status']}). Let it go on: {command}")
    val = run / "evaluation" / f"val_{tta}" / "predictions.csv"
    return Member(
        path,
        run,
        tta,
        summary,
        test=read_predictions(path / "predictions.csv"),
        val=read_predictions(val) if val.is_file() else None,
    )


def refuse_unlike(members: Sequence[tuple[Path, Predictions]], what: str, key: str = "ensemble") -> None:
    """UserError where members do not speak of the same rows and classes."""
    (first, expected), *others = members
    for path, found in others:
        if found.classes != expected.classes:
            raise UserError(
                f"{key}: {first} has the classes {', '.join(expected.classes)}, {path} {', '.join(found.classes)}. "
                "Members need the same classes."
            )
        if not np.array_equal(found.images, expected.images) or not np.array_equal(found.labels, expected.labels):
            common = len(np.intersect1d(found.images, expected.images))
            raise UserError(
                f"{key}: {first} has {len(expected):,} {what} rows and {path} {len(found):,}, with {common:,} "
                "images in common: another split, or other data. Members need the same rows; train them with the same "
                "data and data.split."
            )


def average(predictions: Sequence[Predictions]) -> Predictions:
    """The mean probabilities of the same rows; a row is unseen or clean where it is so for every member."""
    return replace(
        predictions[0],
        probabilities=np.mean([p.probabilities for p in predictions], axis=0, dtype=np.float64).astype(np.float32),
        unseen=np.all([p.unseen for p in predictions], axis=0),
        clean=np.all([p.clean for p in predictions], axis=0),
    )


def _write(folder: RunFolder, members: list[Member], facts: list[dict[str, Any]], typed: dict[str, Any]) -> None:
    from fer_lightning.evaluation.evaluation import evaluate, write_plots
    from fer_lightning.evaluation.predictions import write_predictions
    from fer_lightning.runs import looks_at_test_rows
    from fer_lightning.runs.run_summary import recorded

    with recorded(folder, _identity(folder, members) | typed | {"members": facts}) as summary:
        if all(member.val is not None for member in members):
            refuse_unlike([(member.path, member.val) for member in members], "validation")
            summary["val"] = evaluate(average([member.val for member in members]))
            summary["best"] = _values("val", summary["val"])
            summary["best_value"] = summary["best"]["val/acc"]
        split = summary["split"]
        looks = looks_at_test_rows.count(folder.path, _store(members[0].run), split["name"], split["checksum"])
        test = average([member.test for member in members])
        write_predictions(folder.path / "predictions.csv", test)
        sets = evaluate(test)
        write_plots(folder.path / "plots", test, sets["all"], title=f"Test rows, ensemble of {len(members)}")
        summary["test"] = _values("test", sets) | sets | {"reads": looks}


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


def _values(what: str, sets: dict[str, Any]) -> dict[str, float]:
    """The figures of all rows as `what/NAME`."""
    return {f"{what}/{name}": figure["value"] for name in FIGURES if (figure := sets["all"][name])}


def data_config(run: Path) -> dict[str, Any]:
    """The `data` of a run's config; {} where it has none."""
    return yaml.safe_load((run / "config.yaml").read_text()).get("data") or {}


def _store(run: Path) -> Path | None:
    """The folder of the faces that a run was tested on, where they have one and it is still there."""
    root = data_config(run).get("root")
    return Path(root) if root and Path(root).is_dir() else None


def _accuracy(predictions: Predictions) -> float:
    return float((predictions.predicted == predictions.labels).mean())


def show(summary: dict[str, Any]) -> None:
    """Print the members, the figures by class and by set of rows, and how often the test rows were read."""
    from rich.console import Console

    from fer_lightning.evaluation.tables import class_table, set_table, table_of_figures
    from fer_lightning.runs import looks_at_test_rows

    console, test = Console(), summary["test"]
    title = f"Test rows, split={summary['split']['name']}, in % with 95 % intervals"
    console.print(class_table(test["all"], f"Test rows by class, all {test['all']['rows']:,}, in %"), "")
    console.print(set_table(test, title), "")
    table = table_of_figures("Members, accuracy in %", "views", "validation", "test")
    for member in summary["members"]:
        table.add_row(member["run"], member["tta"], percent(member["val/acc"]), percent(member["test/acc"]))
    table.add_row("their mean", "", percent(summary["best_value"]), percent(test["test/acc"]))
    console.print(table, "")
    missing = [member for member in summary["members"] if member["val/acc"] is None]
    if missing:
        print("No figure on the validation rows, which these lack. With resume=never it comes after")
    for member in missing:
        print(f"  {EVALUATE} run={member['run']} tta={member['tta']} rows=val")
    console.print(looks_at_test_rows.sentence(test["reads"], summary["split"]["name"]))


def percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.2f}"
