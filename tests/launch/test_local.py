"""Runs of a sweep on one machine: apart from each other, as many at a time as asked, ended in order."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from conftest import shown

from fer_lightning.errors import UserError
from fer_lightning.launch.discovery import DiscoveryLauncher
from fer_lightning.launch.local import LocalLauncher, Pool
from fer_lightning.launch.plan import Job, describe_failures, titles
from fer_lightning.runs.interruption import SWEEP

# What stands in for train.py: `do=` says how it ends, `lasts=` after how long.
PROGRAM = """
import json, os, pathlib, signal, sys, time
given = dict(argument.split("=", 1) for argument in sys.argv[1:])
folder = pathlib.Path(given["folder"])
folder.mkdir(parents=True, exist_ok=True)
def write(**summary): (folder / "summary.json").write_text(json.dumps(summary))
def stop(*_): write(status="interrupted"); sys.exit(143)
signal.signal(signal.SIGTERM, stop)
alone = (folder / "summary.json").exists()
write(status="running")
began = time.monotonic()
time.sleep(float(given["lasts"]))
span = {"began": began, "ended": time.monotonic()}
if given["do"] == "die": os.kill(os.getpid(), signal.SIGKILL)
if given["do"] == "fail": write(status="failed", error="ValueError: no such thing"); sys.exit(1)
if given["do"] == "grow" and not alone: write(status="failed", error="OutOfMemoryError: CUDA"); sys.exit(1)
outcome = {"best": {"epoch": 1, "val/acc": 0.5}, "epochs": 2, "test": {"test/acc": 0.5, "test/f1_macro": 0.4}}
environment = {key: os.environ.get(key) for key in ("OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES", "FER_LIGHTNING_SWEEP")}
write(status="done", best_value=0.5, mode=given["hydra.mode"], environment=environment, **span, **outcome)
"""


@pytest.fixture
def program(tmp_path, monkeypatch):
    path = tmp_path / "program.py"
    path.write_text(PROGRAM)
    monkeypatch.setattr(sys, "argv", [str(path), "typed=here"])
    return path


def job(folder, name: str, do: str = "work", lasts: float = 0.2) -> Job:
    path = folder / "sweep" / name
    return Job((f"folder={path}", f"do={do}", f"lasts={lasts}"), path, name.rpartition("_")[0], 0, epochs=2)


def folder_names(jobs: list[Job]) -> dict:
    return {job.folder: job.folder.name for job in jobs}


def run(launcher: LocalLauncher, jobs: list[Job]) -> list[Job]:
    with Pool(launcher, jobs, folder_names(jobs)) as pool:
        return pool.run(jobs, launcher.jobs)


def test_a_run_that_fails_or_is_killed_does_not_stop_the_others(program, tmp_path, capsys):
    jobs = [job(tmp_path, "a_seed-0", "fail"), job(tmp_path, "b_seed-0", "die"), job(tmp_path, "c_seed-0")]
    run(LocalLauncher(jobs=2), jobs)
    assert [each.is_done() for each in jobs] == [False, False, True]
    told = " ".join(capsys.readouterr().out.split())
    assert "a_seed-0: ended with status 1" in told
    assert "b_seed-0: ended with SIGKILL" in told
    assert "c_seed-0: best epoch 1 of 2" in told


def test_what_is_not_done_is_told_with_the_command_that_runs_it_alone(program, tmp_path):
    failed, killed = job(tmp_path, "a_seed-0", "fail"), job(tmp_path, "b_seed-0", "die")
    run(LocalLauncher(), [failed, killed])
    told = describe_failures([failed, killed, job(tmp_path, "never_seed-0")], total=5)
    assert "3 runs are not done, of 5" in told
    assert "b_seed-0: killed before it could record an error" in told
    assert "a_seed-0: ValueError: no such thing" in told
    assert "never_seed-0: ended before it wrote a summary" in told
    assert f"python train.py folder={failed.folder} do=fail lasts=0.2 hydra.mode=RUN" in told
    assert "Run the same command again to run what is missing" in told


def test_no_more_than_asked_run_at_a_time_and_they_do_overlap(program, tmp_path):
    jobs = [job(tmp_path, f"{name}_seed-0", lasts=0.6) for name in "abcd"]
    run(LocalLauncher(jobs=2), jobs)
    spans = [(each.summary()["began"], each.summary()["ended"]) for each in jobs]
    together = [sum(began <= at < ended for began, ended in spans) for at, _ in spans]
    assert max(together) == 2


def test_each_run_is_told_its_threads_its_gpu_its_sweep_and_that_it_is_one_run(program, tmp_path):
    jobs = [job(tmp_path, f"{name}_seed-0", lasts=0.5) for name in "ab"]
    run(LocalLauncher(jobs=2, threads=3, gpus=[4, 5]), jobs)
    summaries = [each.summary() for each in jobs]
    assert {summary["mode"] for summary in summaries} == {"RUN"}
    environments = [summary["environment"] for summary in summaries]
    assert [environment["OMP_NUM_THREADS"] for environment in environments] == ["3", "3"]
    assert {environment["CUDA_VISIBLE_DEVICES"] for environment in environments} == {"4", "5"}
    assert {environment[SWEEP] for environment in environments} == {str(os.getpid())}


def sweep_of(folder, *arms: str) -> list[Job]:
    """Jobs with many constant settings, two seeds of each arm, in folders whose names end with a hash."""
    constant = ("data.batch_size=16", "model.in_channels=1", "model.input_size=48", "model.width=0.0625")
    return [
        Job((*constant, arm, f"seed={seed}"), folder / f"{index}_6abffa6f2a_seed-{seed}", arm, seed, epochs=60)
        for index, arm in enumerate(arms)
        for seed in (0, 1)
    ]


def test_runs_are_named_by_what_differs_and_by_the_seed(tmp_path):
    assert [*titles(sweep_of(tmp_path, "augment=none", "augment=strong")).values()] == [
        "augment=none, seed 0",
        "augment=none, seed 1",
        "augment=strong, seed 0",
        "augment=strong, seed 1",
    ]
    assert [*titles(sweep_of(tmp_path, "augment=none")).values()] == ["seed 0", "seed 1"]


def test_the_progress_of_a_sweep_fits_into_80_characters(tmp_path):
    jobs = sweep_of(tmp_path, "augment=none", "augment=strong,loss=class_balanced,sampler=weighted,model.dropout=0.25")
    names = titles(jobs)
    pool = Pool(LocalLauncher(), jobs, names)
    for name in names.values():
        pool.bar.add_task(f"  {name}", total=60, unit="epochs")
    lines = shown(pool.bar.get_renderable()).splitlines()
    assert max(map(len, lines)) <= 80
    assert "…" not in "".join(lines)
    assert "0/4" in lines[0]
    assert sum("0/60" in line for line in lines) == 4
    assert "6abffa6f2a" not in "".join(lines)


def test_cores_are_divided_among_the_jobs(monkeypatch):
    monkeypatch.setattr("fer_lightning.launch.local.cpu_cores", lambda: 8)
    environments = [LocalLauncher(jobs=jobs).environment(slot=0) for jobs in (1, 2, 16)]
    assert [environment["OMP_NUM_THREADS"] for environment in environments] == ["8", "4", "1"]


def test_a_run_without_enough_gpu_memory_beside_others_comes_again_alone(program, tmp_path):
    jobs = [job(tmp_path, "big_seed-0", "grow"), job(tmp_path, "small_seed-0")]
    launcher = LocalLauncher(jobs=2)
    with Pool(launcher, jobs, folder_names(jobs)) as pool:
        again = pool.run(jobs, at_once=2)
        assert [each.folder.name for each in again] == ["big_seed-0"]
        assert pool.run(again, at_once=1) == []
    assert all(each.is_done() for each in jobs)


def test_an_interrupted_sweep_ends_its_runs_in_order(program, tmp_path, monkeypatch):
    long = job(tmp_path, "a_seed-0", lasts=60)

    def interrupt(*_) -> None:
        if (long.summary() or {}).get("status") == "running":
            raise KeyboardInterrupt

    monkeypatch.setattr(Pool, "_show_epochs", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run(LocalLauncher(), [long])
    assert json.loads((long.folder / "summary.json").read_text())["status"] == "interrupted"


ORPHAN = """
import os, signal, subprocess, sys, time
if len(sys.argv) > 1:
    from fer_lightning.runs.interruption import follow_sweep
    follow_sweep()
    print("up", os.getpid(), flush=True)
    time.sleep(60)
