"""Signals that end a run in order: Ctrl-C, SIGTERM and, in a SLURM job, SIGUSR1, which also puts the job back in line.

While the training loop defers, a signal waits until last.ckpt has been written behind the step under way; anywhere else
it ends the run at once, and so does a second one. Either way the same command goes on: every file of a run is written
whole or not at all. A process that the run's first one started only notes what it receives: the first decides.
"""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType

from fer_lightning.runs.slurm import in_slurm

SWEEP = "FER_LIGHTNING_SWEEP"  # in the environment of the runs of a sweep: the process that starts them
PARENT = "FER_LIGHTNING_PARENT"  # in the environment of a process that the first of a distributed run has started
DEFERRED = "this step is finished and last.ckpt written; a second signal ends the run at once"
ECHO_SECONDS = 1.0  # a terminal and a launcher may both pass on one Ctrl-C; only a later one counts as a second


class Interrupted(SystemExit):
    """A signal has ended the run; the exit status is the shell's for that signal, 130 for Ctrl-C, 143 for SIGTERM."""

    def __init__(self, signum: int) -> None:
        super().__init__(128 + signum)
        self.signum = signum


class Signals:
    """What this process was asked to do. `received` is the first signal's number, 0 before any."""

    def __init__(self) -> None:
        self.received = 0
        self.deferred = False
        self._latest = 0.0

    def install(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            return
        for number in (signal.SIGINT, signal.SIGTERM, *([signal.SIGUSR1] if in_slurm() else [])):
            signal.signal(number, self._receive)

    def check(self) -> None:
        """Raise Interrupted where a signal has come."""
        if self.received and not is_child():
            raise Interrupted(self.received)

    def _receive(self, number: int, _: FrameType | None) -> None:
        again, echo = self.received, time.monotonic() - self._latest < ECHO_SECONDS
        self._latest = time.monotonic()
        self.received = self.received or number
        if is_child() or (again and echo):
            return
        if self.deferred and not again:
            with contextlib.suppress(OSError):  # a terminal that is gone
                os.write(2, f"\n{signal.Signals(number).name}: {DEFERRED}\n".encode())
            return
        raise Interrupted(self.received)


signals = Signals()


def is_child() -> bool:
    """Whether the first process of a distributed run has started this one."""
    return PARENT in os.environ


def follow_parent() -> None:
    """End this process soon after the one that started it, however that ended: it would wait for it in vain."""
    _when_orphaned(int(os.environ[PARENT]), lambda: os._exit(1))


def follow_sweep() -> None:
    """End this run in order where the sweep that started it is gone: the same sweep, given again, would meet it."""
    if SWEEP in os.environ and not is_child():
        _when_orphaned(int(os.environ[SWEEP]), lambda: os.kill(os.getpid(), signal.SIGTERM))


def _when_orphaned(parent: int, act: Callable[[], None]) -> None:
    def follow() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        act()

    threading.Thread(target=follow, daemon=True).start()
