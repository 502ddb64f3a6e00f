"""Launcher that starts the runs of a sweep as jobs of a SLURM cluster: one job array, one run per task, with `srun`.

A job's script holds the command that a person would type. Nothing is pickled, so a run is the same as a single run, in
a local sweep and here. The launcher queries the queue only with `squeue`, because a cluster may have no accounting.
`squeue` names the script of each job, so a restarted launcher knows which runs are still active:

    <sweep folder>/logs/slurm-1/batch.sh      the submitted script
                               /folders.json  the run folder of each task of the array
                               /0.log ...     the output of each task
"""

import json
import shlex
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from fer_lightning.errors import UserError
from fer_lightning.files import read_text, write_atomically
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
from fer_lightning.paths import with_home
from fer_lightning.runs.run_folder import RunFolder, command_line, program
from fer_lightning.runs.slurm import REQUEUE_ME, outside_of_a_job

ENDED = {"BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED"}
ENDED |= {"REVOKED", "TIMEOUT"}
SETTLE_SECONDS = 5.0  # time that a shared file system may need to show the last files of a job
ANSWER_SECONDS = 120.0  # time that a busy SLURM controller may need to answer


class DiscoveryLauncher(Launcher):
    """Launcher for a SLURM cluster; conf/hydra/launcher/discovery.yaml describes the arguments."""

    is_part = False  # True: a sweeper launches some runs of a search

    def __init__(
        self,
        partition: str | None = None,
        account: str | None = None,
        time: str | None = None,
        nodes: int = 1,
        tasks_per_node: int = 1,
        cpus: int = 1,
        memory: str | None = None,
        gres: str | None = None,
        at_once: int | None = None,
        image: str | Path | None = None,
        binds: Sequence[str | Path] = (),
        setup: Sequence[str] = (),
        options: dict[str, Any] | None = None,
        warn_seconds: int = 120,
        poll_seconds: float = 10.0,
    ) -> None:
        self.nodes, self.tasks_per_node, self.at_once = nodes, tasks_per_node, at_once
        self.image, self.binds = image and with_home(image), list(map(with_home, binds))
        self.setup_lines, self.poll_seconds = setup, poll_seconds
        self.request = {
            "partition": partition,
            "account": account,
            "time": time,
            "nodes": nodes,
            "ntasks-per-node": tasks_per_node,
            "cpus-per-task": cpus,
            "mem": memory,
            "gres": gres,
            "signal": f"USR1@{warn_seconds}",
            **(options or {}),
        }

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        require_whole(1, launcher__nodes=self.nodes, launcher__tasks_per_node=self.tasks_per_node)
        require_whole(1, launcher__cpus=self.request["cpus-per-task"], launcher__at_once=self.at_once)
        self.loader, self.config = hydra_context.config_loader, config
        sweep_folder.begin(config)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> list[JobReturn]:
        self._refuse_what_cannot_run()
        jobs = plan(self.loader, self.config, job_overrides)
        folders = write_plan(jobs, command_line())
        todo = {job.folder.resolve(): job for job in jobs if not job.is_done()}
        waiting = {task.folder: task for task in queue() if task.folder in todo and not task.has_ended}
        missing = [job for folder, job in todo.items() if folder not in waiting]
        print(
            f"{len(jobs)} runs, {len(jobs) - len(todo)} of them done and {len(waiting)} in SLURM's queue, "
            f"in {', '.join(map(str, folders))}"
        )
        if missing:
            waiting |= {task.folder: task for task in self._submit(missing, folders[0])}
        with explain_interruption(jobs):
            self._await(waiting, todo, titles(jobs))
        return conclude(jobs, folders, is_part=self.is_part)

    def script(self, jobs: Sequence[Job], batch: Path) -> str:
        """Return the batch script of a job array with one task per job."""
        cap = f"%{self.at_once}" if self.at_once else ""
        options = {
            **{key: value for key, value in self.request.items() if value is not None},
            "job-name": self.config.name,
            "array": f"0-{len(jobs) - 1}{cap}",
            "output": batch / "%a.log",
            "open-mode": "append",
            "chdir": Path.cwd(),
        }
        python = [sys.executable]
        if self.image:
            binds = [part for bind in self.binds for part in ("--bind", bind)]
            python = ["apptainer", "exec", "--nv", *binds, self.image, "python"]
        lines = [
            "#!/bin/bash",
            *(f"#SBATCH --{key}={shlex.quote(str(value))}" for key, value in options.items()),
            "#SBATCH --requeue",
            *self.setup_lines,
            "export SRUN_CPUS_PER_TASK=$SLURM_CPUS_PER_TASK  # srun ignores SLURM_CPUS_PER_TASK since SLURM 22.05",
            "case $SLURM_ARRAY_TASK_ID in",
            *(f"  {number}) run=({shlex.join(job.overrides)}) ;;" for number, job in enumerate(jobs)),
            "esac",
            f'srun --kill-on-bad-exit=1 {shlex.join([*python, *program()])} "${{run[@]}}" hydra.mode=RUN',
        ]
        if self.image:
            lines += [
                "status=$?  # a container has no scontrol",
                f"[ $status != {REQUEUE_ME} ] || scontrol requeue ${{SLURM_ARRAY_JOB_ID}}_$SLURM_ARRAY_TASK_ID",
                "exit $status",
            ]
        return "\n".join(lines) + "\n"

    def _refuse_what_cannot_run(self) -> None:
        if not shutil.which("sbatch"):
            raise UserError(
                "hydra/launcher=discovery: this machine has no sbatch. Run the command on a login node of the "
                "cluster, or choose hydra/launcher=local."
            )
        trainer = self.config.trainer
        for key, value, given in (
            ("num_nodes", trainer.get("num_nodes", 1), ("nodes", self.nodes)),
            ("devices", trainer.get("devices"), ("tasks_per_node", self.tasks_per_node)),
        ):
            if isinstance(value, int) and value != given[1]:
                raise UserError(
                    f"trainer.{key}={value} with hydra.launcher.{given[0]}={given[1]}: the two must be equal, because "
                    "each process of a run is a task of its job. Set both to the same number."
                )

    def _submit(self, jobs: Sequence[Job], folder: Path) -> "list[Task]":
        batch = _new_folder(folder / "logs")
        run_folders = [job.folder.resolve() for job in jobs]
        write_atomically(batch / "folders.json", json.dumps([str(path) for path in run_folders], indent=2) + "\n")
        write_atomically(batch / "batch.sh", self.script(jobs, batch))
        command = ["sbatch", "--parsable", str(batch / "batch.sh")]
        answer = subprocess.run(command, env=outside_of_a_job(), capture_output=True, text=True, check=False)
        if answer.returncode:
            shutil.rmtree(batch)
            raise UserError(
                f"sbatch rejects the sweep: {answer.stderr.strip() or answer.returncode}\n"
                "Compare the output of sinfo with hydra.launcher.partition, account, gres, memory and time."
            )
        array = answer.stdout.strip().partition(";")[0]
        print(f"submitted as job {array}, {len(jobs)} tasks: {batch / 'batch.sh'}")
        return [Task(array, number, "PENDING", path, batch) for number, path in enumerate(run_folders)]

    def _await(self, waiting: "dict[Path, Task]", jobs: dict[Path, Job], names: dict[Path, str]) -> None:
        """Wait until no task is in SLURM's queue, and print the result of each task when it ends."""
        printed = None
        try:
            while waiting:
                states = Counter(task.state for task in waiting.values())
                counts = ", ".join(f"{number} {state.lower()}" for state, number in states.items())
                if counts != printed:
                    print(printed := counts, flush=True)
                time.sleep(self.poll_seconds)
                try:
                    queued = {task.name: task for task in queue()}
                except UserError as error:  # the jobs keep running while the SLURM controller restarts
                    print(f"{error} Trying again.", file=sys.stderr)
                    continue
                waiting |= {folder: queued.get(task.name, task.forgotten()) for folder, task in waiting.items()}
                ended = {jobs[folder]: waiting.pop(folder) for folder, task in [*waiting.items()] if task.has_ended}
                _let_settle(ended)
                for job, task in ended.items():
                    print(_ending(job, names[job.folder], task), flush=True)
        except BaseException:
            if waiting:
                arrays = " ".join(sorted({task.array for task in waiting.values()}))
                print(f"The jobs stay in SLURM's queue. The same command waits for them. To end them: scancel {arrays}")
            raise


