"""The time to an accuracy, from run folders made by hand."""

import json
import sys
from pathlib import Path

import pytest

from fer_lightning.errors import UserError
from scripts import time_to_accuracy

GPU = {"device": "NVIDIA H200", "hardware": "Intel Xeon, 8 cores"}


def run(folder: Path, seed: int, accuracies: list[float], **facts) -> None:
    """Write a run with epochs of 120 seconds, at 50 images per second."""
    path = folder / f"seed-{seed}"
    path.mkdir(parents=True)
    summary = {
        "status": "done",
        "seed": seed,
        "device": "cpu",
        "hardware": "AMD EPYC, 2 cores",
        "threads": 1,
        "precision": "32-true",
        "commit": "c0ffee" * 5,
        "split": {"rows": {"train": 9000}},
    }
    (path / "summary.json").write_text(json.dumps(summary | {"compile_seconds": None} | facts))
    rows = [f"{epoch},{accuracy},120.0,50.0" for epoch, accuracy in enumerate(accuracies, start=1)]
    (path / "metrics.csv").write_text("\n".join(["epoch,val/acc,seconds,images_per_second", *rows]) + "\n")


def report(*folders: Path, target=(0.72,), out=None, extrapolate=()) -> str:
    return time_to_accuracy.report(list(folders), list(target), out, list(extrapolate))


def test_seconds_run_through_the_first_epoch_at_the_target(tmp_path):
    run(tmp_path, 0, [0.5, 0.72, 0.71], **GPU, compile_seconds=7.0)
    run(tmp_path, 1, [0.5, 0.6, 0.73], **GPU, compile_seconds=7.0)
    run(tmp_path, 2, [0.5, 0.6, 0.7], **GPU, compile_seconds=7.0)
    run(tmp_path / "aside", 4, [0.9])
    entry = time_to_accuracy.measure(tmp_path, [0.72])
    target = entry["targets"][0]
    assert (target["reached"], entry["runs"]) == (2, 3)
    assert target["seconds"] == {"mean": 300.0, "deviation": pytest.approx(120 / 2**0.5), "n": 2}
    assert target["epochs"]["mean"] == 2.5
    assert entry["last_val_acc"]["mean"] == pytest.approx((0.71 + 0.73 + 0.7) / 3)
    assert entry["seconds_in_all"]["mean"] == 360.0
    text = report(tmp_path)
    assert "| 300.0 ± 84.9 s in 2.5 ± 0.7 epochs, 2 of 3 reached | 71.33 ± 1.53 | 360.0 ± 0.0 s | 7.0 ± 0.0 |" in text
    assert "| NVIDIA H200, 32-true |" in text


def test_folders_are_rows_and_targets_are_columns_in_minutes_on_a_cpu(tmp_path):
    run(tmp_path / "fast", 0, [0.6, 0.65])
    run(tmp_path / "fast", 1, [0.5, 0.6])
    run(tmp_path / "slow", 0, [0.5])
    text = report(tmp_path / "fast", tmp_path / "slow", target=(0.6, 0.65))
    assert "| folder | n | time to 60 % | time to 65 % |" in text
    assert "| fast | 2 | 3.0 ± 1.4 min in 1.5 ± 0.7 epochs, 2 of 2 reached | 4.0 min in 2.0 epochs, 1 of 2" in text
    assert "| slow | 1 | 0 of 1 reached | 0 of 1 reached | 50.00 | 2.0 min | – | AMD EPYC, 2 cores, 32-true |" in text
    assert "differ" not in text
    assert "extrapolated" not in text


def test_a_published_recipe_is_extrapolated_only_where_no_run_reached_the_target(tmp_path):
    run(tmp_path / "plain", 0, [0.5])
    text = report(tmp_path / "plain", target=(0.5, 0.6), extrapolate=[f"{tmp_path}/plain=80"])
    assert "| 2.0 min in 1.0 epochs, 1 of 1 reached | 0 of 1 reached; extrapolated: 4.0 h |" in text
    assert "extrapolated: 80 epochs x 9000 rows / 50.00 images/s. No run has shown that this reaches the target" in text


@pytest.mark.parametrize("recipe", ["elsewhere=80", "80", "plain=0", "plain=many", "plain=1.5"])
def test_a_recipe_of_another_form_is_refused(tmp_path, monkeypatch, recipe):
    monkeypatch.chdir(tmp_path)
    run(Path("plain"), 0, [0.5])
    with pytest.raises(UserError, match=rf"--extrapolate {recipe}: must be DIR=EPOCHS, .* Use --extrapolate plain=80"):
        report(Path("plain"), extrapolate=[recipe])


