"""The private parts of Lightning that are used exist, and its notes have the texts that are hidden."""

import re
import subprocess
import warnings
from pathlib import Path

import lightning
import lightning.pytorch as pl
import pytest
import torch
from lightning.fabric.plugins.environments import LightningEnvironment
from lightning.pytorch.trainer.connectors import data_connector
from lightning.pytorch.trainer.connectors.logger_connector import result

from fer_lightning.compat.lightning import (
    NOTES,
    NoSignalHandlers,
    SubprocessLauncher,
    hide_notes,
    remove_signal_handlers,
    replace_launcher,
)


def test_a_launcher_starts_the_other_processes(monkeypatch):
    started = []
    monkeypatch.setattr(subprocess, "Popen", lambda command, env, cwd: started.append(env["LOCAL_RANK"]))
    for name in ("MASTER_ADDR", "MASTER_PORT", "NODE_RANK", "LOCAL_RANK", "WORLD_SIZE", "OMP_NUM_THREADS"):
        monkeypatch.setenv(name, "1")  # restored after the test
    monkeypatch.delenv("LOCAL_RANK")
    threads = torch.get_num_threads()
    launcher = SubprocessLauncher(LightningEnvironment(), 3, 1)
    assert launcher.launch(lambda: "result") == "result"
    torch.set_num_threads(threads)
    assert started == ["1", "2"]
    assert len(launcher.procs) == 2


def test_a_trainer_takes_the_launcher_and_no_signal_handlers(tmp_path):
    class Launcher(SubprocessLauncher):
        pass

    trainer = pl.Trainer(
        accelerator="cpu", devices=2, strategy="ddp", logger=False, default_root_dir=tmp_path, barebones=True
    )
    assert not isinstance(trainer.strategy.launcher, Launcher)
    assert not isinstance(trainer._signal_connector, NoSignalHandlers)
    replace_launcher(trainer, Launcher)
    remove_signal_handlers(trainer)
    assert isinstance(trainer.strategy.launcher, Launcher)
    assert trainer.strategy.launcher.num_processes == 2
    assert isinstance(trainer._signal_connector, NoSignalHandlers)


SOURCES = {
    ".*does not have many workers.*": data_connector.__file__,
    "The `srun` command is available.*": Path(lightning.__file__).parent / "fabric/plugins/environments/slurm.py",
    ".*Total length of .* across ranks is zero.*": Path(lightning.__file__).parent / "pytorch/utilities/data.py",
    ".*sync_dist=True.*": result.__file__,
    ".*LeafSpec.*": torch.utils._pytree.__file__,
}


@pytest.mark.parametrize("note", NOTES)
def test_the_library_still_has_the_text_of_a_note(note):
    assert re.search(note, Path(SOURCES[note]).read_text())


def test_only_notes_are_hidden():
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        hide_notes()
        warnings.warn("The 'val_dataloader' does not have many workers which may be a bottleneck.", stacklevel=1)
        warnings.warn("The loss is NaN.", stacklevel=1)
    assert [str(warning.message) for warning in shown] == ["The loss is NaN."]
