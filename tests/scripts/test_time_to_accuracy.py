"""The time to an accuracy, from run folders made by hand."""

import json
from pathlib import Path

import pytest

from fer_lightning.errors import UserError
from scripts import time_to_accuracy


def run(folder: Path, seed: int, accuracies: list[float], **facts) -> None:
    """Epochs of 2 seconds."""
    path = folder / f"seed-{seed}"
    path.mkdir(parents=True)
    summary = {"status": "done", "seed": seed, "device": "cpu", "precision": "bf16-mixed", "commit": "c0ffee" * 5}
    (path / "summary.json").write_text(json.dumps(summary | {"compile_seconds": 7.0} | facts))
    rows = [f"{epoch},{accuracy},2.0" for epoch, accuracy in enumerate(accuracies, start=1)]
    (path / "metrics.csv").write_text("\n".join(["epoch,val/acc,seconds", *rows]) + "\n")


def test_seconds_run_through_the_first_epoch_at_the_target(tmp_path):
    run(tmp_path, 0, [0.5, 0.72, 0.71])
    run(tmp_path, 1, [0.5, 0.6, 0.73])
    run(tmp_path, 2, [0.5, 0.6, 0.7])
    run(tmp_path, 3, [0.9], status="interrupted")
    run(tmp_path / "aside", 4, [0.9])
    entry = time_to_accuracy.measure(time_to_accuracy.finished(tmp_path), target=0.72)
    assert (entry["reached"], entry["runs"]) == (2, 3)
    assert entry["seconds_to_target"] == {"mean": 5.0, "deviation": pytest.approx(2**0.5), "n": 2}
    assert entry["epochs_to_target"]["mean"] == 2.5
    assert entry["last_val_acc"]["mean"] == pytest.approx((0.71 + 0.73 + 0.7) / 3)
    assert entry["seconds_in_all"]["mean"] == 6.0
    assert "| training seconds until then | 5.0 ± 1.4 |" in time_to_accuracy.table(entry)


def test_a_target_that_no_run_reaches_is_said(tmp_path):
    run(tmp_path, 0, [0.5], compile_seconds=None)
    entry = time_to_accuracy.measure(time_to_accuracy.finished(tmp_path), target=0.72)
    assert "0 of 1" in time_to_accuracy.table(entry)
    assert entry["seconds_to_target"] is None


def test_runs_of_several_kinds_are_not_timed_together(tmp_path):
    with pytest.raises(UserError, match=r"no finished run in it. Train some: python train.py sweep=speed"):
        time_to_accuracy.finished(tmp_path)
    run(tmp_path, 0, [0.5])
    run(tmp_path, 1, [0.5], device="NVIDIA H200")
    with pytest.raises(UserError, match=r"its runs differ in device: NVIDIA H200, cpu. Time runs of one kind"):
        time_to_accuracy.finished(tmp_path)
