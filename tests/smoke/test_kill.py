"""A real process is killed; the same command resumes it, and the result equals that of an undisturbed run."""

import contextlib
import json
import os
import random
import signal
import time
from pathlib import Path

import pytest
from conftest import TINY
from smoke_processes import (
    ENDED_IN_ORDER,
    EVERYTHING,
    PATIENCE,
    finish_forked,
    job_folder,
    random_moment,
    start_forked,
    timed_run,
)
from smoke_tables import assert_same_outcome

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

OVERRIDES = (
    *TINY,
    *EVERYTHING,
    "data.rows=200",
    "trainer.max_epochs=3",
)
KILLS = 6
WAYS = ((signal.SIGKILL, False), (signal.SIGTERM, False), (signal.SIGINT, False), (signal.SIGINT, True))
KILL = signal.SIGKILL
YEAR_2038 = 2_150_000_000
# Only the first epoch improves the validation for certain, so the kills at best.ckpt come before those of later epochs.
# The first of them is in that epoch; after it, each run starts by writing best.ckpt from last.ckpt.
MOMENTS = (
    ("before:config.yaml", 1),
    ("half:last.ckpt", 1),
    ("half:best.ckpt", 1),
    ("half:best.ckpt", 1),
    ("after:best.ckpt", 1),
    ("half:last.ckpt", 2),
    ("validation_step", 1),
    ("test_step", 1),
    ("before:predictions.csv", 1),
    ("before:summary.json", 2),
)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> tuple[Path, float]:
    return timed_run(tmp_path_factory.mktemp("undisturbed"), *OVERRIDES)


def test_kills_at_random_moments_leave_no_trace(undisturbed, tmp_path):
    expected, seconds = undisturbed
    rng, kills, runs = random.Random(3), 0, 0
    while kills < KILLS:
        runs += 1
        outputs = tmp_path / str(runs)
        outputs.mkdir()
        command = ("train.py", *OVERRIDES, f"output_dir={outputs}")
        while kills < KILLS:
            signum, group = WAYS[kills % len(WAYS)]
            process = start_forked(outputs / "log", *command)
            random_moment(rng, process, outputs, seconds)
            if process.poll() is not None:
                break
            (os.killpg if group else os.kill)(process.pid, signum)
            status = process.wait(timeout=PATIENCE)
            in_order = ENDED_IN_ORDER.get(signum)  # or outright, where Python did not yet listen, or too late
            assert status in (-signum, in_order, 0), (outputs / "log").read_text()[-5000:]
            kills += status != 0
        finish_forked(outputs / "log", *command)
        assert_same_outcome(job_folder(outputs), expected)


@pytest.mark.parametrize(
    ("moment", "signum"),
    [("training_step", signal.SIGTERM), ("validation_step", signal.SIGINT), ("test_step", signal.SIGINT)],
)
def test_a_run_ended_in_order_says_so(moment, signum, tmp_path):
    command = (*OVERRIDES, "trainer.max_epochs=1", f"output_dir={tmp_path}")
    process = start_forked(tmp_path / "log", "tests/helpers/smoke_kill.py", moment, "1", str(int(signum)), *command)
    assert process.wait(timeout=PATIENCE) == ENDED_IN_ORDER[signum]
    log = (tmp_path / "log").read_text()
    assert f"ended by {signum.name}" in log
    assert "Traceback" not in log
    assert json.loads((job_folder(tmp_path) / "summary.json").read_text())["status"] == "interrupted"


def test_kills_at_the_worst_moments_leave_no_trace(undisturbed, tmp_path):
    command = (*OVERRIDES, f"output_dir={tmp_path}")
    for moment, nth in MOMENTS:
        process = start_forked(
            tmp_path / "log", "tests/helpers/smoke_kill.py", moment, str(nth), str(int(KILL)), *command
        )
        assert process.wait(timeout=PATIENCE) == -KILL, f"{moment}: {(tmp_path / 'log').read_text()[-3000:]}"
    finish_forked(tmp_path / "log", "train.py", *command)
    assert_same_outcome(job_folder(tmp_path), undisturbed[0])
    assert not list(tmp_path.rglob("*.tmp"))


def test_pauses_and_files_of_another_time_leave_no_trace(undisturbed, tmp_path):
    """A clock that was set back makes old files look new: those of a killed run are dated 2038."""
    log, command = tmp_path / "log", (*OVERRIDES, f"output_dir={tmp_path}")
    process = start_forked(log, "tests/helpers/smoke_kill.py", "half:last.ckpt", "3", str(int(KILL)), *command)
    assert process.wait(timeout=PATIENCE) == -KILL
    for path in tmp_path.rglob("*"):
        os.utime(path, (YEAR_2038, YEAR_2038))
    process = start_forked(log, "train.py", *command)
    pauses = 0
    with contextlib.suppress(ProcessLookupError):  # on a busy machine the run may end before the last pause
        for _ in range(6):
            time.sleep(undisturbed[1] / 20)
            for signum in (signal.SIGSTOP, signal.SIGCONT):
                os.killpg(process.pid, signum)
                time.sleep(0.1)
            pauses += 1
    assert pauses
    assert process.wait(timeout=PATIENCE) == 0, log.read_text()[-5000:]
    assert_same_outcome(job_folder(tmp_path), undisturbed[0])


def test_kills_while_a_run_is_set_aside_lose_nothing(tmp_path):
    log, command = tmp_path / "log", (*OVERRIDES, "trainer.max_epochs=1", f"output_dir={tmp_path}")
    finish_forked(log, "train.py", *command)
    old = (job_folder(tmp_path) / "predictions.csv").read_bytes()
    again = (*command, "resume=never")
    for moment in ("before:~1", "after:~1", "before:config.yaml"):
        process = start_forked(log, "tests/helpers/smoke_kill.py", moment, "1", str(int(KILL)), *again)
        assert process.wait(timeout=PATIENCE) == -KILL, moment
    finish_forked(log, "train.py", *again)
    (kept,) = (tmp_path / "train").glob("*~*")
    assert (kept / "predictions.csv").read_bytes() == old
    assert json.loads((job_folder(tmp_path) / "summary.json").read_text())["status"] == "done"
