"""Probabilities of another program are judged like a run: rows, orders, leak test, paired test, refusals."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from fer_forms import Samples
from real_fer2013 import SOURCE

from fer_lightning.data.fer2013 import load
from fer_lightning.data.ingest import ingest
from fer_lightning.data.judged_rows import judge_rows, judge_test_rows
from fer_lightning.data.splits import make_split
from fer_lightning.errors import UserError
from fer_lightning.evaluation import evaluate
from fer_lightning.evaluation.predictions import predictions_of, read_predictions, write_predictions

pytestmark = pytest.mark.usefixtures("no_pictures")

CLASSES = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
PEERS = SOURCE.parent / "peers"


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    ingest(str(Samples().csv(folder / "fer2013.csv")), str(folder / "store"))
    return folder / "store"


def right(labels: np.ndarray) -> np.ndarray:
    return (0.05 + 0.65 * np.eye(7)[labels]).astype(np.float32)


def in_store_order(root: Path) -> np.ndarray:
    table = load(str(root))
    return right(table.labels[make_split(table, "official").test])


def in_csv_order(usage: str = "PrivateTest") -> np.ndarray:
    return right(np.array([code for used, code in Samples().rows if used == usage]))


def judged(file: Path, store: Path, out: Path, *words: str) -> dict:
    evaluate.evaluate(evaluate.config([f"predictions={file}", f"data_root={store}", f"out={out}", *words]))
    return json.loads((out / "metrics.json").read_text())


@pytest.mark.parametrize("order", ["store", "csv"])
def test_rows_are_those_of_the_store_or_of_the_csv(order, store, tmp_path):
    np.save(tmp_path / "other.npy", in_store_order(store) if order == "store" else in_csv_order())
    entry = judged(tmp_path / "other.npy", store, tmp_path / "out", f"order={order}")
    assert entry["all"]["acc"]["value"] == 1
    assert entry["file"]["order"] == order
    assert set(entry["all"]["acc"]) == {"value", "low", "high"}
    assert (read_predictions(tmp_path / "out" / "predictions.csv").probabilities == in_store_order(store)).all()


def test_a_folder_of_the_user_is_kept_and_that_of_an_evaluation_is_replaced(store, tmp_path):
    np.save(tmp_path / "other.npy", in_store_order(store))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "predictions.csv").write_text("mine")
    with pytest.raises(UserError, match="files that are not results of this command"):
        judged(tmp_path / "other.npy", store, tmp_path / "mine")
    assert [path.read_text() for path in (tmp_path / "mine").iterdir()] == ["mine"]
    assert judged(tmp_path / "other.npy", store, tmp_path / "out", "rows=val")
    assert judged(tmp_path / "other.npy", store, tmp_path / "out", "rows=val")


def test_columns_of_a_csv_are_found_by_their_names(store, tmp_path):
    names = ["neutral", "file", "Anger", "disgust", "afraid", "happiness", "sad", "surprise"]
    values = in_store_order(store)[:, [6, 0, 0, 1, 2, 3, 4, 5]].astype(str)
    values[:, 1] = "face.png"
    with open(tmp_path / "other.csv", "w", newline="") as file:
        csv.writer(file).writerows([names, *values])
    assert judged(tmp_path / "other.csv", store, tmp_path / "out")["all"]["acc"]["value"] == 1


def test_training_rows_and_runs_are_compared(store, tmp_path, capsys):
    table = load(str(store))
    rows = judge_test_rows(table, make_split(table, "official"))
    wrong = right((table.labels[rows.rows] + 1) % 7)
    write_predictions(
        tmp_path / "run" / "predictions.csv",
        predictions_of(rows, rows.rows, table.labels[rows.rows], wrong, table.classes),
    )
    np.save(tmp_path / "other.npy", in_csv_order())
    np.save(tmp_path / "training.npy", in_csv_order("Training"))
    words = ("order=csv", f"training={tmp_path / 'training.npy'}", f"against=[{tmp_path / 'run'}]")
    entry = judged(tmp_path / "other.npy", store, tmp_path / "out", *words)
    assert entry["leak"]["drop"]["training"]["value"] == 1
    assert entry["against"][str(tmp_path / "run")]["all"]["acc"]["difference"] == 1
    printed = " ".join(capsys.readouterr().out.split())
    assert "on both kinds of rows or on neither" in printed
    assert "B − A" in printed
    assert "on this data." in printed


def test_reads_of_test_rows_are_counted_and_those_of_validation_rows_are_not(store, tmp_path):
    for rows, usage, counted in (("test", "PrivateTest", True), ("val", "PublicTest", False)):
        np.save(tmp_path / "other.npy", in_csv_order(usage))
        before = (store / "test_reads.csv").read_bytes() if (store / "test_reads.csv").exists() else b""
        entry = judged(tmp_path / "other.npy", store, tmp_path / rows, "order=csv", f"rows={rows}")
        assert entry["all"]["acc"]["value"] == 1
        assert ((store / "test_reads.csv").read_bytes() != before) is counted


def test_validation_rows_are_compared_with_those_of_a_run_and_no_read_is_wasted(store, tmp_path):
    table = load(str(store))
    split = make_split(table, "official")
    rows = judge_rows(table, split.val, split.train)
    folder = tmp_path / "run" / "evaluation" / "val_none"
    labels = table.labels[rows.rows]
    write_predictions(folder / "predictions.csv", predictions_of(rows, rows.rows, labels, right(labels), table.classes))
    (folder / "metrics.json").write_text('{"rows": "val"}')
    np.save(tmp_path / "other.npy", right(labels))
    against = f"against=[{tmp_path / 'run'}]"
    entry = judged(tmp_path / "other.npy", store, tmp_path / "out", "rows=val", against)
    assert entry["against"][str(tmp_path / "run")]["all"]["acc"]["difference"] == 0
    (folder / "predictions.csv").unlink()
    with pytest.raises(UserError, match=rf"Write it: .* run={tmp_path / 'run'} tta=none rows=val"):
        judged(tmp_path / "other.npy", store, tmp_path / "out", "rows=val", against)
    write_predictions(
        tmp_path / "run" / "predictions.csv", predictions_of(rows, rows.rows, labels, right(labels), table.classes)
    )
    np.save(tmp_path / "other.npy", in_store_order(store))
    before = (store / "test_reads.csv").read_bytes() if (store / "test_reads.csv").exists() else b""
    with pytest.raises(UserError, match="with 0 images in common"):
        judged(tmp_path / "other.npy", store, tmp_path / "out", against)
    assert (store / "test_reads.csv").exists() == bool(before)
    assert not before or (store / "test_reads.csv").read_bytes() == before


def test_an_accuracy_near_chance_points_to_the_order(store, tmp_path, capsys):
    np.save(tmp_path / "other.npy", np.roll(in_store_order(store), 1, axis=1))
    judged(tmp_path / "other.npy", store, tmp_path / "out")
    assert "If the rows have another order, use order=csv." in " ".join(capsys.readouterr().out.split())


REFUSALS = {
    "with a run": (["predictions=a.npy", "run=x"], "Drop run; to compare with a run, use against="),
    "with views": (["predictions=a.npy", "tta=flip"], "with tta=flip: the probabilities are already in the file"),
    "of a run": (["run=x", "out=y"], "out=y without predictions"),
    "no file": (["predictions=none.npy"], r"none\.npy: no such file"),
    "no table": (["predictions=none.csv"], r"none\.csv: no such file"),
    "another kind": (["predictions=a.txt"], r"a\.txt: must be a \.npy or \.csv file"),
    "no store": (["predictions=a.txt", "data_root=nowhere"], "data_root=nowhere: .*does not hold a store of faces"),
    "a file as its folder": (["predictions=a.txt", "out=a.txt"], r"out=a\.txt: .* is a file"),
}


@pytest.mark.parametrize(("words", "message"), REFUSALS.values(), ids=REFUSALS)
def test_what_cannot_be_judged_is_refused(words, message, store, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("a.txt").touch()
    root = [] if any(word.startswith("data_root") for word in words) else [f"data_root={store}"]
    with pytest.raises(UserError, match=message):
        evaluate.evaluate(evaluate.config([*words, *(root if words[0] != "run=x" else [])]))


DAMAGED_TABLES = {
    "a class is missing": ("angry,disgust,fear,happy,sad,surprise\n", "neutral not once"),
    "a class is there twice": ("angry,anger,disgust,fear,happy,sad,surprise,neutral\n", "angry not once"),
    "a word": (f"{','.join(CLASSES)}\n1,0,0,0,0,0,none\n", "line 2: could not convert"),
    "a short line": (f"{','.join(CLASSES)}\n1,0,0\n", "line 2: list index out of range"),
    "too few rows": (f"{','.join(CLASSES)}\n1,0,0,0,0,0,0\n", r"holds float32 \(1, 7\); must be"),
    "nothing": ("", "must name each class once"),
}


@pytest.mark.parametrize(("text", "message"), DAMAGED_TABLES.values(), ids=DAMAGED_TABLES)
def test_a_damaged_table_is_refused(text, message, store, tmp_path):
    (tmp_path / "other.csv").write_text(text)
    with pytest.raises(UserError, match=message):
        judged(tmp_path / "other.csv", store, tmp_path / "out")


def figures_of_peers() -> dict[str, list[float]]:
    """Accuracy on PrivateTest, PublicTest and clean rows, macro-F1 and calibration error of each network, in %."""
    found = {}
    for line in (PEERS / "README.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if (PEERS / f"{cells[0]}.PrivateTest.npy").exists():
            found[cells[0]] = [float(cells[index].split()[0]) for index in (3, 4, 5, 6, 7)]
    return found


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(
    not (PEERS / "README.md").exists() or not (SOURCE / "materialize.py").exists(),
    reason="no real FER2013, or no predictions of other packages beside it",
)
def test_figures_of_other_packages_are_reproduced_and_the_leaked_one_is_found(real_store, tmp_path):
    leaked = set()
    for name, expected in figures_of_peers().items():
        parts = {}
        for rows, usage in (("test", "PrivateTest"), ("val", "PublicTest")):
            file = PEERS / f"{name}.{usage}.npy"
            parts[rows] = judged(file, real_store, tmp_path / name / rows, "order=csv", f"rows={rows}")
            leaked |= {name} if parts[rows]["leak"]["leaked"] else set()
            assert parts[rows]["leak"]["leaked"] is not None
        test, public = parts["test"], parts["val"]["all"]
        measured = [
            test["all"]["acc"],
            public["acc"],
            test["clean"]["acc"],
            test["all"]["f1_macro"],
            test["all"]["ece"],
        ]
        assert [100 * metric["value"] for metric in measured] == pytest.approx(expected, abs=0.06), name
    assert leaked == {"facemood"}
