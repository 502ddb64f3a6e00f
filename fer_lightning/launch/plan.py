"""Plan of a sweep: its runs, their folders, and which of them still have to run. This module does not import torch.

    <sweep folder>/sweep.json
    {"command": "python train.py sweep=overfitting", "jobs": [{"job": "seed_stn_seed-1", "arm": "seed_stn", "seed": 1,
     "overrides": ["seed=1", "experiment=seed_stn", ...]}, ...]}

The jobs are listed in the order of the sweep. The arm of the first job is the baseline of the comparisons.
A later call with more runs, for example with other seeds, adds its jobs.
"""

import json
import shlex
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.utils import JobReturn, JobStatus
from omegaconf import DictConfig, OmegaConf

from fer_lightning.check.check import check
from fer_lightning.check.path_keys import expand_paths
from fer_lightning.config.schema import Resume
from fer_lightning.errors import UserError
from fer_lightning.files import write_atomically
from fer_lightning.runs.extension import extended_config, read_parent
from fer_lightning.runs.interruption import Interrupted
from fer_lightning.runs.run_folder import RunFolder, arm_of, named_parts, run_path
from fer_lightning.runs.sweep_file import NAME, read_plan

SPLIT_WITHOUT_TEST = "training_fold"  # its test rows are rows of Training


class SweepFolder:
    """Folder that Hydra makes for a sweep before it composes the runs."""

    def __init__(self) -> None:
        self.new: Path | None = None

    def begin(self, config: DictConfig) -> None:
        folder = Path(config.hydra.sweep.dir)
        self.new = None if folder.exists() else folder

    def remove_if_rejected(self) -> None:
        """Remove a new folder that holds nothing but Hydra's multirun.yaml."""
        if self.new and [path.name for path in self.new.glob("*")] == ["multirun.yaml"]:
            shutil.rmtree(self.new)


sweep_folder = SweepFolder()


@dataclass(frozen=True)
class Job:
    """One run of a sweep: its Hydra overrides and its folder.

    starts_over  True: an earlier run in the folder is set aside (resume=never)
    former       summary of this earlier run, which does not count; None without an earlier run
    """

    overrides: tuple[str, ...]
    folder: Path
    arm: str
    seed: int
    epochs: int
    starts_over: bool = False
    former: dict[str, Any] | None = None

    def summary(self) -> dict[str, Any] | None:
        """Return the run's summary, or None if it is missing, damaged or that of the former run."""
        summary = _summary(self.folder)
        return None if summary == self.former else summary

    def is_done(self) -> bool:
        return (self.summary() or {}).get("status") == "done"

    def returned(self) -> JobReturn:
        """Return Hydra's result object: of a finished run its best value, of another one the reason."""
        if not self.is_done():
            reason = UserError(describe_failures([self], 1))
            return JobReturn(overrides=self.overrides, status=JobStatus.FAILED, _return_value=reason)
        value = self.summary()["best_value"]
        return JobReturn(overrides=self.overrides, status=JobStatus.COMPLETED, _return_value=value)


def plan(loader: ConfigLoader, config: DictConfig, job_overrides: Sequence[Sequence[str]]) -> list[Job]:
    """Return the runs of a sweep.

    Raise UserError if a config is invalid, if two runs have the same folder, or if a folder holds a run of another
    config: it would be reported as a run of this sweep.
    """
    jobs: list[Job] = []
    for overrides in job_overrides:
        try:
            job, run_config = _job(loader.load_sweep_config(config, list(overrides)), overrides)
            if job.folder in [other.folder for other in jobs]:
                raise UserError(
                    f"{job.folder}: two runs of this sweep have this folder. Type each value once. If the experiments "
                    "differ, do not type name=, or sweep another key."
                )
            _refuse_other_configs(job, run_config)
        except UserError as error:
            raise UserError(f"{error}\nNo run was started. The rejected run is: {shlex.join(overrides)}") from None
        jobs.append(job)
    return jobs


@contextmanager
def explain_interruption(jobs: Sequence[Job]) -> Iterator[None]:
    """Let the message after an interruption say whether the same command resumes the runs."""
    try:
        yield
    except Interrupted as error:
        error.resumes = not any(job.starts_over for job in jobs)
        raise


def write_plan(jobs: Sequence[Job], command: str) -> list[Path]:
    """Add the jobs to the sweep.json of their folders, and return these folders."""
    folders = list(dict.fromkeys(job.folder.parent for job in jobs))
    for folder in folders:
        here = [job for job in jobs if job.folder.parent == folder]
        entries = {entry["job"]: entry for entry in read_plan(folder)["jobs"]}
        entries |= {job.folder.name: _entry(job) for job in here}
        content = {"command": command, "jobs": list(entries.values())}
        write_atomically(folder / NAME, json.dumps(content, indent=2) + "\n")
    return folders


