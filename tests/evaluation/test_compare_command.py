"""`python -m fer_lightning.compare`: what it prints, what it needs, and that it leaves nothing behind."""

import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT

from fer_lightning.data.ingest import ingest
from fer_lightning.data.store import open_store
from fer_lightning.evaluation import compare
from fer_lightning.evaluation.evaluation_folder import weights_of
from fer_lightning.evaluation.predictions import Predictions, write_predictions
from fer_lightning.runs.run_folder import RunFolder


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
    for words in (*map(str, runs), "600 rows", "600 clean rows", "B is better by", "exact McNemar test, p <"):
        assert words in printed
    assert "test rows" not in printed  # they may be validation rows
    assert "One seed each compares two runs, not two methods" in printed
    assert sorted(tmp_path.rglob("*")) == before


def test_a_name_with_brackets_is_printed_as_it_is(runs, tmp_path, monkeypatch, capsys):
    named = runs[1].rename(tmp_path / "classes=[happy,sad]")
    called(runs[0], named, "--json", tmp_path / "c.json", monkeypatch=monkeypatch)
    assert str(named) in " ".join(capsys.readouterr().out.split())


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


def test_an_ensemble_of_views_is_compared_with_these_views(runs, monkeypatch, capsys):
    ensemble = averaged(runs[0].parent / "ensemble", runs, "flip")
    write(ensemble / "predictions.csv", 0.9)
    called(ensemble, runs[1], "--tta", "flip", monkeypatch=monkeypatch)
    assert "tta=flip" in capsys.readouterr().out


def test_other_training_rows_are_pointed_out(runs, monkeypatch, capsys):
    for run, name in zip(runs, ("official", "official_dedup"), strict=True):
        (run / "summary.json").write_text(json.dumps({"status": "done", "split": {"name": name, "checksum": name}}))
    called(*runs, monkeypatch=monkeypatch)
    printed = " ".join(capsys.readouterr().out.split())
    assert "A was trained on split official, B on official_dedup" in printed


def evaluated_on(rows: str, folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "metrics.json").write_text(json.dumps({"rows": rows}))
    return folder


def averaged(folder: Path, members: list[Path], tta: str = "none") -> Path:
    folder.mkdir()
    facts = [{"run": str(member), "tta": tta} for member in members]
    (folder / "summary.json").write_text(json.dumps({"status": "done", "members": facts}))
    return folder


def evaluated_file(folder: Path, **entry) -> Path:
    """An evaluation of an exported file whose predictions were deleted."""
    folder.mkdir(parents=True)
    (folder / "metrics.json").write_text(json.dumps({"model": {"name": "x"}, "data": {"root": "data/rafdb"}, **entry}))
    return folder


def evaluated_checkpoint(run: Path) -> Path:
    """An evaluation of an unfinished run whose best.ckpt was replaced after it."""
    checkpoint = run / "checkpoints" / "best.ckpt"
    checkpoint.parent.mkdir()
    checkpoint.write_bytes(b"first")
    folder = run / "evaluation" / "flip"
    (folder / "metrics.json").write_text(json.dumps({"tta": "flip", **weights_of(RunFolder(run))}))
    checkpoint.write_bytes(b"second")
    return run


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
    "the same run twice": (lambda a, b: (a, a), ["both name the same folder"]),
    "the folder of several runs": (
        lambda a, b: (a, b.parent),
        ["RUN_B=", "not a run folder: summary.json is missing."],
    ),
    "views of an evaluation": (
        lambda a, b: (evaluated_on("test", a / "evaluation" / "flip"), b, "--tta", "flip"),
        ["RUN_A=", "is the folder of an evaluation, whose views are fixed. Drop tta=flip, and name an evaluation"],
    ),
    "an ensemble": (
        lambda a, b: (averaged(b.parent / "ensemble", [a, b]), b, "--tta", "ten_crop"),
        ["An ensemble has no checkpoint of its own.", "tta=ten_crop", "experiment=ensemble", "/evaluation/ten_crop"],
    ),
    "an ensemble of two views of one run": (
        lambda a, b: (averaged(b.parent / "ensemble", [a, a]), b, "--tta", "ten_crop"),
        ["Its members are views of one run. Name this run instead"],
    ),
    "other rows of a file": (
        lambda a, b: (a, evaluated_file(b / "evaluation" / "on_rafdb_face", other={})),
        ["second/face.onnx", "data.root=data/rafdb"],
    ),
    "an earlier checkpoint of a run that has not ended": (
        lambda a, b: (evaluated_checkpoint(a), b, "--tta", "flip"),
        ["has predictions of an earlier best.ckpt of an unfinished run", "tta=flip"],
    ),
    "an order for two folders": (lambda a, b: (a, b, "--csv-order", b), ["csv_order=", "both sides are folders"]),
    "validation rows": (
        lambda a, b: (a, evaluated_on("val", b.parent / "third")),
        ["RUN_B=", "predictions of val rows"],
    ),
}


