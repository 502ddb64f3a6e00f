"""`make install` with a Python that only records its arguments: what is installed from where, and what is printed."""

import shutil
import subprocess
import sys

import pytest
from conftest import ROOT

FAKE = '#!/bin/sh\necho "$@" >> {log}\ncase "$*" in *+cpu*) exit {status};; *) exit 0;; esac\n'
pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


def install(folder, *words: str, status: int = 0):
    """Return what `make install WORDS` prints, its status, and the arguments of each call of Python in .venv."""
    (folder / "bin").mkdir()
    python, log = folder / "bin" / "python", folder / "log"
    python.write_text(FAKE.format(log=log, status=status))
    python.chmod(0o755)
    command = ["make", "install", f"VENV={folder}", f"PYTHON={sys.executable}", "TORCH_INDEX=", *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout, done.returncode, log.read_text()


def test_the_install_says_how_much_comes_and_uses_the_locks(tmp_path):
    printed, status, calls = install(tmp_path)
    assert status == 0
    assert "about 6 GB" in printed
    assert "Step 2 of 2" in printed
    assert "if $(" not in printed  # no shell of the recipe
    assert ("CPU=yes" in printed) == (shutil.which("nvidia-smi") is None)
    assert calls.count("--require-hashes") == 2
    assert "install -q" not in calls.replace("install -q --no-deps -e .", "")  # pip shows its progress


def test_cpu_yes_installs_pytorch_without_cuda(tmp_path):
    printed, status, calls = install(tmp_path, "CPU=yes")
    assert status == 0
    assert "PyTorch without CUDA" in printed
    assert "+cpu torchvision==" in calls
    assert "requirements-torch.lock" not in calls


def test_an_index_is_used_for_pytorch_and_for_nothing_else(tmp_path):
    _, _, calls = install(tmp_path, "TORCH_INDEX=https://host.invalid/cpu")
    assert [line for line in calls.splitlines() if "host.invalid" in line] == [calls.splitlines()[0]]
    assert "+cpu" not in calls


def test_without_a_build_for_cpus_the_index_is_asked_for(tmp_path):
    printed, status, _ = install(tmp_path, "CPU=yes", status=1)
    assert status != 0
    assert "Add TORCH_INDEX=URL" in printed
