"""Names of earlier versions still work."""

import subprocess
import sys

import pytest
from conftest import ROOT

from fer_lightning.compat.old_names import COMMANDS, read_config


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_answers_to_its_old_name(name):
    result = subprocess.run(
        [sys.executable, "-m", name, "--help"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0
    assert result.stdout.startswith("usage: python -m fer_lightning.")


def test_targets_in_a_run_folder_get_their_present_names():
    text = "callbacks:\n  last:\n    _target_: fer_lightning.callbacks.checkpoint.LastCheckpoint\n"
    config = read_config(text)
    assert config["callbacks"]["last"]["_target_"] == "fer_lightning.training.callbacks.checkpoint.LastCheckpoint"
