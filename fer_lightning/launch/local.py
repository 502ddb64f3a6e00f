"""Launcher that starts the runs of a sweep on this machine, each in a separate process, several at a time.

Separate processes protect the other runs if one fails, keeps memory or is killed. A run also starts in the same state
in a sweep as it does without one.
"""

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from fer_lightning.errors import UserError
from fer_lightning.launch.plan import (
    Job,
    conclude,
    explain_interruption,
    plan,
    require_whole,
    sweep_folder,
    titles,
    write_plan,
)
from fer_lightning.machine import cpu_cores
from fer_lightning.runs.interruption import SWEEP
from fer_lightning.runs.run_folder import RunFolder, command_line, program
from fer_lightning.terminal import plain_console

LOOK_SECONDS = 0.5
OUT_OF_MEMORY = "OutOfMemoryError"


class LocalLauncher(Launcher):
    """Launcher for this machine.

    jobs     number of runs at the same time; a run that runs out of GPU memory is repeated later without other runs
    threads  CPU threads of each run whose own `threads` is null; None: the number of cores divided by `jobs`
    gpus     indices of the GPUs that the runs share, one GPU per run; None: each run sees all GPUs
    """

    is_part = False  # True: a sweeper launches some runs of a search

    def __init__(self, jobs: int = 1, threads: int | None = None, gpus: list[int] | None = None) -> None:
        self.jobs, self.threads, self.gpus = jobs, threads, gpus

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        require_whole(1, launcher__jobs=self.jobs, launcher__threads=self.threads)
        if self.gpus is not None and not (isinstance(self.gpus, Sequence) and self.gpus):
            raise UserError(f"hydra.launcher.gpus={self.gpus}: must be a list of GPU indices, such as [0,1], or null.")
        for index in self.gpus or ():
            require_whole(0, launcher__gpus=index)
        self.loader, self.config = hydra_context.config_loader, config
        sweep_folder.begin(config)

    @property
    def at_once(self) -> int:
        return self.jobs

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> list[JobReturn]:
        jobs = plan(self.loader, self.config, job_overrides)
        folders = write_plan(jobs, command_line())
        todo = [job for job in jobs if not job.is_done()]
        print(f"{len(jobs)} runs, {len(jobs) - len(todo)} of them done, in {', '.join(map(str, folders))}")
        with explain_interruption(jobs), Pool(self, todo, titles(jobs)) as pool:
            again = pool.run(todo, at_once=self.jobs)
            pool.run(again, at_once=1)
        return conclude(jobs, folders, is_part=self.is_part)

    def environment(self, slot: int) -> dict[str, str]:
        """Return the environment of the run in one of the `jobs` slots."""
        threads = str(self.threads or max(1, cpu_cores() // self.jobs))
        own = {"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads, SWEEP: str(os.getpid())}
        if self.gpus:
            own["CUDA_VISIBLE_DEVICES"] = str(self.gpus[slot % len(self.gpus)])
        return os.environ | own


@dataclass
class Running:
    job: Job
    process: subprocess.Popen
    slot: int
    log: Path
    began: float = field(default_factory=time.monotonic)


class Pool:
    """Running processes of a sweep, with a progress bar; the context manager terminates them on an exception."""

    def __init__(self, launcher: LocalLauncher, jobs: Sequence[Job], names: dict[Path, str]) -> None:
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )
        from rich.table import Column

        self.launcher, self.names, self.running = launcher, names, []
        columns = (
            TextColumn("{task.description}", markup=False, table_column=Column(overflow="fold")),  # wraps if it is long
            BarColumn(bar_width=12),
            MofNCompleteColumn(),
            TextColumn("{task.fields[unit]}"),
        )
        self.bar = Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=plain_console())
        self.sweep = self.bar.add_task("sweep", total=len(jobs), unit="runs")
        self.epochs = {}

    def __enter__(self) -> "Pool":
        self.bar.start()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, _: object) -> None:
        self.bar.stop()
        for run in self.running:
            run.process.terminate()
        for run in self.running:
            run.process.wait()

    def run(self, jobs: list[Job], at_once: int) -> list[Job]:
        """Run all jobs, `at_once` at a time, and return those that ran out of GPU memory while others were running."""
        waiting, again = list(jobs), []
        while waiting or self.running:
            while waiting and len(self.running) < at_once:
                self._start(waiting.pop(0))
            time.sleep(LOOK_SECONDS)
            for run in [run for run in self.running if run.process.poll() is not None]:
                self.running.remove(run)
                self.bar.remove_task(self.epochs.pop(run.job.folder))
                if at_once > 1 and OUT_OF_MEMORY in str((run.job.summary() or {}).get("error")):
                    again.append(run.job)
                    self.bar.print(
                        f"{self.names[run.job.folder]}: not enough GPU memory for several runs; repeated later"
                    )
                else:
                    self.bar.print(_ending(run, self.names[run.job.folder]), highlight=False, soft_wrap=True)
                    self.bar.advance(self.sweep)
            self._show_epochs()
        return again

    def _start(self, job: Job) -> None:
        slot = min(set(range(len(self.running) + 1)) - {run.slot for run in self.running})
        log = job.folder.parent / "logs" / f"{job.folder.name}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, *program(), *job.overrides, "hydra.mode=RUN"]
        with open(log, "w") as output:
            process = subprocess.Popen(
                command,
                env=self.launcher.environment(slot),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # only this process receives Ctrl-C; it then ends the others
            )
        self.running.append(Running(job, process, slot, log))
        self.epochs[job.folder] = self.bar.add_task(f"  {self.names[job.folder]}", total=job.epochs, unit="epochs")

    def _show_epochs(self) -> None:
        for run in self.running:
            self.bar.update(self.epochs[run.job.folder], completed=_epochs_done(run.job.folder))


def _ending(run: Running, name: str) -> str:
    took = time.strftime("%H:%M:%S", time.gmtime(time.monotonic() - run.began))
    if run.job.is_done():
        return f"{name}: {RunFolder(run.job.folder).headline()} ({took})"
    status = run.process.returncode
    how = f"status {status}" if status >= 0 else signal.Signals(-status).name
    last = run.log.read_text(errors="replace").strip().splitlines()[-1:]
    return f"{name}: ended with {how} after {took}; {shlex.quote(str(run.log))} ends: {''.join(last)}"


def _epochs_done(folder: Path) -> int:
    try:
        return max(0, (folder / "metrics.csv").read_bytes().count(b"\n") - 1)
    except FileNotFoundError:
        return 0
