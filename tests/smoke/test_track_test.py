"""track_test=true adds the test curve to metrics.csv, counts each look, and changes nothing else."""

import csv

import pytest
from conftest import TINY, composed

from fer_lightning.check.check import check
from fer_lightning.cli import train
from fer_lightning.errors import UserError
from fer_lightning.runs.run_folder import RunFolder

FEW = ("data.rows=120", "data.batch_size=16", "trainer.limit_train_batches=2")
MEASURED_TIMES = ("seconds", "images_per_second")


def run(folder, *overrides: str) -> tuple[list[dict], bytes, list[dict]]:
    train.fit_and_test(composed(*TINY, *FEW, *overrides), RunFolder(folder), {})
    rows, reads = (
        list(csv.DictReader((folder / name).read_text().splitlines())) for name in ("metrics.csv", "test_reads.csv")
    )
    return rows, (folder / "predictions.csv").read_bytes(), reads


@pytest.mark.slow
def test_the_test_curve_is_logged_and_decides_nothing(tmp_path):
    plain, predictions, reads = run(tmp_path / "plain")
    tracked, same_predictions, more_reads = run(tmp_path / "tracked", "track_test=true")
    added = {"test/loss", "test/ce", "test/acc", "test/f1_macro", "test/recall_mean"}
    assert set(tracked[0]) - set(plain[0]) == added
    assert not added & set(plain[0])
    kept = [key for key in plain[0] if key not in MEASURED_TIMES]
    assert [[row[key] for key in kept] for row in tracked] == [[row[key] for key in kept] for row in plain]
    assert predictions == same_predictions
    assert (len(reads), len(more_reads)) == (1, 3)


@pytest.mark.parametrize("name", ["best", "early_stopping"])
def test_nothing_can_be_chosen_by_the_test_curve(name):
    with pytest.raises(UserError, match=rf"callbacks\.{name}\.monitor=test/acc: no such metric"):
        check(composed("data=synthetic", "track_test=true", f"callbacks.{name}.monitor=test/acc"))
