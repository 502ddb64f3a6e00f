"""Real processes of train.py, started as a user starts them and ended as a user or a system ends them."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from conftest import ROOT
from smoke_fork import NO_PICTURES, Forked, import_libraries

ENDED_IN_ORDER = {signal.SIGTERM: 143, signal.SIGINT: 130}
PATIENCE = 240  # seconds; for a machine that has much else to do
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "COLUMNS": "120", "PYTHONPATH": str(ROOT)}


# What draws or remembers, so that a wrong resume would show.
EVERYTHING = (
    "sampler=weighted",
    "augment=mix",
    "ema_decay=0.9",
    "optim=adamw",
    "trainer.accumulate_grad_batches=2",
    "callbacks.best.monitor=val/ce",
    "callbacks.best.mode=min",
    "callbacks.last.every_n_steps=2",
)


def timed_run(outputs: Path, *overrides: str) -> tuple[Path, float]:
    """The folder of a run that nothing disturbed, and the seconds that it took without the import of libraries."""
    import_libraries()
    began = time.monotonic()
    finish_forked(outputs / "log", "train.py", *overrides, f"output_dir={outputs}")
    return job_folder(outputs), time.monotonic() - began


def start(log: Path, *command: str) -> subprocess.Popen:
    """The command in a process group of its own; what it prints goes to the end of `log`."""
    with open(log, "ab") as output:
        return subprocess.Popen(
            [sys.executable, *command],
            cwd=ROOT,
            env=os.environ | ENVIRONMENT,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )


def start_forked(log: Path, *command: str) -> Forked:
    """The same with imported libraries and without figures."""
    return Forked(command, log, log, ENVIRONMENT | {NO_PICTURES: "1"})


def finish_forked(log: Path, *command: str) -> None:
    status = start_forked(log, *command).wait(timeout=PATIENCE)
    assert status == 0, log.read_text()[-5000:]


def run_forked(*words: str, script: str = "train.py") -> subprocess.CompletedProcess:
    """`python SCRIPT WORDS` from its start to its end, the libraries imported beforehand."""
    with tempfile.TemporaryDirectory() as folder:
        stdout, stderr = Path(folder, "stdout"), Path(folder, "stderr")
        process = Forked((script, *words), stdout, stderr, ENVIRONMENT)
        status = process.wait(timeout=PATIENCE)
        return subprocess.CompletedProcess(words, status, stdout.read_text(), stderr.read_text())


def random_moment(rng: random.Random, process: Forked, outputs: Path, seconds: float) -> None:
    """Wait for any moment of a run that takes some `seconds`, or, as often, for one of its training."""
    deadline = time.monotonic() + seconds
    if rng.random() < 0.5:
        seen, deadline = _last_written(outputs), time.monotonic() + PATIENCE
        while _last_written(outputs) == seen and time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.02)
        deadline = time.monotonic() + 0.2 * seconds
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=rng.uniform(0, max(0.0, deadline - time.monotonic())))


def _last_written(outputs: Path) -> int:
    return max((path.stat().st_mtime_ns for path in outputs.glob("train/*/checkpoints/last.ckpt")), default=0)


def children(pid: int) -> list[int]:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def await_end(pid: int) -> None:
    """Wait until no such process runs."""
    deadline = time.monotonic() + PATIENCE
    while _runs(pid):
        assert time.monotonic() < deadline, f"process {pid} is left over"
        time.sleep(0.1)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def job_folder(outputs: Path) -> Path:
    """The one run below an output folder, except runs that resume=never has renamed with a ~."""
    (folder,) = (path for path in (outputs / "train").iterdir() if "~" not in path.name)
    return folder
