"""A closed pipe, and a terminal without Unicode, end no command in a traceback."""

import io
import os
import runpy
import sys
import traceback
from pathlib import Path

import pytest
from conftest import TINY, run_train

from fer_lightning.cli.commands import COMMANDS
from fer_lightning.errors import UserError
from fer_lightning.failures import PIPE_CLOSED, Terminated, report_errors
from fer_lightning.training.callbacks.wandb_logger import refuse_wrong_key

NO_UNICODE = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


def status_without_reader(module: str, errors: Path) -> int:
    """Fork this process, run `python -m MODULE --help` there into a closed pipe in ASCII, and return its status."""
    reading, writing = os.pipe()
    os.close(reading)
    child = os.fork()
    if child:
        os.close(writing)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    status = 1
    try:
        os.dup2(writing, 1)
        sys.stdout = open(1, "w", encoding="ascii", closefd=False)  # noqa: SIM115
        sys.stderr = open(errors, "w")  # noqa: SIM115
        sys.argv = [module, "--help"]
        try:
            runpy.run_module(module, run_name="__main__", alter_sys=True)
        except SystemExit as end:
            status = end.code or 0
        sys.stdout.flush()  # as Python does at the end of a process
    except Exception:
        status = 1
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


@pytest.mark.parametrize("module", [module for module, _ in COMMANDS.values()])
def test_a_closed_pipe_ends_a_command_quietly(module, tmp_path):
    status = status_without_reader(module, tmp_path / "errors")
    assert (tmp_path / "errors").read_text() == ""
    assert status in (0, PIPE_CLOSED)  # argparse itself ignores the pipe if its help is longer than the buffer


def test_letters_that_a_terminal_does_not_have_are_replaced(monkeypatch):
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
    with report_errors("program"):
        print("67.2 – 68.1 %")
    assert sys.stdout.buffer.getvalue() == b"67.2 ? 68.1 %\n"


@pytest.mark.slow
def test_a_run_ends_well_without_unicode(tmp_path):
    result = run_train(*TINY, "trainer.max_epochs=1", f"output_dir={tmp_path}", **NO_UNICODE)
    assert result.returncode == 0, result.stderr
    odd = run_train(*TINY, f"output_dir={tmp_path}/größe", **NO_UNICODE)
    assert odd.returncode == 2
    assert "Save it as UTF-8" in odd.stderr
    assert "Traceback" not in odd.stderr


def test_a_wrong_key_of_wandb_is_refused_before_the_run(monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", "abc")
    monkeypatch.delenv("WANDB_MODE", raising=False)
    with pytest.raises(UserError, match=r"WANDB_API_KEY has 3 letters: must have 40 or more. Fix it in .env"):
        refuse_wrong_key()
    monkeypatch.setenv("WANDB_MODE", "offline")
    refuse_wrong_key()


def test_a_missing_package_is_named_with_the_extra_and_nothing_else(capsys):
    with pytest.raises(SystemExit), report_errors("program", "Nothing is half written"):
        raise ModuleNotFoundError("No module named 'timm'", name="timm")
    install = "pip install 'fer_lightning[train]'"
    assert capsys.readouterr().err == f"program: the package timm is not installed. Install it with: {install}\n"


@pytest.mark.parametrize(("stop", "status"), [(KeyboardInterrupt, 130), (Terminated, 143)])
def test_ctrl_c_and_sigterm_have_their_own_status(stop, status, capsys):
    with pytest.raises(SystemExit) as ended, report_errors("program", "Nothing is half written"):
        raise stop
    assert ended.value.code == status
    assert "Stopped. Nothing is half written; the same command starts over." in capsys.readouterr().err
