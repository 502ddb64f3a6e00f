"""A small run of the benchmark of many players: it ends, and prints every metric that the documentation names."""

import json
import subprocess
import sys

import pytest
from conftest import ROOT
from face_models import drawn_model


@pytest.mark.slow
def test_players(tmp_path):
    command = [sys.executable, "scripts/benchmark_live.py", "players", "--model", drawn_model(tmp_path / "face.onnx")]
    command += ["--seconds", "1", "--most", "1", "--size", "320x240"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    figures = {figure["name"]: figure["ours"] for figure in map(json.loads, done.stdout.splitlines())}
    assert figures["live_players_320x240"] == 1
    assert {"live_latency_p95_320x240", "live_memory_of_a_player_320x240", "live_twice_dropped_320x240"} < set(figures)
