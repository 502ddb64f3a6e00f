"""Facts about a process's SLURM job, without SLURM: the tests set srun's environment."""

import threading

import pytest

from fer_lightning.errors import UserError
from fer_lightning.runs import slurm

IN_A_STEP = {"SLURM_JOB_ID": "14", "SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "2"}


@pytest.fixture
def job(monkeypatch):
    for key in (*IN_A_STEP, "SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID", "SLURM_RESTART_COUNT"):
        monkeypatch.delenv(key, raising=False)
    return lambda **environment: [monkeypatch.setenv(key, value) for key, value in environment.items()]


@pytest.mark.parametrize(
    ("environment", "name"),
    [
        ({"SLURM_JOB_ID": "12"}, "12"),
        ({"SLURM_JOB_ID": "14", "SLURM_ARRAY_JOB_ID": "12", "SLURM_ARRAY_TASK_ID": "3"}, "12_3"),
    ],
)
def test_a_job_or_a_task_of_an_array_is_put_back_in_line_by_its_name(environment, name, job, tmp_path, monkeypatch):
    job(**environment)
    scontrol = tmp_path / "scontrol"
    scontrol.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/said\n')
    scontrol.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    slurm.requeue()
    assert (tmp_path / "said").read_text().strip() == f"requeue {name}"
    assert slurm.facts()["job"] == name


def test_nothing_is_told_outside_of_slurm(job):
    assert slurm.facts() is None


def test_other_tasks_wait_for_the_first_of_their_own_step(job, tmp_path):
    job(**IN_A_STEP, SLURM_RESTART_COUNT="0")
    slurm.tell_other_tasks(tmp_path)
    job(SLURM_RESTART_COUNT="1")  # the same job, after a requeue: its mark is an old one
    waiting = threading.Thread(target=slurm.await_first_task, args=(tmp_path,), daemon=True)
    waiting.start()
    waiting.join(timeout=0.3)
    assert waiting.is_alive()
    slurm.tell_other_tasks(tmp_path)
    waiting.join(timeout=60)
    assert not waiting.is_alive()


def test_a_folder_that_nodes_do_not_share_is_told(job, tmp_path, monkeypatch):
    job(**IN_A_STEP)
    monkeypatch.setattr(slurm, "PATIENCE", 0.0)
    with pytest.raises(UserError, match=r"Do all nodes see the same folder\? .* output_dir="):
        slurm.await_first_task(tmp_path)


def test_a_process_alone_waits_for_nobody(job, tmp_path):
    job(SLURM_JOB_ID="14")
    slurm.await_first_task(tmp_path)
    slurm.tell_other_tasks(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_requeued_job_continues_the_run_that_it_began(job):
    """Otherwise a run with resume=never would start over at each time limit, and never end."""
    mine, other = ({"slurm": {"job": name}} for name in ("12", "9"))
    job(SLURM_JOB_ID="12")
    assert not slurm.has_begun(mine)
    job(SLURM_RESTART_COUNT="1")
    assert [slurm.has_begun(summary) for summary in (mine, other, {"slurm": None}, None)] == [True, False, False, False]