@dataclass(frozen=True)
class Task:
    """A task of one of our arrays, as the queue shows it."""

    array: str
    number: int
    state: str
    folder: Path
    batch: Path

    @property
    def name(self) -> str:
        return f"{self.array}_{self.number}"

    @property
    def has_ended(self) -> bool:
        return self.state in ENDED

    @property
    def log(self) -> Path:
        return self.batch / f"{self.number}.log"

    def forgotten(self) -> "Task":
        """Return this task as ended; the queue no longer lists it, so its true end state is unknown."""
        return replace(self, state="COMPLETED")


def queue() -> list[Task]:
    """Return this user's tasks of this launcher: waiting, running and, for some minutes, ended."""
    command = ["squeue", "--me", "--noheader", "--array", "--states=all", "--format=%F|%K|%T|%o"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=ANSWER_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise UserError(f"squeue did not answer within {ANSWER_SECONDS:.0f} s.") from None
    if answer.returncode:
        raise UserError(f"squeue: {answer.stderr.strip()}.")
    tasks = []
    for line in answer.stdout.splitlines():
        array, number, state, script = line.split("|", maxsplit=3)
        batch = Path(script).parent
        with suppress(OSError, ValueError, IndexError):  # a job of another program, or of a folder that was deleted
            folders = json.loads(read_text(batch / "folders.json"))
            tasks.append(Task(array, int(number), state, Path(folders[int(number)]), batch))
    return tasks


def _new_folder(parent: Path) -> Path:
    """Create and return `slurm-1`, or the folder with the next free number; each launcher gets its own folder."""
    number = 1
    while True:
        folder = parent.resolve() / f"slurm-{number}"
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            number += 1
        else:
            return folder


def _let_settle(jobs: Iterable[Job]) -> None:
    """Wait until the summaries of these jobs have their final status, or until SETTLE_SECONDS pass.

    The summary of a killed job never has a final status.
    """
    deadline = time.monotonic() + SETTLE_SECONDS
    while time.monotonic() < deadline and any((job.summary() or {}).get("status") in (None, "running") for job in jobs):
        time.sleep(0.2)


def _ending(job: Job, name: str, task: Task) -> str:
    if job.is_done():
        return f"{name}: {RunFolder(job.folder).headline()}"
    last = task.log.read_text(errors="replace").strip().splitlines()[-1:] if task.log.exists() else []
    how = f"job {task.name} {task.state.lower()}"
    return f"{name}: {how}; {shlex.quote(str(task.log))} ends: {''.join(last)}"
