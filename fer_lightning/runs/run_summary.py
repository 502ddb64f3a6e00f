"""Record of a run in summary.json: status, time, machine, history. This module does not import torch."""

import csv
import importlib.metadata
import io
import logging
import math
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from fer_lightning.errors import UserError
from fer_lightning.files import read_text, report_bad_content
from fer_lightning.machine import cpu_cores
from fer_lightning.paths import ROOT
from fer_lightning.runs import slurm
from fer_lightning.runs.processes import is_first_process
from fer_lightning.runs.run_folder import RunFolder, command_line, git_state, now
from fer_lightning.runs.run_folder import log as run_log

log = logging.getLogger("fer_lightning.file")  # only in train.log: train.py writes to the console


FACTS = ("data", "split", "commit", "dirty", "init", "parent")  # written once, when the run begins


@contextmanager
def record_summary(folder: RunFolder, summary: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Write summary.json at the start and at every end of a run: running, then done, failed or interrupted.

    A failed run's summary has the error. In a distributed run, only the first process writes.
    If the folder holds a run, nothing is written before `begin`, so that a rejected command does not change it.
    """
    if not is_first_process():
        yield summary
        return
    began = time.perf_counter()
    summary |= {
        "status": "running",
        "started": now(),
        "command": command_line(),
        **git_state(ROOT),
        **_machine(),
        "slurm": slurm.facts(),
        "earlier": _earlier(folder),
    }
    held = folder.holds_run()
    if not held:
        folder.write_summary(summary)
    try:
        yield summary
    except BaseException as error:
        if folder.begun or not held:
            summary |= _failure(error)
            with suppress(Exception):  # the run's error is raised even if a full disk prevents writing the summary
                _close(folder, summary, began)
        raise
    summary["status"] = "done"
    _close(folder, summary, began)


def begin(folder: RunFolder, summary: dict[str, Any]) -> None:
    """Write the facts of a new run, or compare them with those of the run that is resumed and keep the old ones.

    Raise UserError, before any file is written, if the data or the split is not the one that the run began with.
    """
    if not is_first_process():
        return
    earlier = (folder.summary() if folder.resumes else None) or {}
    _refuse_other_facts(folder, earlier, summary)
    if "split" in earlier:
        if earlier.get("commit") != summary.get("commit"):
            run_log.warning("warning: this run began with commit %s and resumes with another", earlier.get("commit"))
            summary["resumed_with"] = {key: summary.get(key) for key in ("commit", "dirty")}
        summary |= {key: earlier[key] for key in FACTS if key in earlier}
    folder.begin()
    slurm.tell_other_tasks(folder.path)  # again, because a run that starts over has a new folder
    folder.write_summary(summary)


def _refuse_other_facts(folder: RunFolder, earlier: dict[str, Any], summary: dict[str, Any]) -> None:
    for name in ("data", "split"):
        before, now_ = earlier.get(name), summary[name]
        if before and before["checksum"] != now_["checksum"]:
            raise UserError(
                f"{folder.path}: this run began on {name} {before['checksum'][:12]}, but the data now has "
                f"{now_['checksum'][:12]}. Use the data that it began with, or another folder with name=..., or "
                "resume=never to start over."
            )


def _failure(error: BaseException) -> dict[str, Any]:
    if not isinstance(error, Exception):
        log.info("interrupted")
        return {"status": "interrupted"}
    log.info("failed: %s: %s", type(error).__name__, error)
    return {"status": "failed", "error": f"{type(error).__name__}: {error}"}


def _close(folder: RunFolder, summary: dict[str, Any], began: float) -> None:
    summary |= {"finished": now(), "wall_seconds": round(time.perf_counter() - began, 1)}
    summary |= history(folder.path / "metrics.csv", summary["monitor"], summary["mode"])
    folder.write_summary(summary)


def _earlier(folder: RunFolder) -> list[dict[str, Any]]:
    """Return one record per earlier call of this run: its start, time, commit, hardware and how it ended."""
    before = folder.summary() if folder.resumes else None
    if before is None:
        return []
    call = before | before.get("resumed_with", {})
    keys = ("status", "started", "wall_seconds", "commit", "dirty", "hardware", "slurm")
    return [*before.get("earlier", []), {key: call.get(key) for key in keys}]


def history(path: Path, monitor: str, mode: str) -> dict[str, Any]:
    """Return the best and the last epoch of metrics.csv, their overfitting gaps, and the speed.

    The result is {} before the end of the first epoch.
    """
    if not path.exists():
        return {}
    with report_bad_content(path):
        lines = csv.DictReader(io.StringIO(read_text(path)))
        rows = [{key: float(value or "nan") for key, value in row.items()} for row in lines]
        return _epochs(rows, monitor, mode) if rows else {}


def _epochs(rows: list[dict[str, float]], monitor: str, mode: str) -> dict[str, Any]:
    pick = max if mode == "max" else min
    finite = [row for row in rows if not math.isnan(row[monitor])] or rows
    best, last = pick(finite, key=lambda row: row[monitor]), rows[-1]
    seconds = sum(row["seconds"] for row in rows)
    return {
        "epochs": len(rows),
        "best": {**best, "epoch": int(best["epoch"])},
        "last": {**last, "epoch": int(last["epoch"])},
        "best_value": best[monitor],
        "overfitting_gap": {"best": _gap(best), "last": _gap(last)},
        "seconds": round(seconds, 1),
        "images_per_second": round(sum(r["images_per_second"] * r["seconds"] for r in rows) / max(seconds, 1e-9), 1),
    }


def _gap(row: dict[str, float]) -> float:
    """Return accuracy on training rows minus accuracy on validation rows, in evaluation mode with the same weights."""
    return row["train_eval/acc"] - row["val/acc"]


def _machine() -> dict[str, Any]:
    packages = ("torch", "lightning", "timm", "numpy", "opencv-python-headless")
    return {
        "hardware": f"{_processor()}, {cpu_cores()} cores",
        "versions": {"python": platform.python_version()} | {p: importlib.metadata.version(p) for p in packages},
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
