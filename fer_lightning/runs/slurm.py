"""SLURM job and job step in which this process runs. This module does not import torch."""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

from fer_lightning.errors import UserError
from fer_lightning.files import write_atomically

MARK = ".step"  # file in a run's folder that names the job step whose first task has locked the folder
REQUEUE_ME = 128 + signal.SIGUSR1  # exit status of a run that has saved a checkpoint and asks to be requeued
PATIENCE = 600.0  # seconds between the starts of a step's first and last task, at most


def in_slurm() -> bool:
    return "SLURM_JOB_ID" in os.environ


def outside_of_a_job() -> dict[str, str]:
    """Return the environment without the variables of this SLURM job, so that a submitted job does not inherit them."""
    about_slurm = ("SLURM_CONF", "SLURM_CLUSTERS")
    return {key: value for key, value in os.environ.items() if not key.startswith("SLURM_") or key in about_slurm}


def facts() -> dict[str, str | int] | None:
    """Return the job's id (as scancel expects it), its nodes and its number of restarts; None outside SLURM."""
    if not in_slurm():
        return None
    restarts = int(os.environ.get("SLURM_RESTART_COUNT", 0))
    return {"job": _job(), "nodes": os.environ.get("SLURM_JOB_NODELIST", ""), "restarts": restarts}


def has_begun(summary: dict[str, Any] | None) -> bool:
    """Return True if SLURM has requeued this job, and the run of the summary was begun before that by the same job."""
    job = facts()
    return bool(job and job["restarts"] and summary and (summary.get("slurm") or {}).get("job") == job["job"])


def requeue() -> None:
    """Requeue this job, or this task of an array; SLURM then runs the same command again.

    A container has no scontrol. There, the job's script requeues the job if the exit status is REQUEUE_ME.
    """
    if shutil.which("scontrol"):
        subprocess.run(["scontrol", "requeue", _job()], check=False)


def tell_other_tasks(folder: Path) -> None:
    """Mark the folder as locked, so that the other tasks of the step resume from what it holds."""
    if _is_parallel_step():
        write_atomically(folder / MARK, _step())


def await_first_task(folder: Path) -> None:
    """Wait until the first task of the step has locked the run's folder; srun starts all tasks at the same time."""
    if not _is_parallel_step():
        return
    mark, deadline = folder / MARK, time.monotonic() + PATIENCE
    while not (mark.exists() and mark.read_text() == _step()):
        if time.monotonic() > deadline:
            raise UserError(
                f"{folder}: the first process of SLURM job {_job()} did not lock this folder within {PATIENCE:.0f} s. "
                "Do all nodes see the same folder? Choose a folder that they share with output_dir=..."
            )
        time.sleep(0.1)


def _job() -> str:
    array, task = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    return f"{array}_{task}" if array else os.environ["SLURM_JOB_ID"]


def _is_parallel_step() -> bool:
    """Return True if this process is one of several tasks that srun started."""
    return int(os.environ.get("SLURM_STEP_NUM_TASKS", 1)) > 1


def _step() -> str:
    keys = ("SLURM_JOB_ID", "SLURM_RESTART_COUNT", "SLURM_STEP_ID")
    return ".".join(os.environ.get(key, "0") for key in keys)
