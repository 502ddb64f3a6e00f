"""The first command of the README reaches what it promises."""

import json

import pytest
from conftest import run_train

pytestmark = pytest.mark.long


@pytest.mark.timeout(1500)
def test_quickstart_reaches_the_expected_accuracy(tmp_path):
    result = run_train("experiment=quickstart", f"output_dir={tmp_path}", timeout=1400)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "as expected" in result.stdout
    assert "NOT as expected" not in result.stdout
    summary = json.loads(next(tmp_path.glob("quickstart/*/summary.json")).read_text())
    low, high = summary["expected"]["test/acc"]
    assert low <= summary["test"]["test/acc"] <= high
