"""A run that was cut off anywhere and started again ends with the weights and figures of an undisturbed one."""

import itertools
from pathlib import Path

import pytest
import torch
from conftest import TINY, composed
from smoke_tables import table_without_timings

import train
from fer_lightning.classifier import FERClassifier
from fer_lightning.errors import UserError
from fer_lightning.runs import RunFolder

# Everything that draws or remembers: weighted sampler, mixing, dropout, EMA, accumulation, a stateful schedule.
EVERYTHING = (
    *TINY,
    "sampler=weighted",
    "augment=mix",
    "schedule=plateau",
    "optim=adamw",
    "ema_decay=0.9",
    "stn=affine",
    "loss=focal",
    "trainer.max_epochs=3",
    "trainer.accumulate_grad_batches=2",
    "trainer.gradient_clip_val=1.0",
    "callbacks.last.every_n_steps=1",
)
BATCHES = 6  # of an epoch


class Cut(Exception):
    """Stands for the moment when a process dies."""


def run(folder: Path, *overrides: str) -> None:
    cfg = composed(*EVERYTHING, *overrides)
    train.fit_and_test(cfg, RunFolder(folder), {})


def run_until(folder: Path, batch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Die on entering this batch, counted from 0 over the whole run."""
    training_step, batches = FERClassifier.training_step, itertools.count()

    def cut_short(self, *args):
        if next(batches) == batch:
            raise Cut
        return training_step(self, *args)

    with monkeypatch.context() as patch:
        patch.setattr(FERClassifier, "training_step", cut_short)
        with pytest.raises(Cut):
            run(folder)


def weights(folder: Path, name: str) -> dict[str, torch.Tensor]:
    return torch.load(folder / "checkpoints" / name, weights_only=True)["state_dict"]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed")
    run(folder)
    return folder


@pytest.mark.parametrize("batch", [1, BATCHES - 1, BATCHES, BATCHES + 3, 2 * BATCHES + 4])
def test_a_cut_run_resumes_bit_for_bit(batch, undisturbed, tmp_path, monkeypatch):
    run_until(tmp_path, batch, monkeypatch)
    run(tmp_path)
    assert table_without_timings(tmp_path) == table_without_timings(undisturbed)
    for name in ("last.ckpt", "best.ckpt"):
        expected, reached = weights(undisturbed, name), weights(tmp_path, name)
        assert expected.keys() == reached.keys()
        for key, value in expected.items():
            assert torch.equal(value, reached[key]), f"{name}: {key}"
    assert (tmp_path / "predictions.csv").read_text() == (undisturbed / "predictions.csv").read_text()


def test_a_run_cut_in_its_test_is_only_tested_again(undisturbed, tmp_path, monkeypatch):
    def cut(*args):
        raise Cut

    with monkeypatch.context() as patch:
        patch.setattr(FERClassifier, "test_step", cut)
        with pytest.raises(Cut):
            run(tmp_path)
    trained = (tmp_path / "checkpoints" / "last.ckpt").stat().st_mtime_ns
    run(tmp_path)
    assert (tmp_path / "checkpoints" / "last.ckpt").stat().st_mtime_ns == trained
    assert (tmp_path / "predictions.csv").read_text() == (undisturbed / "predictions.csv").read_text()


def test_a_run_does_not_go_on_with_other_data(tmp_path, monkeypatch):
    run_until(tmp_path, BATCHES + 1, monkeypatch)
    with pytest.raises(UserError, match="began on split"):
        run(tmp_path, "data.seed=1")


def test_checkpoints_hold_tensors_and_plain_python_only(undisturbed):
    for name in ("last.ckpt", "best.ckpt"):
        torch.load(undisturbed / "checkpoints" / name, weights_only=True)


def test_early_stopping_still_holds_after_a_resume(tmp_path, monkeypatch):
    stop = ("trainer.max_epochs=6", "callbacks.early_stopping.patience=1", "optim.lr=1e-9", "ema_decay=null")
    run(tmp_path, *stop)
    ended = table_without_timings(tmp_path)
    assert len(ended) < 6
    run(tmp_path, *stop)
    assert table_without_timings(tmp_path) == ended
