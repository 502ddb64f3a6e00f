"""The faces and the table of the comparison of fine-tuning: two CSVs that can be read, means and deviations."""

import csv
import json
import sys

import pytest

from fer_lightning.errors import UserError
from fer_lightning.labels import TAXONOMIES
from scripts import fine_tuning


def test_drawn_files_have_the_classes_of_fer2013_and_two_of_the_game(tmp_path, monkeypatch):
    monkeypatch.setattr(fine_tuning, "ROWS", 120)
    monkeypatch.setattr(fine_tuning, "COLLECTED", {"frustration": 3, "boredom": 2})
    fine_tuning.draw(tmp_path)
    faces, own = (list(csv.DictReader((tmp_path / name).open())) for name in ("fer2013.csv", "custom.csv"))
    assert {row["emotion"] for row in faces} == set(TAXONOMIES["fer2013"].classes)
    assert {row["Usage"] for row in faces} == {"Training", "PublicTest", "PrivateTest"}
    assert [row["emotion"] for row in own] == 3 * ["frustration"] + 2 * ["boredom"]
    assert len(own[0]["pixels"].split()) == 48 * 48


def run(folder, recall: float, status: str = "done") -> None:
    classes = {name: {"recall": {"value": recall}} for name in fine_tuning.COLLECTED}
    summary = {"status": status, "wall_seconds": 90.0, "test": {"test/acc": 0.5, "all": {"classes": classes}}}
    folder.mkdir(parents=True)
    (folder / "summary.json").write_text(json.dumps(summary))


def test_the_table_has_means_and_deviations_of_finished_runs(tmp_path):
    run(tmp_path / "runs" / "seed-0", 0.4)
    run(tmp_path / "runs" / "seed-1", 0.6)
    run(tmp_path / "runs" / "seed-2", 1.0, status="failed")
    assert fine_tuning.row_of(tmp_path / "runs") == "| `runs` | 2 | 50.0 ± 14.1 | 50.0 ± 14.1 | 50.0 ± 0.0 | 1.5 |"


def test_a_folder_without_a_finished_run_is_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["fine_tuning.py", "table", str(tmp_path)])
    with pytest.raises(SystemExit):
        fine_tuning.main()
    assert "holds no finished run" in capsys.readouterr().err


def test_runs_without_the_two_classes_and_of_several_arms_are_refused(tmp_path):
    run(tmp_path / "runs" / "seed-0", None)
    with pytest.raises(UserError, match="its runs lack test rows of frustration"):
        fine_tuning.row_of(tmp_path / "runs")
    run(tmp_path / "arms" / "seed-0", 0.4)
    run(tmp_path / "arms" / "seed-1", 0.4)
    path = tmp_path / "arms" / "seed-1" / "summary.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"arm": "loss=focal"}))
    with pytest.raises(UserError, match="has runs of several arms: loss=focal, no changes"):
        fine_tuning.row_of(tmp_path / "arms")