def run_command(job: Job) -> str:
    """Return the command that runs only this job."""
    return shlex.join(["python", "train.py", *job.overrides, "hydra.mode=RUN"])


def titles(jobs: Sequence[Job]) -> dict[Path, str]:
    """Return the name of each run in the terminal, by folder: the settings in which the runs differ, and the seed."""
    parts = {job.folder: named_parts(list(job.overrides)) for job in jobs}
    common = set.intersection(*map(set, parts.values())) if jobs else set()
    return {
        job.folder: ", ".join([*(part for part in parts[job.folder] if part not in common), f"seed {job.seed}"])
        for job in jobs
    }


def conclude(jobs: Sequence[Job], folders: Sequence[Path], *, is_part: bool) -> list[JobReturn]:
    """Write the report of each folder and return Hydra's results; raise UserError that names incomplete runs.

    is_part  True: the jobs are some runs of a search, so no report is written and an incomplete run is a result
    """
    if is_part:
        return [job.returned() for job in jobs]
    from fer_lightning.report.sweep import write_report

    for folder in folders:
        print(f"report: {write_report(folder)} (next: open it in a browser)")
    failed = [job for job in jobs if not job.is_done()]
    if failed:
        raise UserError(describe_failures(failed, len(jobs)))
    return [job.returned() for job in jobs]


def describe_failures(failed: Sequence[Job], total: int) -> str:
    """Return a message that names each incomplete run, the reason, and the command that runs it again."""
    lines = []
    for job in failed:
        summary = job.summary() or {}
        killed = "killed before it could record an error" if summary.get("status") == "running" else None
        why = killed or summary.get("error") or summary.get("status") or "ended before it wrote a summary"
        lines.append(f"  {job.folder}: {why}\n    {run_command(job)}")
    runs = "1 run is" if len(failed) == 1 else f"{len(failed)} runs are"
    return "\n".join([f"{runs} not done, of {total}:", *lines, "Run the same command again to run what is missing."])


def _job(config: DictConfig, overrides: Sequence[str]) -> tuple[Job, dict[str, Any]]:
    """Return the run of a composed config, and its own config, as config.yaml will have it."""
    typed = list(config.hydra.overrides.task)
    expand_paths(config)
    own = OmegaConf.masked_copy(config, [key for key in config if key != "hydra"])
    if own.finder is not None:
        raise UserError(
            f"finder={own.finder.value}: does not leave a run and cannot be swept. Type a command per value."
        )
    if own.extend is not None:
        own = extended_config(own, read_parent(own.extend), typed)
    check(own)
    folder = run_path(own.output_dir, own.name, typed, own.seed)
    starts_over, arm = own.resume == Resume.never, arm_of(folder, own.seed)
    former = _summary(folder) if starts_over else None
    job = Job(tuple(overrides), folder, arm, own.seed, own.trainer.max_epochs, starts_over, former)
    return job, OmegaConf.to_container(own, resolve=True, enum_to_str=True)


def _refuse_other_configs(job: Job, config: dict[str, Any]) -> None:
    """Raise UserError if the folder of a run, or a finished run of its arm, has another config than `config`.

    A run that starts over is not compared: the other seeds of its arm start over too.
    """
    if job.starts_over:
        return
    if job.summary() is not None:
        RunFolder(job.folder).refuse_another_config(config)
    for entry in read_plan(job.folder.parent)["jobs"]:
        folder = job.folder.parent / entry["job"]
        if entry["arm"] == job.arm and folder != job.folder and (_summary(folder) or {}).get("status") == "done":
            RunFolder(folder).refuse_another_arm(config)
            return


def _summary(folder: Path) -> dict[str, Any] | None:
    """Return the summary in a folder, or None if it is missing or damaged."""
    try:
        return RunFolder(folder).summary()
    except UserError:
        return None


def require_whole(minimum: int, **values: Any) -> None:
    """Raise UserError if a value of `hydra` is neither a whole number from `minimum` on nor None.

    values  by key, with two underscores for a dot: launcher__jobs
    """
    for name, value in values.items():
        if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < minimum):
            key = name.replace("__", ".")
            raise UserError(f"hydra.{key}={value}: must be a whole number, {minimum} or more.")


def _entry(job: Job) -> dict[str, Any]:
    return {"job": job.folder.name, "arm": job.arm, "seed": job.seed, "overrides": list(job.overrides)}
