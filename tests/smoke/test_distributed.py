"""Two processes on one CPU: every row is seen once, and the run leaves one folder."""

import csv
import json

import pytest
from conftest import TINY, run_train

pytestmark = pytest.mark.slow


def test_ddp_on_two_processes_tests_each_row_once(tmp_path):
    overrides = [o for o in TINY if not o.startswith("trainer=")]
    result = run_train(
        *overrides, "trainer=ddp_cpu", "sampler=weighted", "data.batch_size=16", f"output_dir={tmp_path}"
    )
    assert result.returncode == 0, result.stdout + result.stderr
    folder = next((tmp_path / "train").iterdir())
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["status"] == "done"
    assert summary["world_size"] == 2
    with open(folder / "predictions.csv", newline="") as file:
        rows = [row["row"] for row in csv.DictReader(file)]
    assert len(rows) == len(set(rows)) == summary["test"]["official"]["rows"] == summary["split"]["rows"]["test"]
