"""A run that was cut off anywhere and started again ends with the weights and metrics of an undisturbed one."""

import itertools
import math
import os
import re
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from conftest import TINY, composed
from omegaconf import OmegaConf
from smoke_tables import assert_same_outcome, difference, table_without_timings

from fer_lightning.cli import train
from fer_lightning.errors import UserError
from fer_lightning.losses.focal import Focal
from fer_lightning.runs import interruption
from fer_lightning.runs.interruption import Interrupted, Signals
from fer_lightning.runs.run_folder import RunFolder
from fer_lightning.training import distributed
from fer_lightning.training.callbacks import checkpoint
from fer_lightning.training.classifier import FERClassifier

pytestmark = pytest.mark.usefixtures("no_pictures")

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
SLOW = pytest.mark.slow


class Cut(Exception):
    """Stands for the moment when a process dies."""


def cut(*args) -> None:
    raise Cut


# The small network, whose filters come from training rows, with its optimiser and images that grow from 32 to 48 px.
GROWING = (
    *(override for override in TINY if not override.startswith("model")),
    "model=whitened_cnn",
    "model.channels=[8,16]",
    "optim=muon",
    "data.start_size=32",
    "ema_decay=0.9",
    "trainer.max_epochs=3",
    "callbacks.last.every_n_steps=1",
)


def run(folder: Path, *overrides: str, recipe: tuple[str, ...] = EVERYTHING) -> None:
    cfg = composed(*recipe, *overrides)
    train.fit_and_test(cfg, RunFolder(folder), {})


def run_until(folder: Path, batch: int, monkeypatch: pytest.MonkeyPatch, *overrides: str, **options) -> None:
    """Die on entering this batch, counted from 0 over this call."""
    training_step, batches = FERClassifier.training_step, itertools.count()

    def cut_short(self, *args):
        if next(batches) == batch:
            raise Cut
        return training_step(self, *args)

    with monkeypatch.context() as patch:
        patch.setattr(FERClassifier, "training_step", cut_short)
        with pytest.raises(Cut):
            run(folder, *overrides, **options)


def weights(folder: Path, name: str) -> dict[str, torch.Tensor]:
    return torch.load(folder / "checkpoints" / name, weights_only=True)["state_dict"]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, no_pictures) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed")
    run(folder)
    return folder


@pytest.mark.parametrize(
    "batch", [BATCHES + 3, *(pytest.param(n, marks=SLOW) for n in (1, BATCHES - 1, BATCHES, 2 * BATCHES + 4))]
)
def test_a_cut_run_resumes_bit_for_bit(batch, undisturbed, tmp_path, monkeypatch):
    run_until(tmp_path, batch, monkeypatch)
    run(tmp_path)
    assert_same_outcome(tmp_path, undisturbed)


@pytest.mark.slow
def test_a_cut_run_of_the_small_network_resumes_bit_for_bit(tmp_path, monkeypatch):
    undisturbed, cut_run = tmp_path / "undisturbed", tmp_path / "cut"
    run(undisturbed, recipe=GROWING)
    for batch in (4, 3, 5):  # at 32, 40 and 48 px
        run_until(cut_run, batch, monkeypatch, recipe=GROWING)
    run(cut_run, recipe=GROWING)
    assert_same_outcome(cut_run, undisturbed)


