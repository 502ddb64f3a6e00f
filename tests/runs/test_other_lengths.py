"""A run says which finished runs differ from it only in their number of epochs."""

import json
from pathlib import Path

import pytest

from fer_lightning.runs.other_lengths import note_on_other_lengths
from fer_lightning.wording import typed


def finished(folder: Path, status: str = "done") -> None:
    folder.mkdir()
    (folder / "summary.json").write_text(json.dumps({"status": status}))


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("trainer.max_epochs-4_seed-0", "seed-0"),
        ("seed-0", "trainer.max_epochs-2_seed-0"),
        ("loss-focal_trainer.max_epochs-4_seed-0", "loss-focal_trainer.max_epochs-2_seed-0"),
    ],
)
def test_a_finished_run_of_another_length_is_named(name, other, tmp_path):
    finished(tmp_path / other)
    note = note_on_other_lengths(tmp_path / name)
    assert note.startswith(f"finished with another trainer.max_epochs: {tmp_path / other}. ")
    assert note.endswith(f"for more epochs: {typed('extend', tmp_path / other)} trainer.max_epochs=...")


def test_other_runs_are_not_named(tmp_path):
    finished(tmp_path / "loss-focal_seed-0")
    finished(tmp_path / "trainer.max_epochs-4_seed-1")
    finished(tmp_path / "trainer.max_epochs-2_seed-0", status="running")
    (tmp_path / "trainer.max_epochs-3_seed-0").mkdir()
    (tmp_path / "trainer.max_epochs-3_seed-0" / "summary.json").write_text("{")
    assert note_on_other_lengths(tmp_path / "trainer.max_epochs-4_seed-0") is None
    assert note_on_other_lengths(tmp_path / "nowhere" / "seed-0") is None