@pytest.mark.parametrize(("arguments", "words"), REFUSALS.values(), ids=REFUSALS)
def test_mistakes_are_told_in_words(arguments, words, runs, monkeypatch, capsys):
    with pytest.raises(SystemExit) as ended:
        called(*arguments(*runs), monkeypatch=monkeypatch)
    assert ended.value.code == 2
    told = capsys.readouterr().err
    for word in words:
        assert word in told


def probabilities(rows: int = 600, share: float = 0.6, seed: int = 3) -> np.ndarray:
    """float32 (rows, 3) of another program, right on about this share of the rows."""
    random = np.random.default_rng(seed)
    right = random.random(rows) < share
    predicted = np.where(right, np.arange(rows) % 3, (np.arange(rows) + 1) % 3)
    return (0.1 + 0.7 * np.eye(3)[predicted]).astype(np.float32)


@pytest.mark.parametrize("swapped", [False, True])
def test_a_file_of_another_program_takes_rows_and_labels_from_the_run(runs, tmp_path, monkeypatch, capsys, swapped):
    file = tmp_path / "other.PrivateTest.npy"
    np.save(file, probabilities())
    sides = (file, runs[1]) if swapped else (runs[1], file)
    called(*sides, "--json", tmp_path / "c.json", monkeypatch=monkeypatch)
    entry = json.loads((tmp_path / "c.json").read_text())["all"]
    own, other = ("b", "a") if swapped else ("a", "b")
    assert entry["acc"][other] == pytest.approx((probabilities().argmax(axis=1) == np.arange(600) % 3).mean())
    assert entry["acc"][own] == pytest.approx(0.8, abs=0.05)
    assert entry["better"] == own.upper()
    printed = " ".join(capsys.readouterr().out.split())
    assert "does not say which rows its model was trained and selected on" in printed
    assert "calibration error" in printed
    assert "One seed each" not in printed


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Path:
    """A store of 30 test rows, which it sorts."""
    random, folder = np.random.default_rng(0), tmp_path_factory.mktemp("data")
    lines = [f"{code % 7},{' '.join(map(str, random.integers(256, size=2304)))},PrivateTest" for code in range(30)]
    (folder / "fer2013.csv").write_text("\n".join(["emotion,pixels,Usage", *lines]) + "\n")
    ingest(str(folder / "fer2013.csv"), str(folder / "store"))
    return folder / "store"


def run_on(root: Path, path: Path) -> Path:
    """Write predictions.csv of a network that is always right on the rows of a store."""
    opened = open_store(root)
    images = np.array([digest.tobytes().hex() for digest in opened.digests])
    labels, flags = np.array(opened.labels, np.int64), np.ones(30, bool)
    right = (0.05 + 0.65 * np.eye(7)[labels]).astype(np.float32)
    classes = tuple(opened.manifest["classes"])
    write_predictions(
        path / "predictions.csv", Predictions(np.arange(30), images, labels, right, flags, flags, None, classes)
    )
    return path


def test_a_file_in_the_order_of_the_csv_is_sorted_like_its_store(store, tmp_path, monkeypatch):
    run, file = run_on(store, tmp_path / "run"), tmp_path / "other.npy"
    np.save(file, (0.05 + 0.65 * np.eye(7)[np.arange(30) % 7]).astype(np.float32))  # right, in the order of the CSV
    called(run, file, "--csv-order", store, "--json", tmp_path / "c.json", monkeypatch=monkeypatch)
    assert json.loads((tmp_path / "c.json").read_text())["all"]["acc"]["b"] == 1
    called(run, file, "--json", tmp_path / "c.json", monkeypatch=monkeypatch)
    assert json.loads((tmp_path / "c.json").read_text())["all"]["acc"]["b"] < 1


def test_a_csv_with_a_column_of_sources_has_no_order(tmp_path, monkeypatch, capsys):
    lines = [f"{code % 7},{' '.join([str(code)] * 2304)},PrivateTest,person {code}" for code in range(30)]
    (tmp_path / "own.csv").write_text("\n".join(["emotion,pixels,Usage,source", *lines]) + "\n")
    ingest(str(tmp_path / "own.csv"), str(tmp_path / "store"))
    np.save(tmp_path / "other.npy", np.full((30, 7), 1 / 7, np.float32))
    run = run_on(tmp_path / "store", tmp_path / "run")
    with pytest.raises(SystemExit):
        called(run, tmp_path / "other.npy", "--csv-order", tmp_path / "store", monkeypatch=monkeypatch)
    assert "its CSV has a column source" in capsys.readouterr().err


