"""Private parts and message texts of Lightning."""

import logging
import warnings
from collections.abc import Callable
from typing import Any

import lightning.pytorch as pl
from lightning.fabric.utilities.distributed import _set_num_threads_if_needed
from lightning.pytorch.strategies.launchers.subprocess_script import _SubprocessScriptLauncher
from lightning.pytorch.trainer.connectors.signal_connector import _SignalConnector

NOTES = (  # warnings of Lightning about itself
    ".*LeafSpec.*",  # torch's, about Lightning's code
    ".*does not have many workers.*",
    "The `srun` command is available.*",
    ".*Total length of .* across ranks is zero.*",  # wanted by the finders; a run with it is rejected before
    ".*sync_dist=True.*",  # logged values are already computed over all ranks
)


def hide_notes() -> None:
    """Hide Lightning's advertisements and notes about itself. Its warnings about a run stay visible."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for message in NOTES:
        warnings.filterwarnings("ignore", message=message)


class SubprocessLauncher(_SubprocessScriptLauncher):
    """Lightning's launcher of the other processes of this machine, without the thread that watches them."""

    def launch(self, function: Callable, *args: Any, trainer: pl.Trainer | None = None, **kwargs: Any) -> Any:
        self.cluster_environment.validate_settings(num_devices=self.num_processes, num_nodes=self.num_nodes)
        if not self.cluster_environment.creates_processes_externally:
            self.start()
        _set_num_threads_if_needed(num_processes=self.num_processes)
        return function(*args, **kwargs)

    def start(self) -> None:
        """Start ranks 1, 2, ... of this machine as processes of the same command."""
        self._call_children_scripts()


class NoSignalHandlers(_SignalConnector):
    def register_signal_handlers(self) -> None:
        """Do nothing."""


def remove_signal_handlers(trainer: pl.Trainer) -> None:
    """Let a trainer install no signal handlers."""
    trainer._signal_connector = NoSignalHandlers(trainer)


def replace_launcher(trainer: pl.Trainer, kind: type[SubprocessLauncher]) -> None:
    """Replace a trainer's launcher of processes, if it has one, by a launcher of this kind."""
    old = trainer.strategy.launcher
    if isinstance(old, _SubprocessScriptLauncher):
        trainer.strategy._launcher = kind(old.cluster_environment, old.num_processes, old.num_nodes)
