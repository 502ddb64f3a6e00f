"""Sweeps of the real train.py on a real SLURM cluster of two nodes: scripts/slurm_cluster.sh."""

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, TINY, composed, run_train
from smoke_processes import EVERYTHING, start
from smoke_tables import assert_same_outcome

from fer_lightning.samplers.weighted import Weighted
from fer_lightning.seeding import derive_seed
from fer_lightning.training.build import build_data

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(1800), pytest.mark.usefixtures("cluster")]

CLUSTER = ROOT / "scripts" / "slurm_cluster.sh"
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch")
PATIENCE = 600  # seconds; for a machine that has much else to do
LAUNCHER = (
    "hydra/launcher=discovery",
    "hydra.launcher.partition=debug",
    "hydra.launcher.cpus=1",
    "hydra.launcher.poll_seconds=0.5",
)
SWEEP = ("-m", *TINY, *EVERYTHING, "data.rows=800", "name=sweep", *LAUNCHER)
DRIVERS: list[subprocess.Popen] = []
SEEDS = ("optim.lr=0.003", "seed=0,1,2,3")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory) -> Iterator[None]:
    if missing := [program for program in PROGRAMS if not shutil.which(program)]:
        pytest.skip(f"no {', '.join(missing)} here; the head of {CLUSTER.name} says how to get them")
    if os.geteuid() != 0:
        pytest.skip(f"{CLUSTER.name} needs root")
    folder = tmp_path_factory.mktemp("cluster")
    try:
        started = subprocess.run([CLUSTER, "start", folder], capture_output=True, text=True, timeout=180, check=False)
        assert started.returncode == 0, started.stderr
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SLURM_CONF", str(folder / "slurm.conf"))
            yield
    finally:
        for process in DRIVERS:
            process.kill()
        subprocess.run([CLUSTER, "stop", folder], timeout=180, check=True)


def driver(outputs: Path, *overrides: str) -> subprocess.Popen:
    DRIVERS.append(start(outputs / "log", "train.py", *overrides, f"output_dir={outputs}"))
    return DRIVERS[-1]


def finish(outputs: Path, *overrides: str) -> None:
    assert driver(outputs, *overrides).wait(timeout=PATIENCE) == 0, log_of(outputs)[-5000:]


def log_of(outputs: Path) -> str:
    return (outputs / "log").read_text()


def wait_for(what: str, condition: Any, process: subprocess.Popen, outputs: Path) -> Any:
    """Return the first true result of `condition` while the driver runs."""
    deadline = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert process.poll() is None, f"the driver ended before {what}: {log_of(outputs)[-5000:]}"
        assert time.monotonic() < deadline, f"{what}: not within {PATIENCE} s"
        time.sleep(0.05)
    return found


def run_of(outputs: Path, override: str) -> Path:
    """The folder of the sweep's run that has this among its overrides."""
    jobs = json.loads((outputs / "sweep" / "sweep.json").read_text())["jobs"]
    (name,) = (job["job"] for job in jobs if override in job["overrides"])
    return outputs / "sweep" / name


def training_run(outputs: Path, override: str) -> Path | None:
    """The same as soon as it has something to resume from."""
    if not (outputs / "sweep" / "sweep.json").exists():
        return None
    folder = run_of(outputs, override)
    return folder if (folder / "checkpoints" / "last.ckpt").exists() else None


def summary(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "summary.json").read_text())


def scancel(*arguments: str) -> None:
    subprocess.run(["scancel", *arguments], check=True, timeout=60)


@pytest.fixture(scope="module")
def sweep(cluster, tmp_path_factory) -> Path:
    """Four runs; the driver was stopped as soon as they were in the queue, and one run cancelled while it trained."""
    outputs = tmp_path_factory.mktemp("sweep")
    first = driver(outputs, *SWEEP, *SEEDS)
    wait_for("its jobs were in the queue", lambda: "4 pending" in log_of(outputs), first, outputs)
    first.send_signal(signal.SIGINT)
    assert first.wait(timeout=PATIENCE) == 130, log_of(outputs)[-5000:]
    again = driver(outputs, *SWEEP, *SEEDS)
    victim = wait_for("a run trained", lambda: training_run(outputs, "seed=2"), again, outputs)
    scancel(summary(victim)["slurm"]["job"])
    assert again.wait(timeout=PATIENCE) == 2, log_of(outputs)[-5000:]
    return outputs


def test_a_lost_driver_is_replaced_by_one_that_waits_for_its_jobs(sweep):
    array = summary(run_of(sweep, "seed=0"))["slurm"]["job"].partition("_")[0]
    assert f"The same command waits for them. To end them: scancel {array}\n" in log_of(sweep)
    assert "4 runs, 0 of them done and 4 in SLURM's queue" in log_of(sweep)


