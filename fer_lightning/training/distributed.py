"""Processes of a distributed run on one machine: start them together, watch them, and end them together."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import lightning.pytorch as pl

from fer_lightning.compat.lightning import SubprocessLauncher, remove_signal_handlers, replace_launcher
from fer_lightning.errors import UserError
from fer_lightning.failures import REFUSED
from fer_lightning.runs.interruption import signals
from fer_lightning.runs.processes import PARENT

WATCH_SECONDS = 0.2
STATUS_SECONDS = 1.0
# Seconds that the first process has to notice a lost process by itself, before the watcher ends it.
GRACE_SECONDS = 10.0


def take_over(trainer: pl.Trainer) -> None:
    """Replace Lightning's launcher by this module's, and remove its signal handlers: `interruption.signals` has ours.

    Lightning's watcher kills the first process without a message when another process has ended. Its SIGTERM handler
    makes a collective call between any two other calls, so ranks pair calls that do not belong together.
    """
    remove_signal_handlers(trainer)
    replace_launcher(trainer, Launcher)


@contextmanager
def watch_processes(trainer: pl.Trainer, on_loss: Callable[[str], None]) -> Iterator[None]:
    """Run a block that needs all processes. An error or a signal in it ends the other processes too.

    Raise Interrupted instead of an error that follows a signal.
    Raise UserError if another process was killed. If the first process cannot raise because it waits for the lost one,
    a thread calls `on_loss` with the reason and ends the process: with status 130 or 143 if Ctrl-C or SIGTERM ended the
    other one, else with status 2.
    """
    launcher = trainer.strategy.launcher
    others = launcher if isinstance(launcher, Launcher) else NoOthers()
    others.on_loss = on_loss
    try:
        yield
    except Exception as error:
        lost = others.describe_killed()
        others.end()
        signals.check()  # Lightning repeats a teardown that a signal broke off, and the repetition fails
        if lost and not isinstance(error, UserError):
            raise UserError(lost) from error
        raise
    except BaseException:
        others.end()
        raise
    others.leave()


class NoOthers:
    """Stand-in for `Launcher` in a run that has started no other process."""

    on_loss: Callable[[str], None] = print

    def describe_killed(self) -> str:
        return ""

    def end(self) -> None:
        pass

    def leave(self) -> None:
        pass


class Launcher(SubprocessLauncher):
    """Launcher that watches the processes that it has started."""

    on_loss: Callable[[str], None] = print

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._done = threading.Event()

    def start(self) -> None:
        os.environ[PARENT] = str(os.getpid())
        try:
            super().start()
        finally:
            del os.environ[PARENT]
        threading.Thread(target=self._watch, daemon=True).start()

    def describe_killed(self) -> str:
        """Return a message about the process that a signal has ended, or ''. Wait up to a second for its status."""
        deadline = time.monotonic() + STATUS_SECONDS
        while time.monotonic() < deadline:
            for rank, status in self._statuses():
                if status is not None and status < 0:
                    return self._describe_end(rank, status)
            time.sleep(0.05)
        return ""

    def end(self) -> None:
        """Kill the other processes and wait until they have ended. They do not write files."""
        self.leave()
        for process in self.procs:
            process.kill()
        for process in self.procs:
            process.wait()

    def leave(self) -> None:
        """Stop watching the other processes, because they have finished their work."""
        self._done.set()

    def _watch(self) -> None:
        while not self._done.wait(WATCH_SECONDS):
            lost = [(rank, status) for rank, status in self._statuses() if status]
            if lost and not self._done.wait(GRACE_SECONDS):
                self.end()
                reason = self._describe_end(*lost[0])
                self.on_loss(reason)
                print(f"train.py: {reason}", file=sys.stderr, flush=True)
                signum = -lost[0][1]
                os._exit(128 + signum if signum in (signal.SIGINT, signal.SIGTERM) else REFUSED)

    def _statuses(self) -> list[tuple[int, int | None]]:
        """Return (rank, exit status) of each process; status None if it is still running."""
        return [(rank, process.poll()) for rank, process in enumerate(self.procs, start=1)]

    def _describe_end(self, rank: int, status: int) -> str:
        process = f"process {rank + 1} of the {self.num_processes} of this run"
        if status > 0:
            return f"{process} ended with status {status}. See its error above."
        return (
            f"{process} was killed ({signal.Signals(-status).name}), by a user or because the memory was full. "
            "Run the same command again to resume from the last checkpoint."
        )
