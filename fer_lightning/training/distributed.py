"""The processes of a distributed run on one machine: started together, watched, never left behind."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import lightning.pytorch as pl
from lightning.fabric.utilities.distributed import _set_num_threads_if_needed
from lightning.pytorch.strategies.launchers.subprocess_script import _SubprocessScriptLauncher
from lightning.pytorch.trainer.connectors.signal_connector import _SignalConnector

from fer_lightning.errors import UserError
from fer_lightning.runs.interruption import PARENT, signals

WATCH_SECONDS = 0.2
STATUS_SECONDS = 1.0
# How long the first process may take to notice by itself that another is gone, before it is ended from outside.
GRACE_SECONDS = 10.0


def take_over(trainer: pl.Trainer) -> None:
    """Put this module's launcher and no signal handlers in the place of Lightning's own.

    Lightning's watcher kills the first process, unheard, when another has ended. Its SIGTERM handler makes a
    collective call between any two others, so that ranks pair calls that do not belong together.
    """
    trainer._signal_connector = _NoHandlers(trainer)
    theirs = trainer.strategy.launcher
    if isinstance(theirs, _SubprocessScriptLauncher):
        trainer.strategy._launcher = Launcher(theirs.cluster_environment, theirs.num_processes, theirs.num_nodes)


@contextmanager
def together(trainer: pl.Trainer, on_loss: Callable[[str], None]) -> Iterator[None]:
    """Around everything that needs all processes: an error or a signal here ends the others too.

    Raises UserError where another process was killed. `on_loss` is called with the reason, from a thread, where the
    first process cannot raise, since it waits for the lost one; it then ends with status 2.
    """
    launcher = trainer.strategy.launcher
    if not isinstance(launcher, Launcher):
        yield
        return
    launcher.on_loss = on_loss
    try:
        yield
    except Exception as error:
        lost = launcher.killed()
        launcher.end()
        signals.check()
        if lost and not isinstance(error, UserError):
            raise UserError(lost) from error
        raise
    except BaseException:
        launcher.end()
        raise
    launcher.leave()


class Launcher(_SubprocessScriptLauncher):
    """Starts ranks 1, 2, ... of this machine as processes of the same command."""

    on_loss: Callable[[str], None] = print

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._done = threading.Event()

    def launch(self, function: Callable, *args: Any, trainer: pl.Trainer | None = None, **kwargs: Any) -> Any:
        self.cluster_environment.validate_settings(num_devices=self.num_processes, num_nodes=self.num_nodes)
        if not self.cluster_environment.creates_processes_externally:
            os.environ[PARENT] = str(os.getpid())
            try:
                self._call_children_scripts()
            finally:
                del os.environ[PARENT]
            threading.Thread(target=self._watch, daemon=True).start()
        _set_num_threads_if_needed(num_processes=self.num_processes)
        return function(*args, **kwargs)

    def killed(self) -> str:
        """In words, which process a signal has ended; '' where none has. Waits a second for its status."""
        deadline = time.monotonic() + STATUS_SECONDS
        while time.monotonic() < deadline:
            for rank, status in self._statuses():
                if status is not None and status < 0:
                    return self._in_words(rank, status)
            time.sleep(0.05)
        return ""

    def end(self) -> None:
        """End the other processes and wait until they are gone. They write no files."""
        self.leave()
        for process in self.procs:
            process.kill()
        for process in self.procs:
            process.wait()

    def leave(self) -> None:
        """Watch no longer: the other processes have done their part."""
        self._done.set()

    def _watch(self) -> None:
        while not self._done.wait(WATCH_SECONDS):
            lost = [self._in_words(rank, status) for rank, status in self._statuses() if status]
            if lost and not self._done.wait(GRACE_SECONDS):
                self.end()
                self.on_loss(lost[0])
                print(f"train.py: {lost[0]}", file=sys.stderr, flush=True)
                os._exit(2)

    def _statuses(self) -> list[tuple[int, int | None]]:
        """(rank, exit status) of each process; None: still running."""
        return [(rank, process.poll()) for rank, process in enumerate(self.procs, start=1)]

    def _in_words(self, rank: int, status: int) -> str:
        process = f"process {rank + 1} of the {self.num_processes} of this run"
        if status > 0:
            return f"{process} ended with status {status}; its error stands above."
        return (
            f"{process} was killed ({signal.Signals(-status).name}): by hand, or by the system where memory ran out. "
            "The same command goes on from the last checkpoint."
        )


class _NoHandlers(_SignalConnector):
    def register_signal_handlers(self) -> None:
        """`interruption.signals` has them."""
