"""Errors that follow a signal, without processes; tests/smoke/test_distributed.py has the real ones."""

import signal
from types import SimpleNamespace

import pytest

from fer_lightning.runs.interruption import Interrupted, signals
from fer_lightning.training.distributed import watch_processes

ONE_PROCESS = SimpleNamespace(strategy=SimpleNamespace(launcher=None))


def test_an_error_after_a_signal_is_the_end_by_this_signal(monkeypatch):
    """A signal in the middle of Lightning's teardown makes the second teardown fail."""
    monkeypatch.setattr(signals, "received", int(signal.SIGINT))
    with pytest.raises(Interrupted) as ended, watch_processes(ONE_PROCESS, print):
        raise RuntimeError("Please call `iter(combined_loader)` first.")
    assert ended.value.code == 130


def test_an_error_without_a_signal_stays_as_it_is():
    with pytest.raises(RuntimeError, match="loader"), watch_processes(ONE_PROCESS, print):
        raise RuntimeError("the loader failed")
