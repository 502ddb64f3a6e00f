"""Reader of all runs below a folder, for a report. This module does not import torch.

The plan of a sweep is in its sweep.json, and the results are in the run folders. Missing, truncated, running,
interrupted and failed runs are listed with a reason and never raise an error.
"""

import csv
import hashlib
import io
import math
import os
import re
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from fer_lightning.errors import UserError
from fer_lightning.evaluation.predictions import DAMAGED, Predictions, read_predictions
from fer_lightning.files import no_folder, read_text
from fer_lightning.runs.run_folder import RunFolder, named_parts
from fer_lightning.runs.sweep_file import NAME as PLAN
from fer_lightning.runs.sweep_file import read_plan
from fer_lightning.wording import typed

MARKS = ("summary.json", "config.yaml", "metrics.csv")  # a folder with one of these files is a run folder
DEFAULT = "default"  # the name of the arm without overrides
LONGEST_ERROR = 300


@dataclass(frozen=True)
class SharedTestRows:
    """The N test rows of one or more networks; the arrays are as in `Predictions`."""

    key: str  # a digest of rows, images, labels and classes
    images: np.ndarray
    labels: np.ndarray
    unseen: np.ndarray
    clean: np.ndarray
    plurality: np.ndarray | None
    classes: tuple[str, ...]


@dataclass(frozen=True)
class Answers:
    """Predictions of one network for N test rows.

    predicted   int8 (N,), class indices
    confidence  float32 (N,), the probability of the predicted class
    likelihood  float32 (N,), the probability of the label
    """

    predicted: np.ndarray
    confidence: np.ndarray
    likelihood: np.ndarray


@dataclass(frozen=True)
class Run:
    """One run folder, or a planned run without a folder.

    arm      name of its method within the sweep
    status   `done` if all data for a comparison are there; else `failed`, `interrupted`, `running`, `damaged`,
             `missing`, or `other`: done, but not comparable with most other runs
    reason   why it is not `done`, as a phrase
    remedy   the command that fixes it; "" if no command does
    history  float (epochs,) of each column of metrics.csv
    """

    job: str
    folder: Path
    arm: str
    seed: int | None
    status: str
    reason: str = ""
    remedy: str = ""
    overrides: tuple[str, ...] = ()
    summary: dict[str, Any] = field(default_factory=dict)
    history: dict[str, np.ndarray] = field(default_factory=dict)
    rows: SharedTestRows | None = None
    answers: Answers | None = None

    @property
    def is_done(self) -> bool:
        return self.status == "done"


@dataclass(frozen=True)
class Sweep:
    """All runs below a folder, in the order of the sweep; `command` starts the missing runs, "" if it is unknown."""

    folder: Path
    name: str
    command: str
    runs: list[Run]

    @property
    def done(self) -> list[Run]:
        return [run for run in self.runs if run.is_done]

    @property
    def others(self) -> list[Run]:
        return [run for run in self.runs if not run.is_done]

    @property
    def arms(self) -> list[str]:
        """Return all arms in the order of the sweep, including those without a finished run."""
        return list(dict.fromkeys(run.arm for run in self.runs))


def read_sweep(folder: Path) -> Sweep:
    """Return all runs below `folder`. Raise UserError if it has neither a run nor a plan of runs."""
    if not folder.is_dir():
        raise UserError(
            f"sweep={folder}: {no_folder(folder)}. Give a sweep's folder, for example outputs/overfitting-small."
        )
    plans = {path.parent: read_plan(path.parent) for path in _find_files(folder, (PLAN,))}
    folders = sorted({path.parent for path in _find_files(folder, MARKS)})
    shared: dict[str, SharedTestRows] = {}
    runs = [*_planned(folder, plans, shared), *_unplanned(folder, plans, folders, shared)]
    if not runs:
        raise UserError(
            f"sweep={folder}: this folder has no run in it or below it. Runs are in outputs/NAME/RUN. "
            "Start some: python train.py sweep=overfitting scale=cpu"
        )
    commands = [plan["command"] for plan in plans.values() if plan.get("command")]
    name = folder.resolve().name
    return Sweep(folder, name, commands[0] if len(commands) == 1 else "", _compared(_shorten_arm_names(folder, runs)))


def _find_files(folder: Path, names: tuple[str, ...]) -> Iterator[Path]:
    """Yield the files with these names, but not from renamed (`NAME~1`) or hidden folders, or from inside a run."""
    for where, inner, files in os.walk(folder):
        yield from (Path(where, name) for name in names if name in files)
        is_run = any(mark in files for mark in MARKS)
        inner[:] = sorted(name for name in inner if not (is_run or name.startswith(".") or re.search(r"~\d+$", name)))


