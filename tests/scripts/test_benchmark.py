"""The benchmarks run and print one JSON line per figure; their speed is not judged here."""

import json
import subprocess
import sys

import pytest
from conftest import ROOT

FIELDS = {"name", "ours", "reference", "unit", "ratio", "repeats"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["feed", "--repeats", "1", "--images", "128", "--files", "70"], ["feed_64px", "feed_224px"]),
        (["startup", "--repeats", "1"], ["startup_help", "startup_refusal"]),
        (
            ["step", "--repeats", "1", "--steps", "4"],
            ["step_fit", "step_lean_batch16", "step_lean_batch64"],
        ),
    ],
    ids=lambda value: value[0],
)
def test_each_figure_is_one_json_line(arguments, names):
    result = subprocess.run(
        [sys.executable, "scripts/benchmark.py", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    figures = [json.loads(line) for line in result.stdout.splitlines()]
    assert [figure["name"] for figure in figures] == names
    for figure in figures:
        assert figure.keys() == FIELDS
        assert figure["ratio"] == pytest.approx(figure["ours"] / figure["reference"], rel=0.05)