environment = os.environ | {"FER_LIGHTNING_SWEEP": str(os.getpid())}
child = subprocess.Popen([sys.executable, __file__, "child"], env=environment)
time.sleep(60)
"""


def test_the_runs_of_a_sweep_that_was_killed_end_too(tmp_path):
    (tmp_path / "sweep.py").write_text(ORPHAN)
    sweep = subprocess.Popen([sys.executable, str(tmp_path / "sweep.py")], stdout=subprocess.PIPE, text=True)
    child = int(sweep.stdout.readline().split()[1])
    sweep.send_signal(signal.SIGKILL)
    sweep.wait()
    deadline = time.monotonic() + 20
    while _lives(child):
        assert time.monotonic() < deadline, "the run outlives its sweep"
        time.sleep(0.1)


def test_a_run_whose_sweep_was_killed_before_it_began_ends_at_once(tmp_path):
    (tmp_path / "sweep.py").write_text(ORPHAN)
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    run = [sys.executable, str(tmp_path / "sweep.py"), "child"]
    ended = subprocess.run(run, env=os.environ | {SWEEP: str(gone.pid)}, capture_output=True, timeout=60, check=False)
    assert ended.returncode == -signal.SIGTERM


@pytest.mark.parametrize(
    ("launcher", "message"),
    [
        (LocalLauncher(jobs=0), "hydra.launcher.jobs=0: must be a whole number, 1 or more."),
        (LocalLauncher(jobs="two"), "hydra.launcher.jobs=two: must be a whole number, 1 or more."),
        (LocalLauncher(jobs=2.5), "hydra.launcher.jobs=2.5: must be a whole number, 1 or more."),
        (LocalLauncher(threads=-1), "hydra.launcher.threads=-1: must be a whole number, 1 or more."),
        (LocalLauncher(gpus=0), "hydra.launcher.gpus=0: must be a list of GPU indices, such as [0,1], or null."),
        (LocalLauncher(gpus=[0, -1]), "hydra.launcher.gpus=-1: must be a whole number, 0 or more."),
        (DiscoveryLauncher(at_once="x"), "hydra.launcher.at_once=x: must be a whole number, 1 or more."),
        (DiscoveryLauncher(cpus=0), "hydra.launcher.cpus=0: must be a whole number, 1 or more."),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_value_of_a_launcher_that_cannot_be_is_refused(launcher, message):
    with pytest.raises(UserError) as refused:
        launcher.setup(hydra_context=None, task_function=None, config=None)
    assert str(refused.value) == message


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
