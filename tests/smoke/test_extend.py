"""A finished run is trained for more epochs in a folder of its own, from the state in which it ended."""

import itertools
import json
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from conftest import TINY, composed
from omegaconf import OmegaConf
from smoke_tables import assert_same_outcome, table_without_timings

from fer_lightning.cli import train
from fer_lightning.errors import UserError
from fer_lightning.runs import extension
from fer_lightning.runs.run_folder import RunFolder
from fer_lightning.schedules.one_cycle import OneCycle
from fer_lightning.training.classifier import FERClassifier

pytestmark = pytest.mark.usefixtures("no_pictures")

BASE = (
    *TINY,
    "data.rows=150",
    "trainer.max_epochs=1",
    "ema_decay=0.9",
    "optim=adamw",
    "augment=none",
    "callbacks.last.every_n_steps=1",
)
BATCHES = 2  # of an epoch; the parent has one epoch


@pytest.fixture(scope="module")
def parent(tmp_path_factory, no_pictures) -> Path:
    folder = RunFolder(tmp_path_factory.mktemp("parent") / "seed-0")
    cfg = composed(*BASE)
    folder.claim(OmegaConf.to_container(cfg, resolve=True, enum_to_str=True))
    train.fit_and_test(cfg, folder, {"model": "resemotenet"})
    folder.release()
    return folder.path


def extend(run: Path, folder: Path, *typed: str) -> dict:
    words = [f"extend={run}", *typed]
    found = extension.read_parent(str(run))
    cfg = extension.extended_config(composed(*words), found, words)
    train.fit_and_test(cfg, RunFolder(folder), {}, found)
    return json.loads((folder / "summary.json").read_text())


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def extended(parent, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("extended")
    extend(parent, folder, "trainer.max_epochs=2")
    return folder


def test_an_extended_run_holds_the_epochs_and_the_facts_of_its_parent(parent, extended):
    summary, before = (json.loads((run / "summary.json").read_text()) for run in (extended, parent))
    assert summary["epochs"] == 2
    assert table_without_timings(extended)[:1] == table_without_timings(parent)
    assert summary["parent"]["path"] == str(parent)
    assert summary["parent"]["epochs"] == 1
    assert "epochs 2 to 2 run the schedule OneCycle once more from its start" in summary["parent"]["schedule"]
    assert summary["split"] == before["split"]
    last = torch.load(extended / "checkpoints" / "last.ckpt", weights_only=True)
    assert last["global_step"] == 2 * BATCHES


@pytest.mark.slow
def test_an_extended_run_resumes_bit_for_bit_with_a_schedule_of_its_own(parent, extended, tmp_path, monkeypatch):
    """It is cut before its first step and in the middle; its parent does not change."""
    before, factors = contents(parent), []
    factor, training_step, batches = OneCycle.factor, FERClassifier.training_step, itertools.count()

    def noted(self, step: int) -> float:
        factors.append((step, self.total_steps))
        return factor(self, step)

    def cut_short(self, *args):
        if next(batches) in (0, 2):
            raise InterruptedError
        return training_step(self, *args)

    monkeypatch.setattr(OneCycle, "factor", noted)
    monkeypatch.setattr(FERClassifier, "training_step", cut_short)
    for _ in range(2):
        with pytest.raises(InterruptedError):
            extend(parent, tmp_path, "trainer.max_epochs=2")
    extend(parent, tmp_path, "trainer.max_epochs=2")
    assert_same_outcome(tmp_path, extended)
    assert sorted(set(factors)) == [(step, BATCHES) for step in range(BATCHES)]
    assert contents(parent) == before


def changed(parent: Path, folder: Path, name: str, change) -> Path:
    shutil.copytree(parent, folder)
    content = json.loads((folder / name).read_text())
    change(content)
    (folder / name).write_text(json.dumps(content))
    return folder


REFUSALS = {
    "no number of epochs": ([], {}, r"trainer\.max_epochs must be .* at least 2, because it has trained 1"),
    "too few epochs": (["trainer.max_epochs=1"], {}, "at least 2"),
    "epochs that are not a number": (["trainer.max_epochs='4'"], {}, "at least 2.* It is '4'"),
    "another config": (["trainer.max_epochs=3", "loss=focal"], {}, "loss with extend=.*model.init="),
    "not finished": (["trainer.max_epochs=3"], {"status": "failed"}, "must be a finished run"),
}


@pytest.mark.parametrize(("typed", "summary", "message"), REFUSALS.values(), ids=REFUSALS)
def test_what_cannot_be_extended_is_refused(typed, summary, message, parent, tmp_path):
    run = changed(parent, tmp_path / "run", "summary.json", lambda content: content.update(summary))
    with pytest.raises(UserError, match=message):
        extend(run, tmp_path / "new", *typed)
    assert not (tmp_path / "new").exists()


def test_a_run_that_ended_early_is_refused(parent, tmp_path):
    run = shutil.copytree(parent, tmp_path / "run")
    config = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(config.replace("max_epochs: 1", "max_epochs: 5"))
    with pytest.raises(UserError, match=r"ended by callbacks\.early_stopping after 1 of 5 epochs"):
        extend(run, tmp_path / "new", "trainer.max_epochs=6")


def test_a_run_whose_patience_ended_with_its_last_epoch_is_refused(parent, tmp_path):
    run = shutil.copytree(parent, tmp_path / "run")
    config = yaml.safe_load((run / "config.yaml").read_text())
    config["callbacks"]["early_stopping"]["patience"] = 2
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    for values, refused in (("0.5\n0.4\n0.4\n", True), ("0.5\n0.4\n0.6\n", False)):
        (run / "metrics.csv").write_text(f"val/acc\n{values}")
        with pytest.raises(UserError) as told:
            extend(run, tmp_path / "new", "trainer.max_epochs=1")
        assert ("more epochs would end it at once" in str(told.value)) == refused


@pytest.mark.parametrize("content", ["val/acc\n", "val/acc\nhigh\n", "epoch\n1\n"])
def test_a_run_with_damaged_metrics_is_refused(content, parent, tmp_path):
    run = shutil.copytree(parent, tmp_path / "run")
    config = yaml.safe_load((run / "config.yaml").read_text())
    config["callbacks"]["early_stopping"]["patience"] = 2
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    (run / "metrics.csv").write_text(content)
    with pytest.raises(UserError, match=r"metrics\.csv: is damaged"):
        extend(run, tmp_path / "new", "trainer.max_epochs=3")


def test_other_rows_are_refused(parent, tmp_path):
    run = changed(parent, tmp_path / "run", "summary.json", lambda content: content["split"].update(checksum="5911"))
    with pytest.raises(UserError, match=r"it was trained on split 5911, and .* now gives"):
        extend(run, tmp_path / "new", "trainer.max_epochs=3")
    assert not (tmp_path / "new" / "checkpoints").exists()


def test_a_finished_run_with_another_number_of_epochs_names_extend(parent):
    cfg = composed(*BASE, "trainer.max_epochs=5")
    with pytest.raises(UserError, match=r"more epochs: python train\.py extend=.*seed-0 trainer\.max_epochs="):
        RunFolder(parent).claim(OmegaConf.to_container(cfg, resolve=True, enum_to_str=True))