@pytest.mark.parametrize("target", [0.0, -1.0, 65.0, float("nan")])
def test_a_target_that_is_no_share_is_refused(tmp_path, target):
    run(tmp_path, 0, [0.5])
    with pytest.raises(UserError, match=r"--target \S+: must be a share, above 0 and at most 1. Use --target 0.65"):
        report(tmp_path, target=[target])


def test_unfinished_runs_are_named_and_not_counted(tmp_path):
    run(tmp_path, 0, [0.8])
    run(tmp_path, 1, [0.9], status="interrupted")
    run(tmp_path, 2, [], status="running", device=None)
    text = report(tmp_path)
    assert "1 of 1 reached" in text
    assert f"{tmp_path}: not counted, because they are unfinished: seed-1, seed-2." in text


def test_a_folder_without_finished_runs_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"no finished run. Train one, for example: python train.py sweep=speed"):
        report(tmp_path)
    run(tmp_path, 0, [0.5], status="failed")
    with pytest.raises(UserError, match=r"no finished run. Unfinished: seed-0. Train one"):
        report(tmp_path)


@pytest.mark.parametrize(
    ("key", "facts", "values"),
    [
        ("device", {"device": "NVIDIA H200"}, "NVIDIA H200, cpu"),
        ("commit", {"commit": "beef"}, f"beef, {'c0ffee' * 5}"),
        ("hardware", {"hardware": "Intel Xeon, 2 cores"}, "AMD EPYC, 2 cores, Intel Xeon, 2 cores"),
        ("threads", {"threads": 2}, "1, 2"),
    ],
)
def test_runs_of_several_kinds_in_one_folder_are_refused(tmp_path, key, facts, values):
    run(tmp_path, 0, [0.5])
    run(tmp_path, 1, [0.5], **facts)
    with pytest.raises(
        UserError, match=rf"its runs differ in {key}: {values}. Put the runs of each into its own folder"
    ):
        report(tmp_path)


def test_folders_of_several_kinds_are_said_to_differ(tmp_path):
    run(tmp_path / "a", 0, [0.5])
    run(tmp_path / "b", 0, [0.5], commit="beef", **GPU)
    text = report(tmp_path / "a", tmp_path / "b")
    assert "The folders differ in device: cpu, NVIDIA H200." in text
    assert f"The folders differ in commit: {'c0ffee' * 5}, beef." in text
    assert "precision:" not in text


def test_the_files_of_one_folder_go_into_it_and_those_of_several_where_asked(tmp_path):
    run(tmp_path / "a", 0, [0.5])
    run(tmp_path / "b", 0, [0.5])
    text = report(tmp_path / "a")
    assert (tmp_path / "a/time_to_accuracy.md").read_text() == text
    assert json.loads((tmp_path / "a/time_to_accuracy.json").read_text())["folders"][0]["targets"][0]["reached"] == 0
    report(tmp_path / "a", tmp_path / "b", target=[0.5])
    assert (tmp_path / "a/time_to_accuracy.md").read_text() == text
    report(tmp_path / "a", tmp_path / "b", out=tmp_path / "out")
    assert (tmp_path / "out/time_to_accuracy.md").exists()


def test_an_error_is_one_line_with_status_2(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["time_to_accuracy.py", str(tmp_path), "--target", "0.6", "0.65"])
    with pytest.raises(SystemExit, match="2"):
        time_to_accuracy.main()
    assert capsys.readouterr().err.startswith(f"time_to_accuracy: {tmp_path}: no finished run.")


def test_runs_of_two_arms_and_a_seed_twice_are_refused(tmp_path):
    run(tmp_path / "arms", 0, [0.5])
    run(tmp_path / "arms", 1, [0.6], arm="loss=focal")
    with pytest.raises(
        UserError, match=r"its runs differ in arm: loss=focal, none\. Put the runs of each into its own"
    ):
        report(tmp_path / "arms")
    run(tmp_path / "twice", 0, [0.5])
    run(tmp_path / "twice", 1, [0.6])
    summary = json.loads((tmp_path / "twice" / "seed-1" / "summary.json").read_text())
    (tmp_path / "twice" / "seed-1" / "summary.json").write_text(json.dumps(summary | {"seed": 0}))
    with pytest.raises(UserError, match="two of its runs have the same seed: seed-0, seed-1"):
        report(tmp_path / "twice")
