"""The runs below a folder as a report needs them, whatever state they are in. Imports no torch.

What a sweep planned stands in its sweep.json; what became of it in the run folders. Missing, truncated, running,
interrupted and failed runs are told in words and never an error.
"""

import csv
import hashlib
import json
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
from fer_lightning.runs.run_folder import named_parts

PLAN = "sweep.json"
MARKS = ("summary.json", "config.yaml", "metrics.csv")  # a folder with one of them is a run's
DEFAULT = "default"  # the name of the arm that overrides nothing
LONGEST_ERROR = 300


@dataclass(frozen=True)
class TestRows:
    """What is the same for every network tested on the same N rows; arrays as in `Predictions`."""

    key: str  # a digest of rows, images, labels and classes
    images: np.ndarray
    labels: np.ndarray
    unseen: np.ndarray
    clean: np.ndarray
    plurality: np.ndarray | None
    classes: tuple[str, ...]


@dataclass(frozen=True)
class Answers:
    """What one network said about N test rows.

    predicted   int8 (N,), class indices
    confidence  float32 (N,), the probability of the predicted class
    likelihood  float32 (N,), the probability of the label
    """

    predicted: np.ndarray
    confidence: np.ndarray
    likelihood: np.ndarray


@dataclass(frozen=True)
class Run:
    """One run folder, or a job that has none yet.

    arm      what tells its method from the sweep's others
    status   `done` where there is everything that a comparison needs; else `failed`, `interrupted`, `running`,
             `damaged`, `missing`, or `other`: done, but not comparable with most of the others
    reason   why it is not `done`, in words
    way_on   the command that would mend it; "" where none would
    history  float (epochs,) of each column of metrics.csv
    """

    job: str
    folder: Path
    arm: str
    seed: int | None
    status: str
    reason: str = ""
    way_on: str = ""
    overrides: tuple[str, ...] = ()
    summary: dict[str, Any] = field(default_factory=dict)
    history: dict[str, np.ndarray] = field(default_factory=dict)
    rows: TestRows | None = None
    answers: Answers | None = None

    @property
    def is_done(self) -> bool:
        return self.status == "done"


@dataclass(frozen=True)
class Sweep:
    """All runs below a folder, in the order of the sweep; `command` starts what is missing, "" where it is unknown."""

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
        """In the order of the sweep, those without a finished run too."""
        return list(dict.fromkeys(run.arm for run in self.runs))


def read_sweep(folder: Path) -> Sweep:
    """Raises UserError where there is no run below `folder` and no plan of any."""
    if not folder.is_dir():
        raise UserError(f"DIR={folder}: no such folder. Name a sweep's folder, as outputs/overfitting-cpu.")
    plans = {path.parent: _read_json(path) or {} for path in _found(folder, (PLAN,))}
    folders = sorted({path.parent for path in _found(folder, MARKS)})
    shared: dict[str, TestRows] = {}
    runs = [*_planned(folder, plans, shared), *_unplanned(folder, plans, folders, shared)]
    if not runs:
        raise UserError(
            f"DIR={folder}: no run in it or below it. Runs stand in outputs/NAME/JOB; start some: "
            "python train.py sweep=overfitting scale=cpu"
        )
    commands = [plan["command"] for plan in plans.values() if plan.get("command")]
    name = folder.resolve().name
    return Sweep(folder, name, commands[0] if len(commands) == 1 else "", _compared(_told_apart(folder, runs)))


def _found(folder: Path, names: tuple[str, ...]) -> Iterator[Path]:
    """Files of these names, folders that were set aside (`NAME~1`), hidden ones and parts of runs left out."""
    for where, inner, files in os.walk(folder):
        yield from (Path(where, name) for name in names if name in files)
        is_run = any(mark in files for mark in MARKS)
        inner[:] = sorted(name for name in inner if not (is_run or name.startswith(".") or re.search(r"~\d+$", name)))


