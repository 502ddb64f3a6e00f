"""What a signal asks for outside of a run."""

import pytest

from fer_lightning import interruption


@pytest.mark.parametrize(
    ("job", "requeued"),
    [
        ({"SLURM_JOB_ID": "12"}, "requeue 12"),
        ({"SLURM_JOB_ID": "14", "SLURM_ARRAY_JOB_ID": "12", "SLURM_ARRAY_TASK_ID": "3"}, "requeue 12_3"),
    ],
)
def test_a_slurm_job_or_task_is_put_back_in_line(job, requeued, tmp_path, monkeypatch):
    scontrol = tmp_path / "scontrol"
    scontrol.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/said\n')
    scontrol.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    for key in ("SLURM_JOB_ID", "SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID"):
        monkeypatch.delenv(key, raising=False)
    for key, value in job.items():
        monkeypatch.setenv(key, value)
    interruption.requeue()
    assert (tmp_path / "said").read_text().strip() == requeued