@pytest.mark.slow
def test_a_run_cut_in_its_test_is_only_tested_again(undisturbed, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(FERClassifier, "test_step", cut)
        with pytest.raises(Cut):
            run(tmp_path)
    trained = (tmp_path / "checkpoints" / "last.ckpt").stat().st_mtime_ns
    run(tmp_path)
    assert (tmp_path / "checkpoints" / "last.ckpt").stat().st_mtime_ns == trained
    assert (tmp_path / "predictions.csv").read_text() == (undisturbed / "predictions.csv").read_text()


@pytest.mark.slow
def test_every_step_of_every_epoch_draws_anew(tmp_path, monkeypatch):
    training_step, keys = FERClassifier.training_step, []

    def noted(self, batch, batch_idx):
        keys.append(batch["key"])
        return training_step(self, batch, batch_idx)

    monkeypatch.setattr(FERClassifier, "training_step", noted)
    run(tmp_path)
    assert keys == [(epoch, step) for epoch in range(3) for step in range(BATCHES)]


def cut_at_rename(moment: str, name: str, nth: int) -> Callable[[pytest.MonkeyPatch], None]:
    """Die before or after the nth file of this name is put in its place."""

    def patch(monkeypatch: pytest.MonkeyPatch) -> None:
        replace, count = os.replace, itertools.count(1)

        def replace_or_die(source, target):
            if Path(target).name != name or next(count) != nth:
                return replace(source, target)
            if moment == "after":
                replace(source, target)
            raise Cut

        monkeypatch.setattr(os, "replace", replace_or_die)

    return patch


IN_THE_FIRST_EPOCH = (
    ("before", "last.ckpt", 1),
    ("after", "metrics.csv", 1),
    ("before", "best.ckpt", 1),
    ("before", "best.ckpt", 1),  # as the run resumes: it writes best.ckpt from last.ckpt
    ("after", "best.ckpt", 1),
)
LATER = (("before", "last.ckpt", 4), ("before", "predictions.csv", 1), ("before", "summary.json", 2))


@pytest.mark.slow
@pytest.mark.parametrize("moments", [pytest.param(IN_THE_FIRST_EPOCH, marks=SLOW), LATER], ids=["first epoch", "later"])
def test_a_run_cut_while_it_writes_resumes_bit_for_bit(moments, undisturbed, tmp_path, monkeypatch):
    for moment in moments:
        with monkeypatch.context() as patch:
            cut_at_rename(*moment)(patch)
            with pytest.raises(Cut):
                run(tmp_path)
    run(tmp_path)
    assert_same_outcome(tmp_path, undisturbed)


def test_the_best_checkpoint_is_of_the_epoch_that_the_last_one_names(tmp_path, monkeypatch):
    """It is completed before the first step that follows a kill between the two writes."""
    with monkeypatch.context() as patch:
        cut_at_rename("before", "best.ckpt", 1)(patch)
        with pytest.raises(Cut):
            run(tmp_path)
    assert not (tmp_path / "checkpoints" / "best.ckpt").exists()
    run_until(tmp_path, 0, monkeypatch)
    best, last = (torch.load(tmp_path / "checkpoints" / name, weights_only=True) for name in ("best.ckpt", "last.ckpt"))
    assert best["epoch"] == last["callbacks"]["BestCheckpoint"]["best_epoch"] == 0
    assert difference(best["state_dict"], last["state_dict"]) is None


@pytest.fixture
def listening(monkeypatch):
    """This process listens to signals as train.py does."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    fresh = Signals()
    for module in (interruption, checkpoint, distributed):
        monkeypatch.setattr(module, "signals", fresh)
    fresh.install()
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def signalled(monkeypatch: pytest.MonkeyPatch, method: str, nth: int, *signums: int) -> None:
    """Send this process signals as it enters the nth call of a classifier's method."""
    original, count = getattr(FERClassifier, method), itertools.count(1)

    def receive(self, *args):
        if next(count) == nth:
            for signum in signums:
                signal.raise_signal(signum)
        return original(self, *args)

    monkeypatch.setattr(FERClassifier, method, receive)


RARELY = "callbacks.last.every_n_steps=1000"


@pytest.mark.slow
@pytest.mark.parametrize(("signum", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_is_answered_behind_the_step_under_way(signum, status, undisturbed, listening, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        signalled(patch, "training_step", BATCHES + 3, signum)
        with pytest.raises(Interrupted) as ended:
            run(tmp_path, RARELY)
    assert ended.value.code == status
    assert RunFolder(tmp_path).summary()["status"] == "interrupted"
    last = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)
    assert last["global_step"] == BATCHES // 2 + 2  # its optimiser step spans batches 3 and 4 of the second epoch
    interruption.signals.received = 0
    run(tmp_path, RARELY)
    assert_same_outcome(tmp_path, undisturbed)


@pytest.mark.slow
def test_a_signal_in_the_last_step_of_an_epoch_loses_nothing(undisturbed, listening, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        signalled(patch, "training_step", BATCHES, signal.SIGTERM)
        with pytest.raises(Interrupted):
            run(tmp_path, RARELY)
    last = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)
    assert last["global_step"] == BATCHES // 2
    interruption.signals.received = 0
    run(tmp_path, RARELY)
    assert_same_outcome(tmp_path, undisturbed)


@pytest.mark.slow
def test_a_signal_in_validation_ends_the_run_at_once(listening, tmp_path, monkeypatch):
    signalled(monkeypatch, "validation_step", 1, signal.SIGINT)
    with pytest.raises(Interrupted):
        run(tmp_path, RARELY)
    assert not (tmp_path / "checkpoints" / "last.ckpt").exists()
    assert not (tmp_path / "metrics.csv").exists()


@pytest.mark.slow
def test_a_second_signal_ends_the_run_at_once_and_an_echo_does_not(listening, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        signalled(patch, "training_step", 1, signal.SIGINT, signal.SIGINT)
        with pytest.raises(Interrupted):
            run(tmp_path, RARELY)
    assert (tmp_path / "checkpoints" / "last.ckpt").exists()
    trained = (tmp_path / "checkpoints" / "last.ckpt").read_bytes()
    interruption.signals.received = 0
    with monkeypatch.context() as patch:
        patch.setattr(interruption, "ECHO_SECONDS", 0.0)
        signalled(patch, "training_step", 1, signal.SIGINT, signal.SIGTERM)
        with pytest.raises(Interrupted):
            run(tmp_path, RARELY)
    assert (tmp_path / "checkpoints" / "last.ckpt").read_bytes() == trained


@pytest.mark.slow
@pytest.mark.parametrize(
    ("every", "overrides"),
    [
        (1, ("trainer.accumulate_grad_batches=4",)),
        (2, ("trainer.accumulate_grad_batches=1", "trainer.limit_train_batches=5")),
        (4, ("trainer.accumulate_grad_batches=2", "trainer.limit_train_batches=5")),
        (3, ("trainer.accumulate_grad_batches=8",)),
    ],
)
def test_no_more_steps_are_lost_than_allowed(every, overrides, tmp_path, monkeypatch):
    save, steps = checkpoint.AtomicCheckpointIO.save_checkpoint, [0]

    def noted(self, content, path, storage_options=None):
        save(self, content, path, storage_options)
        if Path(path).name == "last.ckpt":
            steps.append(content["global_step"])

    monkeypatch.setattr(checkpoint.AtomicCheckpointIO, "save_checkpoint", noted)
    monkeypatch.setattr(FERClassifier, "test_step", cut)
    with pytest.raises(Cut):
        run(tmp_path, *overrides, f"callbacks.last.every_n_steps={every}")
    assert max(later - earlier for earlier, later in itertools.pairwise(steps)) <= every
    assert steps[-1] == torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)["global_step"]


@SLOW
def test_a_limited_epoch_resumes_bit_for_bit(tmp_path, monkeypatch):
    limited = ("trainer.limit_train_batches=5", "trainer.max_epochs=2")
    run(tmp_path / "undisturbed", *limited)
    for batch in (3, 4):  # each counted from where the run resumes
        run_until(tmp_path / "cut", batch, monkeypatch, *limited)
    run(tmp_path / "cut", *limited)
    assert_same_outcome(tmp_path / "cut", tmp_path / "undisturbed")


def nan_from(monkeypatch: pytest.MonkeyPatch, batch: int) -> None:
    """The loss is not a number from this training batch on, counted from 0 over all epochs."""
    forward, count = Focal.forward, itertools.count()

    def broken(self, logits, target):
        spoilt = self.training and torch.is_grad_enabled() and next(count) >= batch
        return forward(self, logits, target) * (math.nan if spoilt else 1)

    monkeypatch.setattr(Focal, "forward", broken)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("batch", "place"),
    [(BATCHES + 2, "step 5 (epoch 2, batch 3 of 6)"), (2 * BATCHES - 1, "step 6 (epoch 2, batch 6 of 6)")],
    ids=["in the middle", "at the epoch's end"],
)
def test_a_loss_that_is_not_a_number_stops_the_run_and_spoils_nothing(batch, place, tmp_path, monkeypatch):
    kept = {}
    end_epoch = checkpoint.BestCheckpoint.on_train_epoch_end

    def keep(self, *args):
        end_epoch(self, *args)
        kept.update({path: path.read_bytes() for path in (tmp_path / "checkpoints").iterdir()})

    with monkeypatch.context() as patch:
        nan_from(patch, batch)
        patch.setattr(checkpoint.BestCheckpoint, "on_train_epoch_end", keep)
        with pytest.raises(UserError) as stopped:
            run(tmp_path, RARELY)
    message = str(stopped.value)
    assert place in message
    assert "optim.lr (now 0.001)" in message
    assert "trainer.gradient_clip_val (now 1)" in message
    summary = RunFolder(tmp_path).summary()
    assert summary["status"] == "failed"
    assert place in summary["error"]
    assert summary["epochs"] == 1
    assert {path: path.read_bytes() for path in (tmp_path / "checkpoints").iterdir()} == kept
    assert {path.name for path in kept} == {"last.ckpt", "best.ckpt"}


@pytest.mark.slow
def test_weights_that_are_not_finite_are_never_saved(tmp_path):
    with pytest.raises(UserError, match=r"optim\.lr \(now 1e\+30\)"):
        run(tmp_path, "optim=sgd", "optim.lr=1e30")
    for path in (tmp_path / "checkpoints").glob("*"):
        assert all(value.isfinite().all() for value in weights(tmp_path, path.name).values())


@pytest.mark.slow
def test_a_run_does_not_go_on_with_other_data(tmp_path, monkeypatch):
    run_until(tmp_path, BATCHES + 1, monkeypatch)
    with pytest.raises(UserError, match="began on split"):
        run(tmp_path, "data.seed=1")


def test_checkpoints_hold_tensors_and_plain_python_only(undisturbed):
    for name in ("last.ckpt", "best.ckpt"):
        torch.load(undisturbed / "checkpoints" / name, weights_only=True)


@SLOW
def test_lists_of_an_optimiser_are_plain_python_in_a_checkpoint(tmp_path, monkeypatch):
    nadam = ("optim._target_=torch.optim.nadam.NAdam", "+optim.betas=[0.9,0.99]", "trainer.max_epochs=1")
    run_until(tmp_path, 3, monkeypatch, *nadam)
    run(tmp_path, *nadam)
    assert RunFolder(tmp_path).summary()["status"] == "done"


@SLOW
def test_early_stopping_still_holds_after_a_resume(tmp_path, monkeypatch):
    stop = ("trainer.max_epochs=6", "callbacks.early_stopping.patience=1", "optim.lr=1e-9", "ema_decay=null")
    run(tmp_path, *stop)
    ended = table_without_timings(tmp_path)
    assert len(ended) < 6
    run(tmp_path, *stop)
    assert table_without_timings(tmp_path) == ended


@pytest.mark.parametrize(
    ("resumes", "words"), [(True, "to resume from the last"), (False, "resume=never, .* starts over")]
)
def test_an_ended_run_says_what_the_same_command_does(resumes, words, capsys):
    ended = Interrupted(signal.SIGINT)
    ended.resumes = resumes
    with pytest.raises(SystemExit):
        train.stop(ended)
    assert re.search(f"ended by SIGINT. .*{words}", capsys.readouterr().err)


@pytest.mark.slow
def test_a_fine_tuned_run_resumes_bit_for_bit_without_the_run_that_it_began_from(undisturbed, tmp_path, monkeypatch):
    """It is cut in the epoch whose old weights are frozen, and in the next one."""
    origin = tmp_path / "origin"
    shutil.copytree(undisturbed, origin)
    OmegaConf.save(composed(*EVERYTHING), origin / "config.yaml", resolve=True)
    tuned = (
        f"model.init={origin}",
        "freeze_epochs=1",
        "init_lr_factor=0.1",
        "data.taxonomy=learning_game",
        "trainer.max_epochs=2",
    )
    run(tmp_path / "whole", *tuned)
    run_until(tmp_path / "cut", 3, monkeypatch, *tuned)
    begun = RunFolder(tmp_path / "cut").summary()["init"]
    shutil.rmtree(origin)
    run_until(tmp_path / "cut", 6, monkeypatch, *tuned)
    run(tmp_path / "cut", *tuned)
    assert_same_outcome(tmp_path / "cut", tmp_path / "whole")
    assert RunFolder(tmp_path / "cut").summary()["init"] == begun