def test_another_store_has_no_order_for_a_run(store, runs, tmp_path, monkeypatch, capsys):
    np.save(tmp_path / "other.npy", probabilities())
    for root, words in ((store, "holds other images than the run"), (tmp_path, "this folder does not hold a store")):
        with pytest.raises(SystemExit):
            called(runs[0], tmp_path / "other.npy", "--csv-order", root, monkeypatch=monkeypatch)
        assert f"csv_order={root}: {words}" in capsys.readouterr().err


def test_an_evaluation_in_a_run_is_a_side_and_knows_its_run(runs, monkeypatch, capsys):
    for run in runs:
        (run / "summary.json").write_text(
            json.dumps({"status": "done", "split": {"name": "official", "checksum": "one"}})
        )
    evaluation = write(runs[0] / "evaluation" / "face" / "predictions.csv", 0.7).parent
    (evaluation / "metrics.json").write_text("{}")
    called(evaluation, runs[1], monkeypatch=monkeypatch)
    assert "was trained on split" not in capsys.readouterr().out


def damaged(change):
    def write_file(path: Path) -> None:
        values = probabilities()
        np.save(path, change(values), allow_pickle=True)

    return write_file


def first_row(*values: float):
    def change(array: np.ndarray) -> np.ndarray:
        array[7] = values
        return array

    return change


FILES = {
    "missing": (lambda path: None, ["no such file. Name a run folder, or a .npy file"]),
    "text": (lambda path: path.write_text("0.1,0.2,0.7"), ["cannot be read as a .npy file", "numpy.save"]),
    "objects": (damaged(lambda values: values.astype(object)), ["cannot be read as a .npy file"]),
    "several arrays": (lambda path: np.savez(path.open("wb"), a=probabilities()), ["several arrays"]),
    "cut off": (lambda path: path.write_bytes(cut_off()), ["cannot be read as a .npy file"]),
    "float64": (damaged(lambda values: values.astype(np.float64)), ["holds float64 (600, 3); must be float32"]),
    "fewer rows": (
        damaged(lambda values: values[:-1]),
        ["holds float32 (599, 3); must be float32 (600, 3)", "600 rows"],
    ),
    "other classes": (damaged(lambda values: values[:, :2]), ["(600, 2)", "in this order: a, b, c."]),
    "logits": (damaged(first_row(-0.5, 1.2, 0.3)), ["row 7: holds -0.5, 1.2, 0.3", "not logits"]),
    "no number": (damaged(first_row(np.nan, 0, 1)), ["row 7: holds nan, 0, 1; each value must be from 0 to 1"]),
    "other sums": (damaged(first_row(0.2, 0.2, 0.2)), ["row 7: the values 0.2, 0.2, 0.2 sum to 0.6", "must be 1"]),
}


def cut_off() -> bytes:
    file = io.BytesIO()
    np.save(file, probabilities())
    return file.getvalue()[:-100]


@pytest.mark.parametrize(("make", "words"), FILES.values(), ids=FILES)
def test_a_file_that_holds_no_probabilities_is_rejected(make, words, runs, tmp_path, monkeypatch, capsys):
    file = tmp_path / "other.npy"
    make(file)
    with pytest.raises(SystemExit) as ended:
        called(runs[0], file, monkeypatch=monkeypatch)
    assert ended.value.code == 2
    shown = capsys.readouterr().err
    for word in (str(file), *words):
        assert word in shown


def test_two_files_hold_no_labels(tmp_path, monkeypatch, capsys):
    with pytest.raises(SystemExit):
        called(tmp_path / "a.npy", tmp_path / "b.npy", monkeypatch=monkeypatch)
    assert "both are files of probabilities, which hold no labels. Name a run folder" in capsys.readouterr().err


@pytest.mark.slow
def test_no_torch_is_needed(runs):
    script = (
        "import runpy, sys\n"
        "runpy.run_module('fer_lightning.evaluation.compare', run_name='__main__')\n"
        "assert 'torch' not in sys.modules and 'scipy.stats' not in sys.modules"
    )
    result = subprocess.run(
        [sys.executable, "-c", script, *map(str, runs)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert "better" in result.stdout
