"""A real process, really killed: the same command goes on where it was and ends as if nothing had happened."""

import os
import random
import signal
import subprocess
import sys
import time

import pytest
from conftest import ROOT, TINY, run_train
from smoke_tables import table_without_timings

from fer_lightning.runs import RunFolder

pytestmark = pytest.mark.slow

OVERRIDES = (*TINY, "trainer.max_epochs=8", "callbacks.last.every_n_steps=2", "augment=mix", "sampler=weighted")


def start(*overrides: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "train.py", *overrides],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def wait_for(path, process: subprocess.Popen) -> None:
    while not path.exists():
        assert process.poll() is None, "the run ended before it could be killed"
        time.sleep(0.05)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGKILL, "running"), (signal.SIGTERM, "interrupted")])
def test_a_killed_run_ends_like_an_undisturbed_one(number, status, tmp_path):
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    assert run_train(*OVERRIDES, f"output_dir={undisturbed}").returncode == 0
    wait = random.Random(int(number))
    for _ in range(3):
        process = start(*OVERRIDES, f"output_dir={killed}")
        job = killed / "train" / next((undisturbed / "train").iterdir()).name.replace("undisturbed", "killed")
        wait_for(job / "checkpoints" / "last.ckpt", process)
        time.sleep(wait.uniform(0, 0.5))
        process.send_signal(number)
        process.wait(timeout=60)
        assert RunFolder(job).summary()["status"] == status
    result = run_train(*OVERRIDES, f"output_dir={killed}")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "resuming in" in result.stdout
    assert table_without_timings(job) == table_without_timings(next((undisturbed / "train").iterdir()))
    assert (job / "predictions.csv").read_text() == (
        next((undisturbed / "train").iterdir()) / "predictions.csv"
    ).read_text()
