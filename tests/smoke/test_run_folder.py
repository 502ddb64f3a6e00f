"""Files of a run, the effect of a second call, and refused calls."""

import csv
import fcntl
import json
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
import yaml
from conftest import ROOT, TINY, run_train
from smoke_processes import run_forked

from fer_lightning.data import synthetic
from fer_lightning.errors import UserError
from fer_lightning.evaluation.predictions import read_predictions
from fer_lightning.runs.run_folder import RunFolder, job_name

FILES = {
    "summary.json",
    "config.yaml",
    "overrides.txt",
    "metrics.csv",
    "predictions.csv",
    "test_reads.csv",
    "train.log",
    "env.txt",
    "checkpoints/best.ckpt",
    "checkpoints/last.ckpt",
    "plots/curves.png",
    "plots/confusion.png",
    "plots/per_class.png",
    "plots/augmentation.png",
    "plots/stn.png",
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished run through the command line, with its output folder and its typed overrides."""
    outputs = tmp_path_factory.mktemp("outputs")
    overrides = (*TINY, "stn=affine", f"output_dir={outputs}", "seed=3")
    result = run_forked(*overrides)
    assert result.returncode == 0, result.stdout + result.stderr
    return outputs, overrides, result


def folder_of(outputs) -> RunFolder:
    return RunFolder(next((outputs / "train").iterdir()))


def test_the_run_folder_holds_exactly_what_is_promised(finished):
    folder = folder_of(finished[0]).path
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert found - {".lock"} == FILES


def test_the_summary_says_what_was_done(finished):
    summary = folder_of(finished[0]).summary()
    assert summary["status"] == "done"
    assert summary["seed"] == 3
    assert summary["epochs"] == 2
    assert summary["choices"]["stn"] == "affine"
    assert summary["split"]["rows"]["train"] > summary["split"]["rows"]["test"] > 0
    assert len(summary["split"]["checksum"]) == 64
    for key in ("best", "last", "test", "overfitting_gap", "parameters", "commit", "hardware", "images_per_second"):
        assert summary[key], key
    gap = summary["best"]["train_eval/acc"] - summary["best"]["val/acc"]
    assert summary["overfitting_gap"]["best"] == pytest.approx(gap)


def test_predictions_agree_with_the_reported_test_figures(finished):
    folder = folder_of(finished[0])
    predictions = read_predictions(folder.path / "predictions.csv")
    test = folder.summary()["test"]
    assert len(predictions) == test["all"]["rows"]
    assert (predictions.predicted == predictions.labels).mean() == pytest.approx(test["test/acc"])
    likelihood = predictions.probabilities[range(len(predictions)), predictions.labels]
    assert -np.log(likelihood).mean() == pytest.approx(test["test/ce"])
    np.testing.assert_allclose(predictions.probabilities.sum(axis=1), 1, atol=1e-5)
    table = synthetic.load(rows=300)
    assert predictions.images.tolist() == [digest.tobytes().hex() for digest in table.digests[predictions.rows]]


def test_the_summary_tells_rows_and_intervals_of_every_set(finished):
    test = folder_of(finished[0]).summary()["test"]
    official, unseen, clean = (test[name] for name in ("all", "unseen", "clean"))
    assert official["rows"] > unseen["rows"] >= clean["rows"] > 0
    for entry in (official, unseen, clean):
        assert entry["acc"]["low"] < entry["acc"]["value"] < entry["acc"]["high"]
    for name in ("acc", "f1_macro", "recall_mean", "ece", "ce"):
        assert test[f"test/{name}"] == official[name]["value"]
    assert test["test/loss"] > 0


def test_the_look_at_the_test_rows_is_counted(finished):
    folder = folder_of(finished[0])
    with open(folder.path / "test_reads.csv", newline="") as file:
        (line,) = csv.DictReader(file)
    assert line["tta"] == "none"
    assert line["split"] == folder.summary()["split"]["checksum"]
    assert folder.summary()["test"]["reads"] == {"run": 1, "data": None, "note": None}
    assert "The test rows were read once by this run." in finished[2].stdout


def test_the_best_epoch_is_the_earliest_maximum(finished):
    folder = folder_of(finished[0])
    with open(folder.path / "metrics.csv", newline="") as file:
        accuracies = [float(row["val/acc"]) for row in csv.DictReader(file)]
    assert folder.summary()["best"]["epoch"] == accuracies.index(max(accuracies)) + 1


def test_the_console_ends_with_the_table_and_the_folder(finished):
    output = finished[2].stdout
    assert "surprise" in output
    assert output.rstrip().splitlines()[-1] == f"run folder: {folder_of(finished[0]).path}"


@pytest.mark.slow
def test_a_finished_run_is_reported_and_left_alone(finished):
    outputs, overrides, _ = finished
    before = (folder_of(outputs).path / "summary.json").read_bytes()
    result = run_forked(*overrides)
    assert result.returncode == 0
    assert "is done" in result.stdout
    assert (folder_of(outputs).path / "summary.json").read_bytes() == before


def test_another_config_in_the_same_folder_is_refused(finished):
    folder = folder_of(finished[0])
    config = yaml.safe_load((folder.path / "config.yaml").read_text())
    config["optim"]["lr"] = 0.123
    with pytest.raises(UserError, match=r"optim\.lr: .* -> 0\.123") as refusal:
        RunFolder(folder.path).claim(config)
    assert "name=" in str(refusal.value)


def test_resume_never_keeps_what_stood_there(tmp_path):
    folder = RunFolder(tmp_path / "run")
    folder.claim({"seed": 0})
    folder.begin()
    folder.release()
    again = RunFolder(tmp_path / "run", start_over=True)
    again.claim({"seed": 1})
    assert not (tmp_path / "run~1").exists()
    again.begin()
    assert yaml.safe_load((tmp_path / "run~1" / "config.yaml").read_text()) == {"seed": 0}
    assert yaml.safe_load((tmp_path / "run" / "config.yaml").read_text()) == {"seed": 1}
    again.release()


def test_what_a_killed_process_was_writing_is_cleared_away(tmp_path):
    folder = RunFolder(tmp_path / "run")
    (folder.path / "checkpoints").mkdir(parents=True)
    for name in ("checkpoints/.last.ckpt.tmp", "checkpoints/last.ckpt", ".summary.json.tmp"):
        (folder.path / name).write_text("half")
    folder.claim({"seed": 0})
    folder.begin()
    assert {path.name for path in folder.path.rglob("*.*")} == {"last.ckpt", "config.yaml", ".lock"}
    folder.release()


def test_what_a_run_left_before_its_first_checkpoint_is_not_mixed_with_another(tmp_path):
    left = [tmp_path / name for name in ("checkpoints/best.ckpt", "metrics.csv")]
    for path in left:
        path.parent.mkdir(exist_ok=True)
        path.write_text("of a run that was killed in its first epoch")
    folder = RunFolder(tmp_path)
    folder.claim({"seed": 1})
    folder.begin()
    folder.release()
    assert not any(path.exists() for path in left)


def test_a_lock_that_was_set_aside_with_its_folder_is_not_held(tmp_path, monkeypatch):
    """Between opening the lock and holding it, another process with resume=never renames the folder."""
    path, flock = tmp_path / "run", fcntl.flock

    def rename_first(*args):
        monkeypatch.setattr(fcntl, "flock", flock)
        path.rename(tmp_path / "run~1")
        flock(*args)

    monkeypatch.setattr(fcntl, "flock", rename_first)
    folder = RunFolder(path)
    folder.lock()
    with pytest.raises(UserError, match="being written"):
        RunFolder(path).lock()
    folder.release()


@pytest.mark.slow
def test_a_second_run_in_a_folder_is_refused_while_the_first_goes_on(tmp_path):
    overrides = (*TINY, "trainer.max_epochs=500", f"output_dir={tmp_path}")
    first = subprocess.Popen(
        [sys.executable, "train.py", *overrides], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        while not list(tmp_path.glob("train/*/overrides.txt")):
            assert first.poll() is None, "the first run ended early"
            time.sleep(0.05)
        result = run_forked(*overrides)
        assert result.returncode == 2, result.stdout + result.stderr
        assert f"{folder_of(tmp_path).path}: this folder is being written by process {first.pid}" in result.stderr
        assert "name=" in result.stderr
        assert "Traceback" not in result.stderr
        assert first.poll() is None
    finally:
        first.kill()
        first.wait()


def test_one_process_at_a_time_holds_a_folder(tmp_path):
    holder = (
        "import sys, pathlib; from fer_lightning.runs.run_folder import RunFolder\n"
        "folder = RunFolder(pathlib.Path(sys.argv[1])); folder.lock(); print('held', flush=True); sys.stdin.read()"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", holder, str(tmp_path)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        other.stdout.readline()
        with pytest.raises(UserError, match=str(other.pid)):
            RunFolder(tmp_path).lock()
    finally:
        other.communicate(timeout=30)
    free = RunFolder(tmp_path)
    free.lock()
    free.release()


@pytest.mark.slow
def test_a_failed_run_says_so_in_its_summary(tmp_path):
    result = run_forked(*TINY, "optim.lr=1e30", "ema_decay=null", f"output_dir={tmp_path}")
    assert result.returncode == 2
    assert "Training has diverged" in result.stderr
    summary = json.loads((folder_of(tmp_path).path / "summary.json").read_text())
    assert summary["status"] == "failed"
    assert "Training has diverged" in summary["error"]


@pytest.mark.slow
def test_a_run_without_a_full_batch_is_rejected_before_there_is_a_folder(tmp_path):
    result = run_forked(*TINY, "data.rows=120", "data.batch_size=500", f"output_dir={tmp_path}")
    assert result.returncode == 2
    assert "data.batch_size=500" in result.stderr
    assert not list(tmp_path.rglob("summary.json"))


@pytest.mark.parametrize(
    ("words", "fix"),
    [(["trainer=gpu"], "trainer=cpu"), (["trainer=auto", "trainer.precision=16-mixed"], "trainer.precision=32-true")],
    ids=["device", "precision"],
)
def test_a_missing_device_is_refused_before_there_is_a_folder(tmp_path, words, fix):
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    result = run_forked(*TINY, *words, f"output_dir={tmp_path}")
    assert result.returncode == 2
    assert fix in result.stderr
    assert "Traceback" not in result.stderr
    assert not list(tmp_path.iterdir())


def test_job_names_depend_on_what_was_typed_and_the_seed_alone():
    typed = ["model=emonext", "+trainer.fast_dev_run=true", "seed=4", "name=x", "logger=wandb", "resume=never"]
    assert job_name(typed, 4) == "model-emonext_trainer.fast_dev_run-true_seed-4"
    assert job_name(list(reversed(typed)), 4) == job_name(typed, 4)
    assert job_name([], 0) == "seed-0"
    long = [f"optim.key{i}=value" for i in range(40)]
    assert len(job_name(long, 0)) <= 120
    assert job_name(long, 0) != job_name([*long, "optim.lr=1"], 0)


@pytest.mark.slow
def test_a_multirun_gives_each_job_its_folder(tmp_path):
    result = run_train("-m", *TINY, "seed=1,2", "trainer.max_epochs=1", f"output_dir={tmp_path}")
    assert result.returncode == 0, result.stdout + result.stderr
    folders = list((tmp_path / "train").glob("*seed-*"))
    assert {RunFolder(folder).summary()["seed"] for folder in folders} == {1, 2}
    assert (tmp_path / "train" / "report" / "index.html").exists()
