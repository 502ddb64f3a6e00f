"""Scripts in processes that begin with what smoke_preload.py does, which takes longer than all that a short run does.

Apart from that they are what `python SCRIPT ARGUMENTS` starts: a process and group of their own, signals as the system
leaves them.
"""

import multiprocessing
import os
import runpy
import subprocess
import sys
import time
from collections.abc import Callable
from multiprocessing import forkserver
from pathlib import Path

import pytest
from short_runs import draw_nothing

ROOT = Path(__file__).resolve().parents[2]
NO_PICTURES = "FER_TESTS_WITHOUT_PICTURES"  # variable of a script that draws no figures, which take a third of its time
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["smoke_preload"])


def import_libraries() -> None:
    """Wait until the libraries are imported, which otherwise the first process does."""
    process = _start(int)
    process.join()


def _start(target: Callable, *arguments: object) -> multiprocessing.Process:
    """Start a process of the server, which finds smoke_preload.py by PYTHONPATH only."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parent))
        forkserver.ensure_running()
    process = CONTEXT.Process(target=target, args=arguments, daemon=True)
    process.start()
    return process


class Forked:
    """A script that was started, to be used as a subprocess.Popen; what it prints goes to the ends of two files."""

    def __init__(self, command: tuple[str, ...], stdout: Path, stderr: Path, environment: dict[str, str]) -> None:
        self._process = _start(_run, command, stdout, stderr, environment)
        self.pid: int = self._process.pid
        while self.poll() is None and not self._leads_a_group():
            time.sleep(0.01)

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self.returncode

    def wait(self, timeout: float) -> int:
        self._process.join(timeout)
        if self.returncode is None:
            raise subprocess.TimeoutExpired(str(self.pid), timeout)
        return self.returncode

    def _leads_a_group(self) -> bool:
        try:
            return os.getpgid(self.pid) == self.pid
        except ProcessLookupError:
            return False


def _run(command: tuple[str, ...], stdout: Path, stderr: Path, environment: dict[str, str]) -> None:
    os.setsid()
    for stream, path in ((sys.stdout, stdout), (sys.stderr, stderr)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND), stream.fileno())
    os.chdir(ROOT)
    os.environ.update(environment)
    if environment.get(NO_PICTURES):
        draw_nothing(pytest.MonkeyPatch())
    sys.argv = list(command)
    sys.path.insert(0, str(Path(command[0]).resolve().parent))
    runpy.run_path(command[0], run_name="__main__")
