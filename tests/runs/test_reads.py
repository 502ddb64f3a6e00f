"""Every read of the test rows adds a line, also if two processes read at the same time, and never stops a run."""

import csv
import subprocess
import sys
from types import SimpleNamespace

import pytest
from conftest import ROOT
from disks import read_only, small_disk

from fer_lightning.runs import reads_of_test_rows


def data(cache) -> tuple[SimpleNamespace, SimpleNamespace]:
    """A table and its split."""
    return SimpleNamespace(cache=cache), SimpleNamespace(name="official", checksum="c0ffee")


def lines(path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_a_look_is_counted_in_the_run_and_in_the_data(tmp_path):
    first, second, store = tmp_path / "first", tmp_path / "second", tmp_path / "store"
    store.mkdir()
    reads_of_test_rows.record(first, *data(store))
    reads_of_test_rows.record(first, *data(store), tta="flip")
    found = reads_of_test_rows.record(second, *data(store), tta="ten_crop")
    assert found == {"run": 1, "data": 3, "note": None}
    assert [line["tta"] for line in lines(store / "test_reads.csv")] == ["none", "flip", "ten_crop"]
    line = lines(first / "test_reads.csv")[0]
    assert line["split"] == "c0ffee"
    assert line["run"] == str(first)
    assert all(line[key] for key in ("time", "command", "commit"))


def test_faces_without_a_folder_are_counted_in_the_run_alone(tmp_path):
    found = reads_of_test_rows.record(tmp_path, *data(None))
    assert found == {"run": 1, "data": None, "note": None}
    assert reads_of_test_rows.sentence(found, "official", "fer2013") == "PrivateTest was read once by this run."


def test_a_data_folder_that_cannot_be_written_to_is_noted(tmp_path):
    with read_only(tmp_path / "store") as store:
        found = reads_of_test_rows.record(tmp_path / "run", *data(store))
    assert (found["run"], found["data"]) == (1, None)
    assert f"read once by this run (not recorded in {store / 'test_reads.csv'}: " in reads_of_test_rows.sentence(
        found, "official", "fer2013"
    )


def test_a_full_disk_takes_no_half_line(tmp_path):
    with small_disk(tmp_path / "disk", "16k") as disk:
        path = disk / "test_reads.csv"
        reads_of_test_rows.append(path, ("1", "a", "none", "", "s", "r"))
        before = path.read_bytes()
        with pytest.raises(OSError, match=r"No space left on device: '.*test_reads\.csv'"):
            reads_of_test_rows.append(path, ("2", "b" * 40_000, "none", "", "s", "r"))
        assert path.read_bytes() == before
        assert reads_of_test_rows.append(path, ("3", "c", "none", "", "s", "r")) == 2


def test_the_sentence_says_which_rows_and_how_often():
    found = {"run": 2, "data": 1300, "note": None}
    assert reads_of_test_rows.sentence(found, "official_dedup", "fer2013") == (
        "PrivateTest was read 2 times by this run, 1,300 times on this data."
    )
    assert reads_of_test_rows.sentence(found, "stratified", "fer2013").startswith("The test rows were read 2")
    assert reads_of_test_rows.sentence(found, "official", "synthetic").startswith("The test rows were read 2 times")


def test_a_fold_of_training_is_no_look_at_the_test_rows(tmp_path):
    split = SimpleNamespace(name="training_fold 0 of 5", checksum="c0ffee")
    found = reads_of_test_rows.record(tmp_path / "run", SimpleNamespace(cache=tmp_path / "store"), split)
    assert found == {"run": 0, "data": None, "note": None}
    assert not list(tmp_path.iterdir())
    assert (
        reads_of_test_rows.sentence(found, split.name, "fer2013")
        == "The test rows are a fold of Training; PrivateTest was not read."
    )


def test_a_field_never_breaks_its_line(tmp_path):
    path = tmp_path / "test_reads.csv"
    assert reads_of_test_rows.append(path, ("now", 'python train.py "name=a\nb,c"', "none", "", "s", "r")) == 1
    assert lines(path)[0]["command"] == 'python train.py "name=a b,c"'


def test_a_line_that_was_cut_off_does_not_swallow_the_next(tmp_path):
    path = tmp_path / "test_reads.csv"
    reads_of_test_rows.append(path, ("1", "a", "none", "", "s", "r"))
    with open(path, "a") as file:
        file.write('2,"half')
    assert reads_of_test_rows.append(path, ("3", "c", "none", "", "s", "r")) == 3
    assert path.read_text().splitlines()[-1] == "3,c,none,,s,r"


def test_lines_of_two_processes_do_not_mix(tmp_path):
    script = (
        "import sys, pathlib; from fer_lightning.runs import reads_of_test_rows as reads\n"
        "for k in range(60):\n"
        "    reads.append(pathlib.Path(sys.argv[1]), (sys.argv[2], 'x' * 3000, 'none', '', 's', str(k)))"
    )
    path = tmp_path / "test_reads.csv"
    both = [subprocess.Popen([sys.executable, "-c", script, str(path), name], cwd=ROOT) for name in "ab"]
    assert [process.wait(timeout=120) for process in both] == [0, 0]
    found = lines(path)
    assert len(found) == 120
    assert path.read_text().count("time,command") == 1
    for name in "ab":
        assert [line["run"] for line in found if line["time"] == name] == [str(k) for k in range(60)]
