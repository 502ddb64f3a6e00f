"""A run does not resume from a damaged or foreign checkpoint, and its message says what to do instead."""

import shutil
from argparse import Namespace
from pathlib import Path

import pytest
import torch
from conftest import TINY, composed

from fer_lightning.cli import train
from fer_lightning.errors import UserError
from fer_lightning.runs.run_folder import RunFolder
from fer_lightning.training.classifier import FERClassifier

pytestmark = pytest.mark.usefixtures("no_pictures")

RUN = (*TINY, "data.rows=120", "trainer.max_epochs=1")


@pytest.fixture(scope="module")
def trained(tmp_path_factory, no_pictures) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    train.fit_and_test(composed(*RUN), RunFolder(folder), {})
    return folder


@pytest.fixture
def folder(trained, tmp_path, monkeypatch) -> Path:
    """A copy of a trained run's folder; a training step from here on is an error."""
    monkeypatch.setattr(FERClassifier, "training_step", lambda *_: pytest.fail("it trained"))
    return Path(shutil.copytree(trained, tmp_path / "run"))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:1000])


def hold_an_object(path: Path) -> None:
    content = torch.load(path, weights_only=True)
    torch.save(content | {"hyper_parameters": Namespace(lr=1)}, path)


def hold_another_network(path: Path) -> None:
    content = torch.load(path, weights_only=True)
    state = content["state_dict"]
    name = next(iter(state))
    content["state_dict"] = {"fc5.weight": state.pop(name), **state}
    torch.save(content, path)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (cut, "last.ckpt: is cut short, at 1,000 bytes"),
        (hold_an_object, "last.ckpt: holds an object of argparse.Namespace"),
        (
            hold_another_network,
            r"last.ckpt does not fit FERClassifier as configured:\n  missing network.*\n  unexpected fc5",
        ),
    ],
)
def test_a_last_checkpoint_that_cannot_be_trusted_ends_the_run_before_it_trains(spoil, message, folder):
    last = folder / "checkpoints" / "last.ckpt"
    spoil(last)
    before = contents(folder)
    with pytest.raises(UserError, match=message) as refusal:
        train.fit_and_test(composed(*RUN), RunFolder(folder), {})
    assert "resume=never" in str(refusal.value)
    assert f"best.ckpt of that run is intact: python -m fer_lightning.evaluate run={folder}" in str(refusal.value)
    assert contents(folder) == before


def test_a_best_checkpoint_that_cannot_be_trusted_ends_the_run_before_it_trains(folder, monkeypatch):
    best = folder / "checkpoints" / "best.ckpt"
    cut(best)
    before = contents(folder)
    monkeypatch.setattr("lightning.pytorch.Trainer.fit", lambda *_, **__: pytest.fail("it trained"))
    with pytest.raises(UserError, match=r"best\.ckpt: is cut short, at 1,000 bytes\. .*resume=never"):
        train.fit_and_test(composed(*RUN), RunFolder(folder), {})
    assert contents(folder) == before
    best.unlink()
    last = folder / "checkpoints" / "last.ckpt"
    torch.save(torch.load(last, weights_only=True) | {"epoch": 1}, last)  # after the best epoch, which is 0
    with pytest.raises(UserError, match=r"best\.ckpt: no such file .*resume=never"):
        train.fit_and_test(composed(*RUN), RunFolder(folder), {})


def test_a_resume_with_other_faces_changes_nothing_in_the_folder(folder):
    before = contents(folder)
    for rewritten in (False, True):
        if rewritten:  # the record of the run is lost; the checkpoints still know their rows
            (folder / "summary.json").unlink()
            before = contents(folder)
        with pytest.raises(UserError, match="this run began on"):
            train.fit_and_test(composed(*RUN, "data.seed=7"), RunFolder(folder), {})
        assert contents(folder) == before
