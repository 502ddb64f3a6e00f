"""Signals that end a run in an orderly way: Ctrl-C, SIGTERM and, in a SLURM job, SIGUSR1, which also requeues the job.

While the training loop sets `deferred`, a signal takes effect when last.ckpt is written: after the current step, or
after the validation that follows the last step of an epoch.
At any other time, a signal ends the run at once. A second signal always does.
In both cases the same command resumes the run, because every file of a run is written whole or not at all.
A child process of a distributed run only records the signals that it receives. The first process decides.
"""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType

from fer_lightning.runs.processes import PARENT, is_child
from fer_lightning.runs.slurm import in_slurm

SWEEP = "FER_LIGHTNING_SWEEP"  # environment variable of a sweep's runs: the id of the process that starts them
DEFERRED = (
    "the run will stop when last.ckpt is written, after this step or, at the end of an epoch, after its validation. "
    "A second signal ends the run at once"
)
ECHO_SECONDS = 1.0  # a terminal and a launcher may both send the same Ctrl-C; only a later signal counts as a second


class Interrupted(SystemExit):
    """The end of a run by a signal, with the shell's exit status: 130 for Ctrl-C, 143 for SIGTERM.

    resumes  True if the same command resumes the run; False if it starts over
    """

    resumes = True

    def __init__(self, signum: int) -> None:
        super().__init__(128 + signum)
        self.signum = signum


class Signals:
    """Signals that this process has received. `received` is the number of the first one, 0 before any."""

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
        """Raise Interrupted if a signal was received."""
        if self.received and not is_child():
            raise Interrupted(self.received)

    def _receive(self, number: int, _: FrameType | None) -> None:
        again, echo = self.received, time.monotonic() - self._latest < ECHO_SECONDS
        self._latest = time.monotonic()
        self.received = self.received or number
        if is_child() or (again and echo):
            return
        if self.deferred and not again:
            with contextlib.suppress(OSError):  # the terminal was closed
                os.write(2, f"\n{signal.Signals(number).name}: {DEFERRED}\n".encode())
            return
        raise Interrupted(self.received)


signals = Signals()


def follow_parent() -> None:
    """End this process soon after its parent process ends, so that it does not wait for the parent forever."""
    _when_orphaned(int(os.environ[PARENT]), lambda: os._exit(1))


def follow_sweep() -> None:
    """End this run in an orderly way if its sweep has ended, so that the same sweep can be started again."""
    if SWEEP in os.environ and not is_child():
        _when_orphaned(int(os.environ[SWEEP]), lambda: os.kill(os.getpid(), signal.SIGTERM))


def _when_orphaned(parent: int, act: Callable[[], None]) -> None:
    def follow() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        act()

    threading.Thread(target=follow, daemon=True).start()
