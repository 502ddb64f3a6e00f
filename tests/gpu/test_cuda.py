"""Behaviour that needs a GPU: precision, a feed without waiting, compilation, resuming, several devices."""

import json
import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import TINY, composed, run_train
from omegaconf import OmegaConf

from fer_lightning.cli import train
from fer_lightning.evaluation import evaluate
from fer_lightning.evaluation.predictions import read_predictions
from fer_lightning.runs.run_folder import RunFolder
from fer_lightning.training import build
from fer_lightning.training.classifier import FERClassifier

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU that torch can use"),
    pytest.mark.usefixtures("no_pictures"),
]
ON_GPU = (*(override for override in TINY if override != "trainer=cpu"), "trainer=gpu")
RECIPE = ("model=se_resnet", "model.blocks=[1,1]", "model.channels=[8,16]", "augment=strong_mix", "ema_decay=0.9")
SMALL = (*(override for override in ON_GPU if not override.startswith("model")), *RECIPE, "loss=label_smoothing")


class Cut(Exception):
    """Stands for the moment when a process dies."""


def run(folder: Path, *overrides: str) -> dict:
    cfg = composed(*overrides)
    run_folder = RunFolder(folder)
    run_folder.claim(OmegaConf.to_container(cfg, resolve=True, enum_to_str=True))
    try:
        train.fit_and_test(cfg, run_folder, {})
    finally:
        run_folder.release()
    return json.loads((folder / "summary.json").read_text())


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed", "16-mixed"])
def test_each_precision_takes_real_steps(precision, tmp_path):
    summary = run(tmp_path, *ON_GPU, "augment=mix", "stn=affine", f"trainer.precision={precision}")
    assert summary["status"] == "done"
    assert summary["device"] == torch.cuda.get_device_name()
    assert math.isfinite(summary["last"]["train/loss"])


def first_batches(device: str) -> list[dict]:
    """Three training batches as a run on this device feeds them, augmented."""
    data = build.build_data(composed(*SMALL))
    place = SimpleNamespace(root_device=torch.device(device))
    data.trainer = SimpleNamespace(global_rank=0, world_size=1, training=True, strategy=place)
    batches = [batch for batch, _ in zip(data.train_dataloader(), range(3), strict=False)]
    return [data.on_after_batch_transfer(batch, 0) for batch in batches]


def test_faces_on_the_gpu_feed_what_faces_in_memory_feed():
    for on_gpu, on_cpu in zip(first_batches("cuda"), first_batches("cpu"), strict=True):
        assert on_gpu["image"].is_cuda
        assert torch.equal(on_gpu["row"].cpu(), on_cpu["row"])
        torch.testing.assert_close(on_gpu["target"].cpu(), on_cpu["target"])
        assert (on_gpu["image"].cpu() - on_cpu["image"]).abs().mean() < 0.02


@pytest.mark.parametrize("overrides", [(), ("stn=affine", "sampler=weighted", "loss=weighted")], ids=" ".join)
def test_a_training_step_does_not_make_the_host_wait(overrides, tmp_path, monkeypatch):
    """torch raises where an operation would: from the third batch of an epoch to its last but one."""
    began, ended = FERClassifier.on_train_batch_start, FERClassifier.on_validation_start

    def watched(self, batch, batch_idx):
        last = batch_idx == self.trainer.num_training_batches - 1
        torch.cuda.set_sync_debug_mode("error" if batch_idx >= 2 and not last else "default")
        return began(self, batch, batch_idx)

    def unwatched(self):
        torch.cuda.set_sync_debug_mode("default")
        return ended(self)

    monkeypatch.setattr(FERClassifier, "on_train_batch_start", watched)
    monkeypatch.setattr(FERClassifier, "on_validation_start", unwatched)
    try:
        assert run(tmp_path, *SMALL, *overrides)["status"] == "done"
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_a_compiled_run_is_the_eager_one_but_for_rounding(tmp_path):
    """And it compiles once, before the clock starts."""
    exact = (*SMALL, "trainer.precision=32-true", "data.train_eval_rows=60")
    eager = run(tmp_path / "eager", *exact)
    with torch._dynamo.config.patch(error_on_recompile=True):
        compiled = run(tmp_path / "compiled", *exact, "compile=true")
    assert compiled["compile_seconds"] > 0
    assert eager["compile_seconds"] is None
    for name in ("train/loss", "val/ce", "train_eval/ce"):
        assert compiled["last"][name] == pytest.approx(eager["last"][name], rel=0.02)


def test_a_run_that_was_cut_off_ends_near_the_undisturbed_one(tmp_path, monkeypatch):
    exact = (*SMALL, "trainer.precision=32-true", "callbacks.last.every_n_steps=1")
    undisturbed = run(tmp_path / "undisturbed", *exact)
    step = FERClassifier.training_step

    def cut_short(self, batch, batch_idx):
        if batch["key"] == (1, 3):
            raise Cut
        return step(self, batch, batch_idx)

    with monkeypatch.context() as patch:
        patch.setattr(FERClassifier, "training_step", cut_short)
        with pytest.raises(Cut):
            run(tmp_path / "cut", *exact)
    resumed = run(tmp_path / "cut", *exact)
    assert resumed["epochs"] == undisturbed["epochs"]
    assert resumed["last"]["train/loss"] == pytest.approx(undisturbed["last"]["train/loss"], rel=0.02)


def test_evaluation_on_the_gpu_is_that_on_the_cpu_but_for_rounding(tmp_path, monkeypatch):
    monkeypatch.setattr("fer_lightning.evaluation.stopwatch.REPEATS", (1, 1))
    run(tmp_path, *SMALL, "trainer.precision=32-true")
    for device in ("cuda", "cpu"):
        evaluate.evaluate(evaluate.config([f"run={tmp_path}", f"device={device}", "tta=ten_crop"]))
        (tmp_path / "evaluation" / "ten_crop").rename(tmp_path / device)
    on_gpu, on_cpu = (read_predictions(tmp_path / name / "predictions.csv") for name in ("cuda", "cpu"))
    np.testing.assert_allclose(on_gpu.probabilities, on_cpu.probabilities, atol=0.02)


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two GPUs")
def test_two_gpus_train_one_run(tmp_path):
    result = run_train(*ON_GPU, "trainer=ddp", "trainer.accelerator=gpu", "trainer.devices=2", f"output_dir={tmp_path}")
    assert result.returncode == 0, result.stderr[-3000:]
    (summary,) = tmp_path.glob("*/*/summary.json")
    assert json.loads(summary.read_text())["world_size"] == 2
