"""`python -m fer_lightning.compare`: what it prints, what it needs, and that it leaves nothing behind."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT

from fer_lightning.evaluation import compare
from fer_lightning.evaluation.predictions import Predictions, write_predictions


def write(path: Path, share: float, seed: int = 0, rows: int = 600) -> Path:
    """predictions.csv of a network that is right on about this share of the rows."""
    rng = np.random.default_rng(seed)
    labels = np.arange(rows) % 3
    predicted = np.where(rng.random(rows) < share, labels, (labels + 1) % 3)
    probabilities = (0.2 + 0.4 * np.eye(3)[predicted]).astype(np.float32)
    images = np.array([f"{row:064x}" for row in range(rows)])
    flags = np.ones(rows, bool)
    write_predictions(
        path, Predictions(np.arange(rows), images, labels, probabilities, flags, flags, None, ("a", "b", "c"))
    )
    return path


@pytest.fixture
def runs(tmp_path) -> tuple[Path, Path]:
    for name, share in (("first", 0.5), ("second", 0.8)):
        write(tmp_path / name / "predictions.csv", share)
        write(tmp_path / name / "evaluation" / "flip" / "predictions.csv", 0.7)
    return tmp_path / "first", tmp_path / "second"


def called(*arguments: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["compare", *map(str, arguments)])
    compare.main()


def test_it_ends_in_words_and_writes_nothing(runs, tmp_path, monkeypatch, capsys):
    before = sorted(tmp_path.rglob("*"))
    called(*runs, monkeypatch=monkeypatch)
    printed = " ".join(capsys.readouterr().out.split())
    for words in (*map(str, runs), "600 test rows", "600 clean rows", "B is better by", "exact McNemar test, p <"):
        assert words in printed
    assert "One seed each compares two runs, not two methods" in printed
    assert sorted(tmp_path.rglob("*")) == before


def test_json_holds_the_same(runs, tmp_path, monkeypatch):
    called(*runs, "--tta", "flip", "--json", tmp_path / "c.json", monkeypatch=monkeypatch)
    written = json.loads((tmp_path / "c.json").read_text())
    assert written["tta"] == "flip"
    assert written["all"]["acc"]["difference"] == 0
    assert written["clean"]["better"] is None


def test_an_older_file_is_passed_over_for_an_evaluation(runs, monkeypatch, capsys):
    (runs[0] / "predictions.csv").write_text("row,label,predicted,a,b,c\n0,a,a,1,0,0\n")
    with pytest.raises(SystemExit):
        called(*runs, monkeypatch=monkeypatch)
    told = capsys.readouterr().err
    assert "older version" in told
    assert f"python -m fer_lightning.evaluate run={runs[0]} tta=none" in told
    write(runs[0] / "evaluation" / "none" / "predictions.csv", 0.5)
    called(*runs, monkeypatch=monkeypatch)


def test_other_training_rows_are_pointed_out(runs, monkeypatch, capsys):
    for run, name in zip(runs, ("official", "official_dedup"), strict=True):
        (run / "summary.json").write_text(json.dumps({"split": {"name": name, "checksum": name}}))
    called(*runs, monkeypatch=monkeypatch)
    printed = " ".join(capsys.readouterr().out.split())
    assert "A was trained on split official, B on official_dedup" in printed


REFUSALS = {
    "no folder": (lambda a, b: (a, b.parent / "third"), ["RUN_B=", "no such folder"]),
    "no evaluation": (
        lambda a, b: (a, b, "--tta", "ten_crop"),
        ["RUN_A=", "evaluation/ten_crop/predictions.csv", "fer_lightning.evaluate run=", "tta=ten_crop"],
    ),
    "other rows": (
        lambda a, b: (a, write(b.parent / "third" / "predictions.csv", 0.5, rows=500).parent),
        ["600 rows", "500", "data.split"],
    ),
    "wrong views": (lambda a, b: (a, b, "--tta", "five"), ["five", "ten_crop"]),
    "one run": (lambda a, b: (a,), ["RUN_B"]),
}


@pytest.mark.parametrize(("arguments", "words"), REFUSALS.values(), ids=REFUSALS)
def test_mistakes_are_told_in_words(arguments, words, runs, monkeypatch, capsys):
    with pytest.raises(SystemExit) as ended:
        called(*arguments(*runs), monkeypatch=monkeypatch)
    assert ended.value.code == 2
    told = capsys.readouterr().err
    for word in words:
        assert word in told


def test_no_torch_is_needed(runs):
    script = (
        "import runpy, sys\n"
        "runpy.run_module('fer_lightning.evaluation.compare', run_name='__main__')\n"
        "assert 'torch' not in sys.modules and 'scipy' not in sys.modules"
    )
    result = subprocess.run(
        [sys.executable, "-c", script, *map(str, runs)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert "better" in result.stdout