def test_a_cancelled_run_is_named_and_rerun_alone(sweep):
    cancelled = run_of(sweep, "seed=2")
    job = summary(cancelled)["slurm"]["job"]
    assert summary(cancelled)["status"] in ("interrupted", "running")  # in order, or too slow for KillWait
    assert f"seed 2: job {job} cancelled" in log_of(sweep)
    assert f"1 run is not done, of 4:\n  {cancelled}" in log_of(sweep)
    for seed in (0, 1, 3):
        assert summary(run_of(sweep, f"seed={seed}"))["status"] == "done"
    assert "seed-2" in (sweep / "sweep" / "report" / "index.html").read_text()

    finish(sweep, *SWEEP, *SEEDS)
    assert "4 runs, 3 of them done and 0 in SLURM's queue" in log_of(sweep)
    assert json.loads((sweep / "sweep" / "logs" / "slurm-2" / "folders.json").read_text()) == [str(cancelled)]
    assert summary(cancelled)["status"] == "done"
    assert [call["slurm"]["job"] for call in summary(cancelled)["earlier"]] == [job]


def test_a_requeued_run_ends_like_an_undisturbed_one_and_a_raising_one_is_reported(sweep, tmp_path):
    process = driver(tmp_path, *SWEEP, "optim.lr=0.003,1e+30")
    folder = wait_for("a run trained", lambda: training_run(tmp_path, "optim.lr=0.003"), process, tmp_path)
    job = summary(folder)["slurm"]["job"]
    scancel("--signal=USR1", job)
    assert process.wait(timeout=PATIENCE) == 2, log_of(tmp_path)[-5000:]

    after = summary(folder)
    assert after["slurm"]["job"] == job
    assert after["slurm"]["restarts"] == 1
    assert [(call["status"], call["slurm"]["restarts"]) for call in after["earlier"]] == [("interrupted", 0)]
    assert_same_outcome(folder, run_of(sweep, "seed=0"))

    raising = run_of(tmp_path, "optim.lr=1e+30")
    assert summary(raising)["status"] == "failed"
    assert f"1 run is not done, of 2:\n  {raising}: UserError: Training has diverged" in log_of(tmp_path)
    assert "Training has diverged" in (tmp_path / "sweep" / "report" / "index.html").read_text()


def test_two_nodes_share_one_global_draw(tmp_path):
    two_nodes = ("trainer=ddp_cpu", "trainer.devices=1", "trainer.num_nodes=2", "hydra.launcher.nodes=2")
    tiny = [override for override in TINY if not override.startswith("trainer=")]
    lines = ("MASTER_ADDR=127.0.0.1", f"NOTES={tmp_path}", f"PYTHONPATH={Path(__file__).parent / 'notes'}")
    told = ",".join(f"'export {line}'" for line in lines)
    run = ("sampler=weighted", "data.rows=200", "seed=5", "name=sweep")
    command = ("-m", *tiny, *two_nodes, *run, *LAUNCHER, f"hydra.launcher.setup=[{told}]")
    finish(tmp_path, *command)

    folder = run_of(tmp_path, "seed=5")
    assert summary(folder)["world_size"] == 2
    assert summary(folder)["slurm"]["nodes"] == "n[1-2]"
    notes = {path.stem: json.loads(path.read_text()) for path in tmp_path.glob("rank-*.json")}
    assert {note["node"] for note in notes.values()} == {"n1", "n2"}

    data = build_data(composed(*tiny, *run))
    alone = Weighted(data.table.labels[data.train_rows], seed=derive_seed(5, "order"))
    for epoch in range(2):
        alone.set_epoch(epoch)
        ranks = [notes[f"rank-{rank}_epoch-{epoch}"]["positions"] for rank in range(2)]
        together = [position for pair in zip(*ranks, strict=True) for position in pair]
        assert together == alone.positions().tolist()[: len(together)]
        assert len(together) >= len(alone) - 1


def test_a_container_without_scontrol_is_requeued_by_its_script(tmp_path):
    standin = tmp_path / "bin" / "apptainer"
    standin.parent.mkdir()
    standin.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/said\n[ $(wc -l < {tmp_path}/said) -gt 1 ] || exit 138\n')
    standin.chmod(0o755)
    image = ("hydra.launcher.image=fer.sif", "hydra.launcher.binds=[/scratch]")
    path = f"hydra.launcher.setup=['export PATH={standin.parent}:$PATH']"
    result = run_train(*SWEEP, *image, path, f"output_dir={tmp_path}", timeout=PATIENCE)
    assert result.returncode == 2
    assert "ended before it wrote a summary" in result.stderr
    said = (tmp_path / "said").read_text().splitlines()
    assert len(said) == 2
    assert said[0] == said[1]
    assert said[0].startswith("exec --nv --bind /scratch fer.sif python train.py data=synthetic")


def test_a_refused_request_is_told_at_once(tmp_path):
    result = run_train(*SWEEP, "hydra.launcher.partition=nosuch", f"output_dir={tmp_path}")
    assert result.returncode == 2
    assert "invalid partition specified: nosuch" in result.stderr
    assert "hydra.launcher.partition" in result.stderr
    assert "Traceback" not in result.stderr
