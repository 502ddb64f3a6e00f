"""The SLURM job, and the step of it, that this process runs in. Imports no torch."""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

from fer_lightning.errors import UserError
from fer_lightning.files import write_atomically

MARK = ".step"  # in a run's folder: the step whose first task holds it
REQUEUE_ME = 128 + signal.SIGUSR1  # exit status of a run that has saved and wants to go back in line
PATIENCE = 600.0  # seconds that the tasks of a step may start apart


def in_slurm() -> bool:
    return "SLURM_JOB_ID" in os.environ


def outside_of_a_job() -> dict[str, str]:
    """The environment less what SLURM says of this job: a job that is submitted from here would take it for its own."""
    about_slurm = ("SLURM_CONF", "SLURM_CLUSTERS")
    return {key: value for key, value in os.environ.items() if not key.startswith("SLURM_") or key in about_slurm}


def facts() -> dict[str, str | int] | None:
    """For summary.json: the job's id, as scancel takes it, its nodes and how often it was requeued."""
    if not in_slurm():
        return None
    restarts = int(os.environ.get("SLURM_RESTART_COUNT", 0))
    return {"job": _job(), "nodes": os.environ.get("SLURM_JOB_NODELIST", ""), "restarts": restarts}


def requeue() -> None:
    """Put this job, or this task of an array, back in line; it then runs the same command again.

    A container has no scontrol: there the job's script does it, told by the exit status.
    """
    if shutil.which("scontrol"):
        subprocess.run(["scontrol", "requeue", _job()], check=False)


def tell_other_tasks(folder: Path) -> None:
    """From the first task of a step: the folder is claimed, and what stands in it is what the run goes on from."""
    if _is_parallel_step():
        write_atomically(folder / MARK, _step())


def await_first_task(folder: Path) -> None:
    """The other tasks, which srun starts at the same moment: wait until the first has claimed the run's folder."""
    if not _is_parallel_step():
        return
    mark, deadline = folder / MARK, time.monotonic() + PATIENCE
    while not (mark.exists() and mark.read_text() == _step()):
        if time.monotonic() > deadline:
            raise UserError(
                f"{folder} was not claimed by the first process of SLURM job {_job()} within {PATIENCE:.0f} s. "
                "Do all nodes see the same folder? Choose one that they share: output_dir=..."
            )
        time.sleep(0.1)


def _job() -> str:
    array, task = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    return f"{array}_{task}" if array else os.environ["SLURM_JOB_ID"]


def _is_parallel_step() -> bool:
    """Whether srun has started several tasks, of which this process is one."""
    return int(os.environ.get("SLURM_STEP_NUM_TASKS", 1)) > 1


def _step() -> str:
    keys = ("SLURM_JOB_ID", "SLURM_RESTART_COUNT", "SLURM_STEP_ID")
    return ".".join(os.environ.get(key, "0") for key in keys)
