"""The SLURM launcher where there is no SLURM: what it writes, refuses and reads; stand-ins for SLURM's programs."""

import json
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest import ROOT
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from fer_lightning.config import schema
from fer_lightning.errors import UserError
from fer_lightning.launch import discovery
from fer_lightning.launch.discovery import DiscoveryLauncher
from fer_lightning.launch.plan import Job


@pytest.fixture
def standin(tmp_path, monkeypatch):
    """Puts a shell script of that name before everything else on PATH."""
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")

    def make(name: str, text: str) -> None:
        path = tmp_path / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    return make


def launcher(**keys) -> DiscoveryLauncher:
    made = DiscoveryLauncher(**keys)
    trainer = {"devices": keys.get("tasks_per_node", 1), "num_nodes": keys.get("nodes", 1)}
    made.setup(
        hydra_context=SimpleNamespace(config_loader=None),
        task_function=None,
        config=OmegaConf.create({"name": "sweep", "trainer": trainer, "hydra": {"sweep": {"dir": "sweep"}}}),
    )
    return made


def job(folder: Path, *overrides: str) -> Job:
    return Job(overrides=overrides, folder=folder, arm="", seed=0, epochs=1)


def script_of(jobs: list[Job], **keys) -> str:
    return launcher(**keys).script(jobs, Path("/sweep/logs/slurm-1"))


def test_each_key_becomes_the_option_of_sbatch():
    keys = {"partition": "gpu", "gres": "gpu:2", "memory": "32G", "cpus": 3, "nodes": 2, "tasks_per_node": 2}
    script = script_of(
        [job(Path("a")), job(Path("b"))], **keys, time="1:00:00", at_once=4, options={"constraint": "a100"}
    )
    for option in (
        "partition=gpu",
        "gres=gpu:2",
        "mem=32G",
        "cpus-per-task=3",
        "nodes=2",
        "ntasks-per-node=2",
        "time=1:00:00",
        "array=0-1%4",
        "constraint=a100",
        "signal=USR1@120",
        "requeue",
    ):
        assert f"#SBATCH --{option}\n" in script
    assert "account" not in script


def test_the_script_gives_each_task_its_run_whatever_stands_in_it(tmp_path, standin):
    standin("srun", 'printf "%s\\n" "$@"')
    overrides = ("name=two words", "model.weights='$HOME `x`'", 'logger="(a)"')
    script = tmp_path / "batch.sh"
    script.write_text(script_of([job(Path("a"), "seed=0"), job(Path("b"), *overrides)], setup=["export MARK=1"]))
    for task, typed in enumerate((("seed=0",), overrides)):
        result = subprocess.run(
            ["bash", script],
            env={"PATH": f"{tmp_path / 'bin'}:/bin:/usr/bin", "SLURM_ARRAY_TASK_ID": str(task)},
            capture_output=True,
            text=True,
            check=True,
        )
        said = result.stdout.splitlines()
        assert said[0] == "--kill-on-bad-exit=1"
        assert said[-1] == "hydra.mode=RUN"
        assert tuple(said[-1 - len(typed) : -1]) == typed


def test_the_queue_is_read_back_from_the_scripts_of_its_jobs(tmp_path, standin):
    batch = tmp_path / "a sweep" / "logs" / "slurm-1"
    batch.mkdir(parents=True)
    (batch / "folders.json").write_text(json.dumps(["/runs/a", "/runs/b"]))
    lines = [f"7|0|RUNNING|{batch}/batch.sh", f"7|1|CANCELLED|{batch}/batch.sh", "9|N/A|RUNNING|/somebody/else.sh"]
    standin("squeue", "\n".join(f"echo '{line}'" for line in lines))
    running, cancelled = discovery.queue()
    assert (running.name, running.folder, running.has_ended) == ("7_0", Path("/runs/a"), False)
    assert (cancelled.name, cancelled.folder, cancelled.has_ended) == ("7_1", Path("/runs/b"), True)
    assert cancelled.log == batch / "1.log"


def test_a_controller_that_does_not_answer_is_no_empty_queue(standin):
    standin("squeue", "echo 'Unable to contact slurm controller' >&2; exit 1")
    with pytest.raises(UserError, match="squeue: Unable to contact slurm controller"):
        discovery.queue()


@pytest.mark.parametrize(
    ("keys", "trainer", "message"),
    [
        ({"nodes": 2}, {"num_nodes": 1}, r"trainer\.num_nodes=1 with hydra\.launcher\.nodes=2"),
        ({}, {"devices": 4}, r"trainer\.devices=4 with hydra\.launcher\.tasks_per_node=1"),
    ],
)
def test_a_request_that_does_not_fit_the_run_is_refused(keys, trainer, message, standin):
    standin("sbatch", "exit 0")
    made = launcher(**keys)
    made.config.trainer.update(trainer)
    with pytest.raises(UserError, match=message):
        made.launch([["seed=0"]], 0)


def test_without_slurm_the_way_on_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match=r"this machine has no sbatch\. .* hydra/launcher=local"):
        launcher().launch([["seed=0"]], 0)


def test_two_submissions_at_once_get_folders_of_their_own(tmp_path):
    assert [discovery._new_folder(tmp_path).name for _ in range(2)] == ["slurm-1", "slurm-2"]


def test_a_cluster_s_own_values_come_from_the_ignored_file(tmp_path):
    (tmp_path / "local").mkdir()
    (tmp_path / "local" / "discovery.yaml").write_text("partition: mine\naccount: me\n")
    schema.register()
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        typed = ["hydra/launcher=discovery", "hydra.launcher.account=you", f"hydra.searchpath=[{tmp_path}]"]
        config = compose("train", typed, return_hydra_config=True)
    assert config.hydra.launcher.partition == "mine"
    assert config.hydra.launcher.account == "you"
    assert config.hydra.launcher.gres == "gpu:1"
