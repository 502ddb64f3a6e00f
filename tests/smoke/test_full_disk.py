"""A run on a full or read-only disk ends with a message, loses nothing, and resumes when there is space."""

import json
import time
from contextlib import suppress
from pathlib import Path

import pytest
import torch
import yaml
from conftest import TINY, run_train
from disks import enlarge, immutable, read_only, small_disk
from smoke_processes import PATIENCE, finish_forked, run_forked, start_forked

from fer_lightning.errors import UserError
from fer_lightning.files import write_atomically
from fer_lightning.models.checkpoints import read_checkpoint
from fer_lightning.runs import run_folder
from fer_lightning.runs.run_folder import RunFolder
from fer_lightning.runs.run_summary import record_summary
from fer_lightning.training.callbacks.checkpoint import AtomicCheckpointIO


def fill(folder: Path) -> Path:
    """Take the last byte of a disk; remove the file that is returned, and there is room again."""
    filler = folder / "filler"
    with open(filler, "wb", buffering=0) as file, suppress(OSError):
        while file.write(bytes(4096)):
            pass
    return filler


@pytest.mark.parametrize("content", ["text", {"weights": torch.zeros(200_000)}], ids=["text", "checkpoint"])
def test_a_file_that_does_not_fit_leaves_the_old_one_and_no_litter(content, tmp_path):
    write = (
        write_atomically if content == "text" else lambda path, text: AtomicCheckpointIO().save_checkpoint(text, path)
    )
    with small_disk(tmp_path / "disk", "100k") as disk:
        (disk / "file").write_text("old")
        filler = fill(disk)
        with pytest.raises(OSError, match=r"No space left on device: '.*/disk/file'"):
            write(disk / "file", content)
        assert {path.name for path in disk.iterdir()} == {"file", "filler"}
        assert (disk / "file").read_text() == "old"
        filler.unlink()
        write(disk / "new", "text") if content == "text" else enlarge(disk, "10m")
        write(disk / "file", content)


@pytest.mark.slow
def test_a_read_only_output_folder_is_told_before_torch_is_loaded(tmp_path):
    with read_only(tmp_path / "outputs") as outputs:
        result = run_train(*TINY, f"output_dir={outputs}")
    assert result.returncode == 2
    assert "Traceback" not in result.stderr
    assert f"{outputs}" in result.stderr
    assert "Read-only file system" in result.stderr or "Permission denied" in result.stderr
    assert "output_dir=" in result.stderr


class Mistake(Exception):
    """Stands for whatever ends a run."""


def test_a_full_disk_does_not_hide_what_went_wrong(tmp_path, capsys):
    def fail_on_a_full_disk(folder: RunFolder) -> None:
        with folder.explain_failures(), record_summary(folder, {"monitor": "val/acc", "mode": "max"}) as summary:
            fill(folder.path)
            summary["text"] = "x" * 10_000
            run_folder.log.info("a long line %s", "x" * 10_000)
            raise Mistake

    with small_disk(tmp_path / "disk", "100k") as disk:
        folder = RunFolder(disk / "run")
        folder.lock()
        run_folder.log_to(folder.path / "train.log")
        with pytest.raises(Mistake):
            fail_on_a_full_disk(folder)
        folder.release()
        close_logs()
        assert folder.summary()["status"] == "running"
        assert {path.name for path in folder.path.iterdir()} == {".lock", "summary.json", "train.log", "filler"}
    assert "Logging error" not in capsys.readouterr().err


def close_logs() -> None:
    for handler in list(run_folder.log.handlers):
        run_folder.log.removeHandler(handler)
        with suppress(OSError):  # what a log still held does not fit
            handler.close()


def fail(folder: RunFolder, error: Exception) -> None:
    with folder.explain_failures():
        raise error


def test_a_full_disk_is_told_with_the_folder_and_what_stands(tmp_path):
    folder = RunFolder(tmp_path / "run")
    with pytest.raises(
        UserError, match=r"run: the run stopped: No space left.*\nNo checkpoint was written yet\. Free some disk"
    ):
        fail(folder, OSError(28, "No space left on device"))
    write_atomically(folder.last_checkpoint, "tensors")
    with pytest.raises(UserError, match=r"metrics\.csv: Read-only.*\nThe last checkpoint is kept: .*last\.ckpt\. Fix"):
        fail(folder, OSError(30, "Read-only file system", str(folder.path / "metrics.csv")))
    with pytest.raises(OSError, match="refused"):
        fail(folder, ConnectionRefusedError(111, "Connection refused"))


@pytest.mark.slow
@pytest.mark.parametrize(
    "size", [pytest.param("100k", marks=pytest.mark.long), "3m", pytest.param("6m", marks=pytest.mark.long)]
)
def test_a_run_on_a_full_disk_stops_in_words_and_goes_on_when_there_is_room(size, tmp_path):
    with small_disk(tmp_path / "disk", size) as disk:
        overrides = (*TINY, "callbacks.last.every_n_steps=2", f"output_dir={disk}")
        result = run_forked(*overrides)
        folder = RunFolder(next((disk / "train").iterdir()))
        assert result.returncode == 2, result.stdout + result.stderr
        assert f"{folder.path}: the run stopped: " in result.stderr
        assert "No space left on device" in result.stderr
        assert "Traceback" not in result.stderr
        assert not [path for path in disk.rglob("*") if "tmp" in path.name]
        last = folder.last_checkpoint
        if last.exists():
            read_checkpoint(last)
            assert f"The last checkpoint is kept: {last}" in result.stderr
        for path in folder.path.rglob("*.json"):
            json.loads(path.read_text())
        yaml.safe_load((folder.path / "config.yaml").read_text())

        enlarge(disk, "50m")
        resumed = last.exists()
        result = run_forked(*overrides)
        assert result.returncode == 0, result.stdout + result.stderr
        assert ("resuming in" in result.stdout) == resumed
        assert folder.is_done()
        assert folder.summary()["epochs"] == 2


@pytest.mark.slow
def test_a_run_whose_folder_becomes_immutable_stops_in_words_and_goes_on_afterwards(tmp_path):
    overrides = ("train.py", *TINY, "callbacks.last.every_n_steps=2", f"output_dir={tmp_path}")
    process = start_forked(tmp_path / "log", *overrides)
    while not (found := list(tmp_path.glob("train/*/checkpoints/last.ckpt"))):
        assert process.poll() is None, (tmp_path / "log").read_text()[-5000:]
        time.sleep(0.02)
    with immutable(found[0].parent):
        assert process.wait(timeout=PATIENCE) == 2
    printed = (tmp_path / "log").read_text()
    assert f"The last checkpoint is kept: {found[0]}" in printed
    assert "Traceback" not in printed
    finish_forked(tmp_path / "log", *overrides)
    assert RunFolder(found[0].parent.parent).summary()["status"] == "done"
