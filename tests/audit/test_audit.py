"""The command `make audit`: what it writes, that it may be repeated, and what it says where it cannot."""

import csv
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from audit_tables import full_of_findings
from conftest import ROOT
from fer_forms import FOLDERS, Samples

from fer_lightning.audit import audit as audit_module
from fer_lightning.audit.audit import audit, main
from fer_lightning.data.fer2013 import load
from fer_lightning.data.ingest import ingest
from fer_lightning.data.judged_rows import judge_test_rows
from fer_lightning.data.splits import make_split
from fer_lightning.errors import UserError

FILES = {
    "audit.json",
    "clean_rows.csv",
    "distinct_rows.csv",
    "excluded_rows.csv",
    "flagged_rows.csv",
    "index.html",
    "unseen_rows.csv",
}


@pytest.fixture
def store(tmp_path) -> Path:
    """A store of a few generated faces, with copies of Training in PrivateTest."""
    samples = Samples()
    of = {usage: [place for place, row in enumerate(samples.rows) if row[0] == usage] for usage in FOLDERS}
    samples.pixels[of["PrivateTest"][:4]] = samples.pixels[of["Training"][3:7]]
    ingest(str(samples.csv(tmp_path / "fer2013.csv")), str(tmp_path / "store"))
    return tmp_path / "store"


