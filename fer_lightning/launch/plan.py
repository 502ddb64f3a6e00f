"""What a sweep is made of: its runs, where they stand, and which are still to do. Imports no torch.

    <sweep folder>/sweep.json
    {"command": "python train.py sweep=overfitting", "jobs": [{"job": "seed_stn_seed-1", "arm": "seed_stn", "seed": 1,
     "overrides": ["seed=1", "experiment=seed_stn", ...]}, ...]}

Jobs stand in the sweep's order; the first one's arm is what the others are compared with. A later call that asks for
more, as other seeds, adds its jobs.
"""

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.utils import JobReturn, JobStatus
from omegaconf import DictConfig, OmegaConf

from fer_lightning.config.check import check
from fer_lightning.config.schema import Resume
from fer_lightning.errors import UserError
from fer_lightning.files import write_atomically
from fer_lightning.runs.run_folder import RunFolder, arm_name, job_name

NAME = "sweep.json"


@dataclass(frozen=True)
class Job:
    """One run of a sweep: what Hydra composes it from, and its folder."""

    overrides: tuple[str, ...]
    folder: Path
    arm: str
    seed: int
    epochs: int
    start_over: bool = False

    def summary(self) -> dict[str, Any] | None:
        """The run's summary; None where there is none, or none that can be read."""
        try:
            return RunFolder(self.folder).summary()
        except ValueError:
            return None

    def is_done(self) -> bool:
        return (self.summary() or {}).get("status") == "done"

    def is_to_do(self) -> bool:
        return self.start_over or not self.is_done()

    def returned(self) -> JobReturn:
        """What Hydra is told of a finished run."""
        value = self.summary()["best_value"]
        return JobReturn(overrides=self.overrides, status=JobStatus.COMPLETED, _return_value=value)


def plan(loader: ConfigLoader, config: DictConfig, job_overrides: Sequence[Sequence[str]]) -> list[Job]:
    """The runs that a launcher was asked for; UserError where one's config is refused or two would share a folder."""
    jobs = [_job(loader.load_sweep_config(config, list(overrides)), overrides) for overrides in job_overrides]
    folders = [job.folder for job in jobs]
    for place, folder in enumerate(folders):
        if folder in folders[:place]:
            raise UserError(f"{folder} is the folder of two runs of this sweep. Is a value named twice?")
    return jobs


def write_plan(jobs: Sequence[Job], command: str) -> list[Path]:
    """Add the jobs to sweep.json of each folder that holds some of them; those folders."""
    folders = list(dict.fromkeys(job.folder.parent for job in jobs))
    for folder in folders:
        here = [job for job in jobs if job.folder.parent == folder]
        known = {entry["job"]: entry for entry in read_plan(folder)["jobs"]}
        known |= {job.folder.name: _entry(job) for job in here}
        content = {"command": command, "jobs": list(known.values())}
        write_atomically(folder / NAME, json.dumps(content, indent=2) + "\n")
    return folders


def read_plan(folder: Path) -> dict[str, Any]:
    """sweep.json of a folder; one without jobs where there is none, or none that can be read."""
    try:
        return json.loads((folder / NAME).read_text())
    except (FileNotFoundError, ValueError):
        return {"command": None, "jobs": []}


def run_command(job: Job) -> str:
    """The command that runs this job alone."""
    return shlex.join(["python", "train.py", *job.overrides, "hydra.mode=RUN"])


def conclude(jobs: Sequence[Job], folders: Sequence[Path]) -> list[JobReturn]:
    """Write the report of each folder; what Hydra is told of the runs, or a UserError that names those not done."""
    from fer_lightning.report.sweep import write_report

    for folder in folders:
        print(f"report: {write_report(folder)}")
    failed = [job for job in jobs if not job.is_done()]
    if failed:
        raise UserError(failures_in_words(failed, len(jobs)))
    return [job.returned() for job in jobs]


def failures_in_words(failed: Sequence[Job], total: int) -> str:
    """What became of the runs that are not done, and the way on."""
    lines = []
    for job in failed:
        summary = job.summary() or {}
        killed = "killed before it could say why" if summary.get("status") == "running" else None
        why = killed or summary.get("error") or summary.get("status") or "ended before its first summary"
        lines.append(f"  {job.folder}: {why}\n    {run_command(job)}")
    what = "1 run is" if len(failed) == 1 else f"{len(failed)} runs are"
    return "\n".join([f"{what} not done, of {total}:", *lines, "The same command again runs what is missing."])


def _job(config: DictConfig, overrides: Sequence[str]) -> Job:
    typed = list(config.hydra.overrides.task)
    try:
        check(OmegaConf.masked_copy(config, [key for key in config if key != "hydra"]))
    except UserError as error:
        raise UserError(f"{error}\nNo run was started. The one refused is: {shlex.join(overrides)}") from None
    folder = Path(config.output_dir, config.name, job_name(typed, config.seed))
    start_over = config.resume == Resume.never
    return Job(tuple(overrides), folder, arm_name(typed), config.seed, config.trainer.max_epochs, start_over)


def _entry(job: Job) -> dict[str, Any]:
    return {"job": job.folder.name, "arm": job.arm, "seed": job.seed, "overrides": list(job.overrides)}
