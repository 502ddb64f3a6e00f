"""A small run of the benchmark of many players: it ends, and prints every metric that the documentation names."""

import json
import subprocess
import sys

import pytest
from conftest import ROOT
from face_models import drawn_model


@pytest.mark.long
@pytest.mark.parametrize(("words", "name"), [(["--size", "320x240"], "320x240"), (["--looks"], "looks")])
def test_players(words, name, tmp_path):
    command = [sys.executable, "scripts/benchmark_live.py", "players", "--model", drawn_model(tmp_path / "face.onnx")]
    command += ["--seconds", "1", "--most", "1", *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    measured = {one["name"]: one["ours"] for one in map(json.loads, done.stdout.splitlines())}
    assert measured[f"live_players_{name}"] == 1
    names = {"live_latency_p95", "live_memory_of_a_player", "live_twice_dropped"}
    assert {f"{one}_{name}" for one in names} < set(measured)
