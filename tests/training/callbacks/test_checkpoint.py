"""Choice of the best epoch, and checkpoints that are written completely or not at all."""

import math

import pytest
import torch

from fer_lightning.training.callbacks.checkpoint import AtomicCheckpointIO, BestCheckpoint


def kept(values: list[float], mode: str) -> int:
    """The place of the value that stands as best after all were seen."""
    best, place = BestCheckpoint("unused", mode=mode), None
    for number, value in enumerate(values):
        if best._improves(value):
            best.best_value, place = value, number
    return place


@pytest.mark.parametrize(
    ("values", "mode", "expected"),
    [
        ([0.1, 0.3, 0.3, 0.2], "max", 1),
        ([0.5, 0.2, 0.2], "min", 1),
        ([math.nan, 0.4, 0.3], "max", 1),
        ([0.4, math.nan, 0.3], "max", 0),
        ([math.nan, 0.4, 0.3], "min", 2),
    ],
)
def test_the_earliest_best_is_kept_and_nan_never(values, mode, expected):
    assert kept(values, mode) == expected


def test_a_write_that_fails_leaves_the_old_checkpoint(tmp_path, monkeypatch):
    path = tmp_path / "last.ckpt"
    writer = AtomicCheckpointIO()
    writer.save_checkpoint({"step": 1}, path)

    def full_disk(content, file):
        file.write(b"half of a file")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", full_disk)
        with pytest.raises(OSError, match="No space left"):
            writer.save_checkpoint({"step": 2}, path)
    assert torch.load(path, weights_only=True) == {"step": 1}
