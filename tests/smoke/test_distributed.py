"""Two processes on one CPU: every row is seen once, and any of them may be killed at any moment."""

import contextlib
import csv
import json
import os
import random
import signal
import time
from pathlib import Path

import pytest
from conftest import TINY
from smoke_processes import (
    EVERYTHING,
    PATIENCE,
    await_end,
    children,
    finish_forked,
    job_folder,
    random_moment,
    run_forked,
    start_forked,
    timed_run,
)
from smoke_tables import assert_same_outcome

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

OVERRIDES = (
    *(override for override in TINY if not override.startswith("trainer=")),
    "trainer=ddp_cpu",
    "data.rows=200",
    "data.batch_size=16",
    *EVERYTHING,
    "trainer.max_epochs=2",
)
WAYS = (
    ("first", signal.SIGKILL),
    ("other", signal.SIGKILL),
    ("group", signal.SIGKILL),
    ("first", signal.SIGTERM),
    ("group", signal.SIGINT),
    ("other", signal.SIGTERM),
)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> tuple[Path, float]:
    return timed_run(tmp_path_factory.mktemp("undisturbed"), *OVERRIDES)


def test_each_test_row_is_seen_once(undisturbed):
    folder = undisturbed[0]
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["status"] == "done"
    assert summary["world_size"] == 2
    with open(folder / "predictions.csv", newline="") as file:
        rows = [row["row"] for row in csv.DictReader(file)]
    assert len(rows) == len(set(rows)) == summary["split"]["rows"]["test"]


@pytest.mark.long
def test_kills_of_one_or_all_processes_leave_no_trace(undisturbed, tmp_path):
    expected, seconds = undisturbed
    rng, kills, runs = random.Random(5), 0, 0
    while kills < len(WAYS):
        runs += 1
        outputs = tmp_path / str(runs)
        outputs.mkdir()
        command = ("train.py", *OVERRIDES, f"output_dir={outputs}")
        while kills < len(WAYS):
            process = start_forked(outputs / "log", *command)
            random_moment(rng, process, outputs, seconds)
            if process.poll() is not None:
                break
            kills += strike(process, *WAYS[kills], outputs / "log") != 0
        finish_forked(outputs / "log", *command)
        assert_same_outcome(job_folder(outputs), expected)


def strike(process, target: str, signum: int, log: Path) -> int:
    """Send the signal, and wait until every process of the run is gone; the first one's status, 0 where too late."""
    while target == "other" and not children(process.pid) and process.poll() is None:
        time.sleep(0.05)
    others = children(process.pid)
    with contextlib.suppress(ProcessLookupError):
        if target == "group":
            os.killpg(process.pid, signum)
        elif target == "first" or others:
            os.kill(process.pid if target == "first" else others[0], signum)
    status = process.wait(timeout=PATIENCE)
    for other in others:
        await_end(other)
    told = (2, 128 + signum) if target == "other" else (-signum, 128 + signum)
    assert status in (0, *told), log.read_text()[-5000:]
    return status


def test_the_loss_of_a_process_is_told_in_words(tmp_path):
    process = start_forked(tmp_path / "log", "train.py", *OVERRIDES, f"output_dir={tmp_path}")
    while not list(tmp_path.glob("train/*/checkpoints/last.ckpt")):
        assert process.poll() is None, (tmp_path / "log").read_text()[-5000:]
        time.sleep(0.05)
    strike(process, "other", signal.SIGKILL, tmp_path / "log")
    assert process.returncode == 2
    log = (tmp_path / "log").read_text()
    assert "process 2 of the 2 of this run was killed (SIGKILL)" in log
    assert "Traceback" not in log
    summary = json.loads((job_folder(tmp_path) / "summary.json").read_text())
    assert summary["status"] == "failed"
    assert "process 2" in summary["error"]


def test_all_processes_agree_that_training_has_diverged(tmp_path):
    result = run_forked(*OVERRIDES, "optim.lr=1e30", f"output_dir={tmp_path}")
    assert result.returncode == 2
    assert result.stderr.count("Training has diverged") == 1
    assert "Traceback" not in result.stderr
    assert json.loads((job_folder(tmp_path) / "summary.json").read_text())["status"] == "failed"
