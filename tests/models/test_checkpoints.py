"""Faults of a checkpoint are reported before a run resumes from it."""

import os
from argparse import Namespace
from pathlib import Path

import pytest
import torch
from torch import nn

from fer_lightning.errors import UserError
from fer_lightning.models.checkpoints import check_checkpoint, complete_best, load_weights, read_checkpoint, resumable


class RunsCode:
    def __reduce__(self):
        return os.system, ("touch /tmp/fer_lightning_was_here",)


@pytest.fixture
def good(tmp_path) -> Path:
    return saved(tmp_path / "good.ckpt", nn.Linear(200, 100).state_dict())


def saved(path: Path, state: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"state_dict": state}, path)
    return path


def test_a_checkpoint_is_read_on_the_cpu(good):
    assert read_checkpoint(good)["state_dict"]["weight"].device.type == "cpu"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: b"", "is empty"),
        (lambda data: data[: len(data) // 2], r"is cut short, at [\d,]+ bytes"),
        (lambda data: data[:-1], "is cut short"),
        (lambda data: data[:40_000] + b"\xff\x00\xff" + data[40_003:], "is damaged: the bytes of good/data/"),
        (lambda data: b"GIF89a" + data, "is not a checkpoint of PyTorch"),
        (lambda data: b"some words\n" * 20, "is not a checkpoint of PyTorch"),
    ],
)
def test_a_damaged_file_is_refused(damage, message, good):
    good.write_bytes(damage(good.read_bytes()))
    with pytest.raises(UserError, match=rf"good\.ckpt: {message}.*resume=never"):
        read_checkpoint(good)


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"none\.ckpt: no such file"):
        read_checkpoint(tmp_path / "none.ckpt")
    with pytest.raises(UserError, match="cannot be read: Is a directory"):
        read_checkpoint(tmp_path)


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (RunsCode(), r"posix\.system"),
        (Namespace(lr=0.1), r"argparse\.Namespace"),
        (nn.Linear(2, 2), r"torch\.nn\.modules\.linear\.Linear"),
    ],
)
def test_other_objects_are_rejected_by_their_class_and_never_run(content, name, tmp_path):
    torch.save({"state_dict": content}, tmp_path / "odd.ckpt")
    with pytest.raises(UserError, match=rf"odd\.ckpt: holds an object of {name}, which is not unpickled"):
        read_checkpoint(tmp_path / "odd.ckpt")
    assert not Path("/tmp/fer_lightning_was_here").exists()


def test_anything_but_a_dict_is_refused(tmp_path):
    torch.save([1, 2], tmp_path / "list.ckpt")
    with pytest.raises(UserError, match="holds a list, must hold a dict"):
        read_checkpoint(tmp_path / "list.ckpt")
    torch.save({"weights": 1}, tmp_path / "other.ckpt")
    with pytest.raises(UserError, match="holds no state_dict"):
        check_checkpoint(tmp_path / "other.ckpt", nn.Linear(2, 2))


def test_what_does_not_fit_is_named():
    state = {"weight": torch.zeros(3, 2), "scale": torch.zeros(1)}
    module = nn.Linear(2, 2)
    before = module.weight.clone()
    with pytest.raises(UserError) as refusal:
        load_weights(module, state, "x.ckpt")
    for words in ("x.ckpt does not fit Linear", "missing bias", "unexpected scale", "has shape (3, 2), the model's"):
        assert words in str(refusal.value)
    assert torch.equal(module.weight, before)


def test_a_network_of_many_other_keys_is_named_by_the_first_few(tmp_path):
    state = {f"layer{number}": torch.zeros(1) for number in range(20)}
    with pytest.raises(UserError, match="and 16 more"):
        check_checkpoint(saved(tmp_path / "x.ckpt", state), nn.Linear(2, 2))


def test_a_run_without_a_checkpoint_starts_again(tmp_path):
    assert resumable(tmp_path / "last.ckpt", tmp_path / "best.ckpt", nn.Linear(2, 2)) is None


def test_a_run_resumes_only_from_an_intact_checkpoint(tmp_path):
    module, folder = nn.Linear(2, 2), tmp_path / "run" / "checkpoints"
    last = saved(folder / "last.ckpt", module.state_dict())
    with pytest.raises(UserError, match="holds only weights"):
        resumable(last, folder / "best.ckpt", module)
    torch.save({"state_dict": module.state_dict(), "optimizer_states": []}, last)
    assert resumable(last, folder / "best.ckpt", module) == last
    last.write_bytes(last.read_bytes()[:300])
    with pytest.raises(UserError, match="cut short") as refusal:
        resumable(last, folder / "best.ckpt", module)
    assert "best.ckpt" not in str(refusal.value)
    best = saved(folder / "best.ckpt", module.state_dict())
    with pytest.raises(UserError, match=rf"best\.ckpt of that run is intact: .* run={tmp_path / 'run'}"):
        resumable(last, best, module)


def test_a_run_does_not_resume_with_a_best_checkpoint_of_an_earlier_epoch(tmp_path):
    module, best, last = nn.Linear(2, 2), tmp_path / "best.ckpt", tmp_path / "last.ckpt"
    state = {"state_dict": module.state_dict(), "optimizer_states": [], "callbacks": {"best": {"best_epoch": 4}}}
    torch.save({"state_dict": module.state_dict(), "epoch": 1}, best)
    torch.save({**state, "epoch": 5}, last)
    with pytest.raises(UserError, match=r"best\.ckpt: holds the weights of epoch 2, must hold those of epoch 5,"):
        resumable(last, best, module)
    complete_best(last, best)
    assert torch.load(best, weights_only=True)["epoch"] == 1
    torch.save({**state, "epoch": 4}, last)
    assert resumable(last, best, module) == last
    for _ in range(2):
        complete_best(last, best)
        completed = torch.load(best, weights_only=True)
        assert (completed.keys(), completed["epoch"]) == ({"state_dict", "epoch"}, 4)
        best.unlink()
        assert resumable(last, best, module) == last
