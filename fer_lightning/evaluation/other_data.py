"""Rows of another data set for a trained run: classes are matched by name, faces brought into the run's form."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from fer_lightning.audit.audit import table_of
from fer_lightning.data.judged_rows import JudgedRows, judge_rows
from fer_lightning.data.splits import notes_on_sources
from fer_lightning.data.table import FaceTable
from fer_lightning.errors import UserError
from fer_lightning.evaluation.predictions import Predictions, predictions_of
from fer_lightning.evaluation.trained_run import TrainedRun
from fer_lightning.faces.image_form import FER2013_FORM, ImageForm
from fer_lightning.labels import USAGES, taxonomy_of
from fer_lightning.runs import reads_of_test_rows

LEAST_COMMON = 2  # classes
ALL_ROWS = "all rows"  # evaluated if a store has no test rows


@dataclass(frozen=True)
class OtherRows:
    """Rows of another store, ready to be evaluated.

    table    rows of the run's training and validation, then the evaluated rows, with labels of the common classes
    judged   the evaluated rows of `table`
    numbers  int64 (N,), their row numbers in the other store
    columns  int64 (C,), the common classes among those of the run
    facts    entry of metrics.json
    notes    sentences about what was left out and changed
    """

    table: FaceTable
    judged: JudgedRows
    numbers: np.ndarray
    columns: np.ndarray
    facts: dict[str, Any]
    notes: list[str]

    def predictions(self, rows: np.ndarray, labels: np.ndarray, of_run: np.ndarray) -> Predictions:
        """Return the predictions with the row numbers of the other store.

        of_run  float32 (N, K), probabilities of the run's classes; those of common classes are scaled to a sum of 1
        """
        common = np.maximum(of_run[:, self.columns].astype(np.float64), np.finfo(np.float32).tiny)
        scaled = (common / common.sum(axis=1, keepdims=True)).astype(np.float32)
        return replace(predictions_of(self.judged, rows, labels, scaled, self.table.classes), rows=self.numbers)

    def count_read(self, run: Path, _: str) -> dict[str, Any]:
        """Count a read of test rows in the folder of the other store."""
        split = self.facts["split"]
        return reads_of_test_rows.count_file(run, Path(self.facts["data"]["root"]), split["checksum"])


def other_rows(run: TrainedRun, root: str, rows: str) -> OtherRows:
    """Return the rows of the store at `root`. Raise UserError if the store or two common classes are missing.

    rows  test: PrivateTest, or all rows of a store that has no PrivateTest; val: PublicTest
    """
    store, of_run = table_of(root), taxonomy_of(run.config.data).classes
    common = tuple(name for name in of_run if name in store.classes)
    if len(common) < LEAST_COMMON:
        raise UserError(
            f"data.root={root}: its classes are {', '.join(store.classes)}, and those of run={run.path} are "
            f"{', '.join(of_run)}. At least {LEAST_COMMON} must have the same name."
        )
    chosen, split = _chosen(store, root, rows)
    codes = np.array([common.index(name) if name in common else -1 for name in store.classes])[store.labels[chosen]]
    kept = chosen[codes >= 0]
    if not len(kept):
        raise UserError(f"data.root={root}: none of its rows has one of the common classes {', '.join(common)}.")
    form = ImageForm.of_shape(run.summary["data"].get("image", FER2013_FORM.shape))
    table, judged, seen = _joined(run, store, kept, codes[codes >= 0], form, common)
    left_out = {
        name: int((store.labels[chosen] == code).sum()) for code, name in enumerate(store.classes) if name not in common
    }
    facts = {
        "split": {"name": split, "checksum": store.checksum},
        "data": {"name": store.name, "checksum": store.checksum, "ferplus": store.votes is not None, "root": str(root)},
        "other": {
            "trained_on": {"data": run.summary["data"]["checksum"], "split": run.summary["split"]["checksum"]},
            "common": list(common),
            "left_out": left_out,
            "without_rows": [name for name in of_run if name not in store.classes],
            "form": form.description,
            "stored_form": store.form.description,
            "copies_known": seen,
        },
    }
    columns = np.array([of_run.index(name) for name in common])
    notes = [*_notes(facts["other"], len(kept)), *notes_on_sources(store.source[kept])]
    return OtherRows(table, judged, kept, columns, facts, notes)


def _chosen(store: FaceTable, root: str, rows: str) -> tuple[np.ndarray, str]:
    """Return the row numbers to evaluate and the name of their split."""
    wanted = USAGES[2 if rows == "test" else 1]
    chosen = np.flatnonzero(store.usage == USAGES.index(wanted))
    if len(chosen):
        return chosen, "official"
    if rows == "val":
        raise UserError(f"data.root={root}: the store has no {wanted} rows. Use rows=test.")
    return np.arange(len(store)), ALL_ROWS


def _joined(
    run: TrainedRun, store: FaceTable, rows: np.ndarray, labels: np.ndarray, form: ImageForm, classes: tuple[str, ...]
) -> tuple[FaceTable, JudgedRows, bool]:
    """Return a table of the run's own rows and the other rows, the latter judged, and whether the run's rows are here.

    The run's rows are only compared with the others, to find copies.
    """
    pixels, has_own = form.fit_all(store.pixels[rows]), True
    try:
        table, split = run.faces()
        own = table.pixels[np.concatenate([split.train, split.val])]
    except UserError:
        own, has_own = np.empty((0, *form.shape), np.uint8), False
    first = len(own)
    votes = None
    if store.votes is not None:
        votes = np.concatenate([np.zeros((first, store.votes.shape[1]), np.uint8), store.votes[rows]])
    joined = FaceTable(
        name=store.name,
        pixels=np.concatenate([own, pixels]),
        labels=np.concatenate([np.zeros(first, np.int64), labels]),
        usage=np.zeros(first + len(rows), np.uint8),
        source=np.arange(first + len(rows)).astype(str),
        classes=classes,
        checksum=store.checksum,
        votes=votes,
    )
    return joined, judge_rows(joined, np.arange(first, len(joined)), np.arange(first)), has_own


def _notes(other: dict[str, Any], count: int) -> list[str]:
    notes = [f"{count:,} rows of the common classes {', '.join(other['common'])}; the network chooses among these"]
    if other["left_out"]:
        classes = ", ".join(f"{rows:,} of {name}" for name, rows in other["left_out"].items())
        notes.append(f"rows left out, because the run does not have their class: {classes}")
    if other["without_rows"]:
        notes.append(f"classes of the run without rows here: {', '.join(other['without_rows'])}")
    if other["form"] != other["stored_form"]:
        notes.append(f"the faces of {other['stored_form']} pixels were converted to {other['form']}, the run's form")
    if not other["copies_known"]:
        notes.append("the faces of the run's training are missing, so copies of them among these rows are not found")
    return notes