def _planned(folder: Path, plans: dict[Path, dict[str, Any]], shared: dict[str, TestRows]) -> Iterator[Run]:
    for parent, plan in sorted(plans.items()):
        for job in plan.get("jobs", []):
            run = _read_run(folder, parent / job["job"], plan.get("command", ""), shared)
            overrides = tuple(map(str, job.get("overrides", [])))
            yield replace(run, arm=_arm(folder, parent, job["arm"]), seed=job["seed"], overrides=overrides)


def _unplanned(
    folder: Path, plans: dict[Path, dict[str, Any]], folders: Iterable[Path], shared: dict[str, TestRows]
) -> list[Run]:
    """Runs that no plan names, the earliest first."""
    known = {parent / job["job"] for parent, plan in plans.items() for job in plan.get("jobs", [])}
    runs = [_read_run(folder, path, "", shared) for path in folders if path not in known]
    return sorted(runs, key=lambda run: (run.summary.get("started") or "~", run.job))


def _told_apart(base: Path, runs: list[Run]) -> list[Run]:
    """The same runs, the arms of each folder named by the overrides that they do not all share.

    A lone arm keeps its name, as does one whose overrides are not known; all do where two would be named alike.
    """
    by_folder: dict[Path, dict[str, list[str]]] = {}
    for run in runs:
        arms = by_folder.setdefault(run.folder.parent, {})
        arms[run.arm] = arms.get(run.arm) or named_parts(list(run.overrides))
    names: dict[tuple[Path, str], str] = {}
    for parent, arms in by_folder.items():
        known = {arm: parts for arm, parts in arms.items() if parts or arm == _arm(base, parent, "")}
        if len(known) < 2:
            continue
        common = set.intersection(*map(set, known.values()))
        shown = {arm: arm for arm in arms}
        for arm, parts in known.items():
            shown[arm] = _arm(base, parent, " ".join(part for part in parts if part not in common))
        if len(set(shown.values())) == len(shown):
            names |= {(parent, arm): name for arm, name in shown.items()}
    return [replace(run, arm=names.get((run.folder.parent, run.arm), run.arm)) for run in runs]


def _read_run(base: Path, folder: Path, sweep_command: str, shared: dict[str, TestRows]) -> Run:
    """`shared` has the test rows read so far, by key: runs tested on the same ones hold them once."""
    summary = _read_json(folder / "summary.json")
    known = summary or {}
    arm, seed = _arm_and_seed(folder.name)
    run = Run(
        job=str(folder.relative_to(base)) if folder != base else folder.resolve().name,
        folder=folder,
        arm=_arm(base, folder.parent, known.get("arm", arm)),
        seed=known.get("seed", seed),
        status=known.get("status", "damaged"),
        way_on=sweep_command or known.get("command", "") or _repeating(folder / "overrides.txt"),
        overrides=tuple(map(str, known.get("overrides", []))),
        summary=known,
        history=_history(folder / "metrics.csv"),
    )
    if run.is_done:
        return _with_answers(run, shared)
    if not folder.exists():
        return replace(run, status="missing", reason="not started")
    return replace(run, reason=_reason(run, summary))


def _with_answers(run: Run, shared: dict[str, TestRows]) -> Run:
    try:
        predictions = _predictions(run.folder)
    except UserError as error:
        reason = str(error).replace(f"{run.folder}/", "").removesuffix(DAMAGED)
        way_on = f"python -m fer_lightning.evaluate run={run.folder}"
        return replace(run, status="damaged", reason=_short(reason), way_on=way_on)
    if not len(predictions):
        return replace(run, status="damaged", reason="predictions.csv has no rows")
    predicted = predictions.predicted
    each = np.arange(len(predictions))
    answers = Answers(
        predicted.astype(np.int8),
        predictions.probabilities[each, predicted],
        predictions.probabilities[each, predictions.labels],
    )
    rows = _test_rows(predictions)
    return replace(run, rows=shared.setdefault(rows.key, rows), answers=answers)


def _predictions(folder: Path) -> Predictions:
    """The run's own, or what an evaluation without test-time augmentation wrote since."""
    try:
        return read_predictions(folder / "predictions.csv")
    except UserError:
        again = folder / "evaluation" / "none" / "predictions.csv"
        if not again.exists():
            raise
        return read_predictions(again)


