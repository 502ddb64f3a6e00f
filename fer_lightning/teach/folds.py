"""Check and average finished runs over the folds of Training. Imports no torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from fer_lightning.data.teacher import Teacher, are_probabilities
from fer_lightning.errors import UserError
from fer_lightning.evaluation.ensemble import Member, data_config, read_member, require_same_rows
from fer_lightning.evaluation.settings import EVALUATE
from fer_lightning.wording import typed

SPLIT = "training_fold"


@dataclass(frozen=True)
class FoldRun:
    """Finished run of split=training_fold, with its predictions for the fold that it was not trained on."""

    member: Member
    fold: int
    folds: int
    split_seed: int

    @property
    def path(self) -> Path:
        return self.member.path

    def accuracy(self) -> float:
        """Return the accuracy on its fold."""
        return float((self.member.test.predicted == self.member.test.labels).mean())

    def facts(self) -> dict[str, Any]:
        """Return the run's entry in the teacher file. `val/acc` is its accuracy on PublicTest with a single view."""
        summary = self.member.summary
        return {
            "run": str(self.member.run),
            "tta": self.member.tta,
            "fold": self.fold,
            "folds": self.folds,
            "split_seed": self.split_seed,
            "split": summary["split"]["checksum"],
            **{key: summary.get(key) for key in ("seed", "commit", "dirty")},
            "val/acc": (summary.get("best") or {}).get("val/acc"),
            "fold/acc": self.accuracy(),
        }


def read_fold_run(path: Path) -> FoldRun:
    """Return the run in folder `path`. Raise UserError if its predictions cannot be used for a teacher file."""
    member = read_member(path, key="runs")
    data = data_config(member.run)
    if data.get("split") != SPLIT:
        raise UserError(
            f"runs: {path} was trained with data.split={data.get('split')}. It must be data.split={SPLIT}: other "
            "splits train on the rows that need a teacher, or read PrivateTest. Leave this run out."
        )
    expected = member.summary["split"]["rows"]["test"]
    if len(member.test) != expected:
        raise UserError(
            f"runs: {path} has predictions for {len(member.test):,} of the {expected:,} rows of its fold. It must have "
            f"them for all rows. Run {EVALUATE} {typed('run', member.run)} and name "
            f"{member.run / 'evaluation' / 'none'} instead."
        )
    wrong = np.count_nonzero(~are_probabilities(member.test.probabilities))
    if wrong:
        raise UserError(
            f"runs: {path}: the probabilities of {wrong:,} rows in predictions.csv do not sum to 1. "
            f"Write it again: {EVALUATE} {typed('run', member.run)}"
        )
    return FoldRun(member, *(_number(path, data, key) for key in ("fold", "folds", "split_seed")))


def _number(path: Path, data: dict[str, Any], key: str) -> int:
    value = data.get(key, {"folds": 5, "split_seed": 0}.get(key))
    if not isinstance(value, int):
        raise UserError(
            f"runs: {path}: data.{key}={value!r} in config.yaml: must be a whole number. Restore the file from a copy."
        )
    return value


def average_runs(runs: Sequence[FoldRun]) -> Teacher:
    """Return the mean probabilities of each Training row over the runs that tested it.

    Raise UserError in each of these cases:

    - the runs have different data, classes or folds
    - a fold has no run
    - a run was trained on a row for which it would be the teacher

    All folds of one split_seed together are Training, so every Training row gets a teacher.
    """
    _refuse_other_folds(runs)
    by_fold = [[run for run in runs if run.fold == fold] for fold in range(runs[0].folds)]
    _refuse_gaps(by_fold)
    _refuse_shared_images(by_fold)
    images = np.concatenate([run.member.test.images for run in runs])
    distinct, inverse = np.unique(images, return_inverse=True)
    sums = np.zeros((len(distinct), len(runs[0].member.test.classes)))
    np.add.at(sums, inverse, np.concatenate([run.member.test.probabilities for run in runs]))
    return Teacher(
        data=runs[0].member.summary["data"]["checksum"],
        classes=runs[0].member.test.classes,
        members=[run.facts() for run in runs],
        digests=np.array([list(bytes.fromhex(image)) for image in distinct], np.uint8),
        probabilities=(sums / sums.sum(axis=1, keepdims=True)).astype(np.float32),
    )


def _refuse_other_folds(runs: Sequence[FoldRun]) -> None:
    """Raise UserError unless all runs have the same data, classes, folds and split_seed."""
    first, *others = runs
    for run in others:
        for name, expected, value in (
            ("data checksum", first.member.summary["data"]["checksum"], run.member.summary["data"]["checksum"]),
            ("classes", ", ".join(first.member.test.classes), ", ".join(run.member.test.classes)),
            ("data.split_seed", first.split_seed, run.split_seed),
            ("data.folds", first.folds, run.folds),
        ):
            if value != expected:
                raise UserError(
                    f"runs: {run.path} has {name} {value}, and {first.path} has {expected}. They must be equal. "
                    "Train all runs with the same data, data.split_seed and data.folds."
                )


def _refuse_gaps(by_fold: Sequence[Sequence[FoldRun]]) -> None:
    """Raise UserError if a fold has no run, or if the runs of a fold tested different rows."""
    missing = ",".join(str(fold) for fold, runs in enumerate(by_fold) if not runs)
    if missing:
        raise UserError(
            f"runs: no run tested fold {missing} of {len(by_fold)}, so its rows would have no teacher. "
            f"Every fold must have a run. Train: python train.py -m data.split={SPLIT} data.fold={missing} ..."
        )
    for runs in by_fold:
        require_same_rows([(run.path, run.member.test) for run in runs], "test", key="runs")


def _refuse_shared_images(by_fold: Sequence[Sequence[FoldRun]]) -> None:
    """Raise UserError if an image is in two folds, because a run of one fold was then trained on it."""
    for first, second in combinations([runs[0] for runs in by_fold], 2):
        shared = np.intersect1d(first.member.test.images, second.member.test.images)
        if len(shared):
            raise UserError(
                f"runs: {first.path} tested fold {first.fold}, {second.path} fold {second.fold}, and {len(shared):,} "
                "images are in both folds. Each image must be in one fold. Train all runs with one version of the code."
            )