def rows_of(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def without_time(path: Path) -> str:
    return re.sub(r'"(written|seconds)": [^\n]*|\d{4}-\d\d-\d\dT[^\n]*', "", path.read_text())


def test_the_lists_hold_the_rows_that_the_evaluation_judges_on(store):
    assert main([str(store)]) == 0
    assert {path.name for path in (store / "audit").iterdir()} == FILES
    table = load(str(store))
    judged = judge_test_rows(table, make_split(table, "official"))
    images = np.array(judged.images)
    listed = {
        name: [row["sha256"] for row in rows_of(store / "audit" / f"{name}_rows.csv")] for name in ("unseen", "clean")
    }
    assert listed["unseen"] == images[judged.unseen].tolist()
    assert listed["clean"] == images[judged.clean].tolist()
    excluded = rows_of(store / "audit" / "excluded_rows.csv")
    assert [row["sha256"] for row in excluded] == images[~judged.clean].tolist()
    assert len(excluded) >= 4
    assert {row["usage"] for row in excluded} == {"PrivateTest"}
    assert all(row["reasons"] for row in excluded)


def test_the_record_names_store_thresholds_counts_and_rows(store):
    _, record = audit(str(store))
    written = json.loads((store / "audit" / "audit.json").read_text())
    assert written == json.loads(json.dumps(record))
    assert written["version"] == audit_module.VERSION
    assert written["checksum"] == json.loads((store / "store.json").read_text())["checksum"]
    assert written["findings"]["thresholds"]["near_correlation"] == 0.95
    assert written["findings"]["clean_rows"]["test_rows"] == 21
    flagged = {int(row["row"]): row for row in rows_of(store / "audit" / "flagged_rows.csv")}
    for group in written["cases"]["identical"]:
        assert {flagged[row]["sha256"] for row in group} == {flagged[group[0]]["sha256"]}
        assert all("identical image" in flagged[row]["findings"] for row in group)
    assert written["cases"]["blank"]
    for name, file in written["files"].items():
        assert file["rows"] is None or len(rows_of(store / "audit" / name)) == file["rows"]


def test_a_repeated_audit_writes_the_same_bytes_but_for_the_time(store):
    audit(str(store))
    before = {name: without_time(store / "audit" / name) for name in FILES}
    (store / "audit" / "clean_rows.csv").write_text("spoilt")
    audit(str(store))
    assert {name: without_time(store / "audit" / name) for name in FILES} == before


def test_numbers_stand_on_one_line_and_names_survive_the_layout():
    record = {"cases": [[1, 2, 0.5, True], []], "names": ["a  [ b", "c ]\n  d"], "few": [["a", "b", 3]]}
    text = audit_module._json(record)
    assert json.loads(text) == record
    assert "[1, 2, 0.5, true]" in text


def test_a_store_without_an_official_split_gets_no_clean_rows(tmp_path, store, capsys):
    everything = Samples().csv(tmp_path / "train.csv", ("emotion", "pixels"))
    audit(str(store))
    ingest(str(everything), str(store))
    assert main([str(store)]) == 0
    assert {path.name for path in (store / "audit").iterdir()} == {"index.html", "audit.json", "flagged_rows.csv"}
    assert "data.split=clean" in capsys.readouterr().out


def test_a_store_of_other_classes_is_audited_too(tmp_path):
    samples = Samples()
    names = ("angry", "frustration", "boredom", "happy", "sad", "surprise", "neutral")
    ingest(str(samples.folders(tmp_path / "faces", classes=names)), str(tmp_path / "game"), "learning_game")
    _, record = audit(str(tmp_path / "game"))
    assert record["findings"]["class_counts"]["Training"]["boredom"] == 3
    assert "boredom" in (tmp_path / "game" / "audit" / "index.html").read_text()


def test_without_a_store_the_command_names_both_ways_on(tmp_path, capsys):
    assert main([str(tmp_path / "nothing")]) == 2
    said = capsys.readouterr().err
    assert "this folder does not hold a store of faces" in said
    assert "make data FROM=" in said
    assert not (tmp_path / "nothing").exists()


def test_a_folder_that_cannot_be_written_is_told_before_the_work(store, monkeypatch):
    (store / "audit").write_text("a file where the folder should be")
    monkeypatch.setattr("fer_lightning.audit.findings.find", lambda *_: pytest.fail("looked before it leapt"))
    with pytest.raises(UserError, match=r"ROOT=.* cannot write to .*audit \(.*\)\. Make the folder writable, or copy"):
        audit(str(store))


def test_a_read_only_store_is_told(store, monkeypatch, capsys):
    def refuse(*_args, **_kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refuse)
    assert main([str(store)]) == 2
    assert f"the audit cannot write to {store / 'audit'} (Permission denied)" in capsys.readouterr().err


def test_a_disk_that_fills_up_leaves_the_former_files(store, monkeypatch):
    audit(str(store))
    before = {name: (store / "audit" / name).read_bytes() for name in FILES}

    def full(_path, _content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(audit_module, "write_atomically", full)
    with pytest.raises(UserError, match="No space left on device"):
        audit(str(store))
    assert {name: (store / "audit" / name).read_bytes() for name in FILES} == before


def test_the_terminal_is_told_counts_page_and_next_command(store, capsys):
    assert main([str(store)]) == 0
    said = capsys.readouterr().out
    assert "PrivateTest rows with an exact copy in Training" in said
    assert f"page      {store / 'audit' / 'index.html'}" in said
    assert "python -m fer_lightning.evaluate run=PATH" in said


def test_every_finding_on_a_row_is_named_beside_it(monkeypatch, tmp_path):
    table = full_of_findings()
    monkeypatch.setattr(audit_module, "table_of", lambda root: table)
    folder, record = audit(str(tmp_path))
    found = {int(row["row"]): row["findings"] for row in rows_of(folder / "flagged_rows.csv")}
    assert found[29] == "identical image; identical image with another label; label without votes"
    assert found[31] == "near copy; near copy with another label; label without votes"
    assert found[33] == "blank"
    assert found[34] == "not a face"
    assert found[6] == "too dark; too flat"
    assert 8 not in found
    assert record["cases"]["near"] == [
        [2, 31, pytest.approx(0.98, abs=0.02), False],
        [21, 32, pytest.approx(0.98, abs=0.02), True],
    ]


@pytest.mark.slow
def test_help_is_quick_and_needs_neither_numpy_nor_torch():
    program = (
        "import sys; from fer_lightning.audit.audit import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: print({'numpy', 'torch', 'rich', 'jinja2'} & set(sys.modules))"
    )
    result = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, env=os.environ)
    assert result.stdout.endswith("set()\n"), result.stdout + result.stderr


@pytest.mark.slow
def test_an_audit_imports_no_torch(store):
    program = (
        f"import sys; from fer_lightning.audit.audit import main; main([{str(store)!r}]); print('torch' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, env=os.environ)
    assert result.stdout.endswith("False\n"), result.stdout + result.stderr