def _test_rows(predictions: Predictions) -> TestRows:
    parts = (predictions.rows.tobytes(), predictions.labels.tobytes(), "".join(predictions.images).encode())
    digest = hashlib.sha256(",".join(predictions.classes).encode())
    for part in parts:
        digest.update(part)
    return TestRows(
        digest.hexdigest(),
        predictions.images,
        predictions.labels,
        predictions.unseen,
        predictions.clean,
        predictions.plurality,
        predictions.classes,
    )


def _compared(runs: list[Run]) -> list[Run]:
    """The same runs; finished ones that are not like most are marked as such, with the reason."""
    kinds = Counter(_kind(run) for run in runs if run.is_done)
    if not kinds:
        return runs
    usual, _ = kinds.most_common(1)[0]
    seen: set[tuple[str, int | None]] = set()
    marked = []
    for run in runs:
        if run.is_done and (difference := _difference(run, usual, seen)):
            run = replace(run, status="other", reason=difference, way_on="", rows=None, answers=None)
        marked.append(run)
    return marked


def _kind(run: Run) -> tuple[str, tuple[str, ...], str]:
    """Runs of one kind learnt the same rows' split, know the same classes and were tested on the same rows."""
    return (run.summary.get("split") or {}).get("checksum", ""), run.rows.classes, run.rows.key


def _difference(run: Run, usual: tuple[str, tuple[str, ...], str], seen: set[tuple[str, int | None]]) -> str:
    split, classes, key = _kind(run)
    if classes != usual[1]:
        return f"other classes than most runs: {', '.join(classes)}"
    if split != usual[0]:
        return f"another split than most runs: {(run.summary.get('split') or {}).get('name', '?')}, {split[:10]}"
    if key != usual[2]:
        return f"other test rows than most runs: {len(run.rows.labels):,}"
    if (run.arm, run.seed) in seen:
        return "the same arm and seed as an earlier run"
    seen.add((run.arm, run.seed))
    return ""


def _arm_and_seed(job: str) -> tuple[str, int | None]:
    """`stn-affine_seed-1` is the arm `stn-affine` with seed 1."""
    match = re.fullmatch(r"(?:(.*)_)?seed-(\d+)", job)
    return (match[1] or "", int(match[2])) if match else (job, None)


def _arm(base: Path, parent: Path, arm: str) -> str:
    """Below a folder of several sweeps an arm's name begins with its own sweep's."""
    inner = parent.relative_to(base) if parent.is_relative_to(base) else Path()
    return str(inner / arm).removesuffix("/.") if inner.parts else arm or DEFAULT


def _reason(run: Run, summary: dict[str, Any] | None) -> str:
    epochs = len(run.history.get("epoch", ()))
    if summary is None:
        path = run.folder / "summary.json"
        return "its summary.json cannot be read" if path.exists() else "it has no summary.json: it died as it began"
    if run.status == "failed":
        return _short(run.summary.get("error", "no error was recorded"))
    after = f"after {epochs} epoch{'' if epochs == 1 else 's'}"
    if run.status == "running":
        return f"{after}; last sign of life {_ago(run.folder)}"
    return after


def _ago(folder: Path) -> str:
    """How long ago a file of a run was last written."""
    files = [folder / name for name in (*MARKS, "train.log", "checkpoints/last.ckpt")]
    minutes = (time.time() - max(path.stat().st_mtime for path in files if path.exists())) / 60
    return f"{minutes:.0f} min ago" if minutes < 120 else f"{minutes / 60:.0f} h ago"


def _repeating(path: Path) -> str:
    """The last line of overrides.txt: the command that repeats the run."""
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError):
        return ""
    return next((line for line in reversed(lines) if line.startswith("python ")), "")


def _read_json(path: Path) -> dict[str, Any] | None:
    """None where it is no JSON object that can be read."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def _history(path: Path) -> dict[str, np.ndarray]:
    """The columns of metrics.csv, up to the first line that is not whole; {} where there is none."""
    try:
        with open(path, newline="", encoding="utf-8") as file:
            header, *lines = list(csv.reader(file)) or [[]]
    except (OSError, UnicodeDecodeError, csv.Error):
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