def _planned(folder: Path, plans: dict[Path, dict[str, Any]], shared: dict[str, SharedTestRows]) -> Iterator[Run]:
    for parent, plan in sorted(plans.items()):
        for job in plan.get("jobs", []):
            run = _read_run(folder, parent / job["job"], plan.get("command", ""), shared)
            overrides = tuple(map(str, job.get("overrides", [])))
            yield replace(run, arm=_arm(folder, parent, job["arm"]), seed=job["seed"], overrides=overrides)


def _unplanned(
    folder: Path, plans: dict[Path, dict[str, Any]], folders: Iterable[Path], shared: dict[str, SharedTestRows]
) -> list[Run]:
    """Return the runs that are not in any plan, the earliest first."""
    planned = {parent / job["job"] for parent, plan in plans.items() for job in plan.get("jobs", [])}
    runs = [_read_run(folder, path, "", shared) for path in folders if path not in planned]
    return sorted(runs, key=lambda run: (run.summary.get("started") or "~", run.job))


def _shorten_arm_names(base: Path, runs: list[Run]) -> list[Run]:
    """Return the same runs with shorter arm names: the overrides that all arms of a folder share are removed.

    An arm keeps its name if it is the only one or if its overrides are unknown. All arms keep their names if two
    of them would get the same name.
    """
    by_folder: dict[Path, dict[str, list[str]]] = {}
    for run in runs:
        arms = by_folder.setdefault(run.folder.parent, {})
        arms[run.arm] = arms.get(run.arm) or named_parts(list(run.overrides))
    names: dict[tuple[Path, str], str] = {}
    for parent, arms in by_folder.items():
        described = {arm: parts for arm, parts in arms.items() if parts or arm == _arm(base, parent, "")}
        if len(described) < 2:
            continue
        common = set.intersection(*map(set, described.values()))
        shown = {arm: arm for arm in arms}
        for arm, parts in described.items():
            shown[arm] = _arm(base, parent, " ".join(part for part in parts if part not in common))
        if len(set(shown.values())) == len(shown):
            names |= {(parent, arm): name for arm, name in shown.items()}
    return [replace(run, arm=names.get((run.folder.parent, run.arm), run.arm)) for run in runs]


def _read_run(base: Path, folder: Path, sweep_command: str, shared: dict[str, SharedTestRows]) -> Run:
    """Return the run of a folder.

    shared  test rows that were read so far, by key; runs with the same test rows share one object
    """
    summary = _summary(folder)
    facts = summary or {}
    arm, seed = _arm_and_seed(folder.name)
    run = Run(
        job=str(folder.relative_to(base)) if folder != base else folder.resolve().name,
        folder=folder,
        arm=_arm(base, folder.parent, facts.get("arm", arm)),
        seed=facts.get("seed", seed),
        status=facts.get("status", "damaged"),
        remedy=sweep_command or facts.get("command", "") or _repeating(folder / "overrides.txt"),
        overrides=tuple(map(str, facts.get("overrides", []))),
        summary=facts,
        history=_history(folder / "metrics.csv"),
    )
    if run.is_done:
        return _with_answers(run, shared)
    if not folder.exists():
        return replace(run, status="missing", reason="not started")
    return replace(run, reason=_reason(run, summary))


def _with_answers(run: Run, shared: dict[str, SharedTestRows]) -> Run:
    try:
        predictions = _predictions(run.folder)
    except UserError as error:
        reason = str(error).replace(f"{run.folder}/", "").removesuffix(DAMAGED)
        return replace(run, status="damaged", reason=_short(reason), remedy=_evaluate(run))
    if not len(predictions):
        return replace(run, status="damaged", reason="predictions.csv has no rows")
    rows = run.summary.get("test", {}).get("all", {}).get("rows", len(predictions))
    if rows != len(predictions):
        reason = f"predictions.csv has {len(predictions):,} rows, and summary.json has {rows:,}"
        return replace(run, status="damaged", reason=reason, remedy=_evaluate(run))
    predicted = predictions.predicted
    each = np.arange(len(predictions))
    answers = Answers(
        predicted.astype(np.int8),
        predictions.probabilities[each, predicted],
        predictions.probabilities[each, predictions.labels],
    )
    rows = _test_rows(predictions)
    return replace(run, rows=shared.setdefault(rows.key, rows), answers=answers)


def _evaluate(run: Run) -> str:
    return f"python -m fer_lightning.evaluate {typed('run', run.folder)}"


def _predictions(folder: Path) -> Predictions:
    """Return the run's own predictions, or those of a later evaluation without test-time augmentation."""
    try:
        return read_predictions(folder / "predictions.csv")
    except UserError:
        again = folder / "evaluation" / "none" / "predictions.csv"
        if not again.exists():
            raise
        return read_predictions(again)


def _test_rows(predictions: Predictions) -> SharedTestRows:
    parts = (predictions.rows.tobytes(), predictions.labels.tobytes(), "".join(predictions.images).encode())
    digest = hashlib.sha256(",".join(predictions.classes).encode())
    for part in parts:
        digest.update(part)
    return SharedTestRows(
        digest.hexdigest(),
        predictions.images,
        predictions.labels,
        predictions.unseen,
        predictions.clean,
        predictions.plurality,
        predictions.classes,
    )


def _compared(runs: list[Run]) -> list[Run]:
    """Return the same runs; a finished run that is not comparable with most others gets the status `other`."""
    kinds = Counter(_kind(run) for run in runs if run.is_done)
    if not kinds:
        return runs
    usual, _ = kinds.most_common(1)[0]
    seen: set[tuple[str, int | None]] = set()
    marked = []
    for run in runs:
        if run.is_done and (difference := _difference(run, usual, seen)):
            run = replace(run, status="other", reason=difference, remedy="", rows=None, answers=None)
        marked.append(run)
    return marked


def _kind(run: Run) -> tuple[str, tuple[str, ...], str]:
    """Return a key of comparable runs: checksum of the split, classes, and key of the test rows."""
    return (run.summary.get("split") or {}).get("checksum", ""), run.rows.classes, run.rows.key


def _difference(run: Run, usual: tuple[str, tuple[str, ...], str], seen: set[tuple[str, int | None]]) -> str:
    split, classes, key = _kind(run)
    if classes != usual[1]:
        return f"its classes differ from those of most runs: {', '.join(classes)}"
    if split != usual[0]:
        name = (run.summary.get("split") or {}).get("name", "?")
        return f"its split differs from that of most runs: {name}, checksum {split[:10]}"
    if key != usual[2]:
        return f"its test rows differ from those of most runs: {len(run.rows.labels):,} rows"
    if (run.arm, run.seed) in seen:
        return "it has the same arm and seed as an earlier run"
    seen.add((run.arm, run.seed))
    return ""


def _arm_and_seed(job: str) -> tuple[str, int | None]:
    """Return arm and seed of a folder name: `stn-affine_seed-1` is the arm `stn-affine` with seed 1."""
    match = re.fullmatch(r"(?:(.*)_)?seed-(\d+)", job)
    return (match[1] or "", int(match[2])) if match else (job, None)


def _arm(base: Path, parent: Path, arm: str) -> str:
    """Return the name of an arm; in a folder of several sweeps it begins with the name of its own sweep."""
    inner = parent.relative_to(base) if parent.is_relative_to(base) else Path()
    return str(inner / arm).removesuffix("/.") if inner.parts else arm or DEFAULT


def _reason(run: Run, summary: dict[str, Any] | None) -> str:
    epochs = len(run.history.get("epoch", ()))
    if summary is None:
        path = run.folder / "summary.json"
        return "its summary.json cannot be read" if path.exists() else "summary.json is missing: it ended at its start"
    if run.status == "failed":
        return _short(run.summary.get("error", "no error was recorded"))
    after = f"after {epochs} epoch{'' if epochs == 1 else 's'}"
    if run.status == "running":
        return f"{after}; last file written {_ago(run.folder)}"
    return after


def _ago(folder: Path) -> str:
    """Return how long ago a file of the run was last written, for example `5 min ago`."""
    files = [folder / name for name in (*MARKS, "train.log", "checkpoints/last.ckpt")]
    minutes = (time.time() - max(path.stat().st_mtime for path in files if path.exists())) / 60
    return f"{minutes:.0f} min ago" if minutes < 120 else f"{minutes / 60:.0f} h ago"


def _repeating(path: Path) -> str:
    """Return the last line of overrides.txt: the command that repeats the run."""
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError):
        return ""
    return next((line for line in reversed(lines) if line.startswith("python ")), "")


def _summary(folder: Path) -> dict[str, Any] | None:
    """Return the summary of a run; None if it is missing or damaged."""
    try:
        return RunFolder(folder).summary()
    except (OSError, UserError):
        return None


def _history(path: Path) -> dict[str, np.ndarray]:
    """Return the columns of metrics.csv up to the first incomplete line; {} without a complete line."""
    try:
        header, *lines = list(csv.reader(io.StringIO(read_text(path)))) or [[]]
    except (OSError, ValueError, csv.Error):
        return {}
    rows = []
    for line in lines:
        values = [_number(value) for value in line]
        if len(values) != len(header) or None in values:
            break
        rows.append(values)
    if not rows:
        return {}
    return dict(zip(header, np.array(rows, float).T, strict=True))


def _number(text: str) -> float | None:
    try:
        return float(text) if text else math.nan
    except ValueError:
        return None


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= LONGEST_ERROR else text[:LONGEST_ERROR] + " …"
