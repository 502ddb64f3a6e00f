"""The nested dict of metrics: one schema, the right rows in each set, intervals around each value, nothing invented."""

import json
import math

import numpy as np
import pytest
from conftest import shown
from sklearn import metrics as reference

from fer_lightning.evaluation.evaluation import evaluate, write_evaluation
from fer_lightning.evaluation.predictions import Predictions, read_predictions
from fer_lightning.evaluation.tables import SETS, class_table, set_table
from fer_lightning.statistics.metrics import CLASS_METRICS, METRICS

CLASSES = ("angry", "disgust", "happy", "neutral")


def predictions(rows: int = 400, *, votes: bool = True) -> Predictions:
    rng = np.random.default_rng(7)
    labels = rng.choice(4, rows, p=[0.3, 0.05, 0.4, 0.25])
    shown = np.where(rng.random(rows) < 0.6, labels, rng.integers(4, size=rows))
    probabilities = rng.dirichlet(np.ones(4), rows) + np.eye(4)[shown]
    unseen = rng.random(rows) < 0.9
    return Predictions(
        rows=np.arange(rows),
        images=np.array([f"{row:064x}" for row in range(rows)]),
        labels=labels,
        probabilities=(probabilities / 2).astype(np.float32),
        unseen=unseen,
        clean=unseen & (rng.random(rows) < 0.9),
        plurality=rng.integers(-1, 4, rows) if votes else None,
        classes=CLASSES,
    )


@pytest.fixture(scope="module")
def evaluated():
    return evaluate(predictions(), resamples=300)


def leaves(entry: dict):
    """Every {value, low, high} with its path."""
    for key, value in entry.items():
        if isinstance(value, dict) and "value" in value:
            yield key, value
        elif isinstance(value, dict):
            yield from ((f"{key}/{path}", leaf) for path, leaf in leaves(value))


def test_one_schema_for_every_set(evaluated):
    assert tuple(evaluated) == SETS
    for entry in evaluated.values():
        assert tuple(entry) == ("rows", *METRICS, "classes")
        assert tuple(entry["classes"]) == CLASSES
        assert all(tuple(metrics) == ("rows", *CLASS_METRICS) for metrics in entry["classes"].values())
        assert sum(metrics["rows"] for metrics in entry["classes"].values()) == entry["rows"]
        assert len(list(leaves(entry))) == len(METRICS) + 3 * len(CLASSES)


def test_every_value_lies_in_its_interval(evaluated):
    for path, metric in leaves(evaluated):
        if "ece" not in path:
            assert metric["low"] < metric["value"] < metric["high"], path


@pytest.mark.parametrize("name", SETS)
def test_each_set_is_scored_on_its_own_rows(name, evaluated):
    given = predictions()
    rows = given.sets()[name]
    truth, predicted = given.labels[rows], given.predicted[rows]
    entry = evaluated[name]
    assert entry["rows"] == rows.sum()
    assert entry["acc"]["value"] == pytest.approx(reference.accuracy_score(truth, predicted))
    assert entry["f1_macro"]["value"] == pytest.approx(reference.f1_score(truth, predicted, average="macro"))
    assert entry["recall_mean"]["value"] == pytest.approx(reference.balanced_accuracy_score(truth, predicted))
    voted = rows & (given.plurality >= 0)
    agreed = (given.predicted == given.plurality)[voted].mean()
    assert entry["ferplus_acc"]["value"] == pytest.approx(agreed)
    precision, recall, f1, support = reference.precision_recall_fscore_support(truth, predicted)
    for k, metrics in enumerate(entry["classes"].values()):
        assert metrics["rows"] == support[k]
        found = [metrics[name]["value"] for name in CLASS_METRICS]
        assert found == pytest.approx([recall[k], precision[k], f1[k]])


def test_fewer_rows_give_wider_intervals(evaluated):
    few = evaluate(predictions(60), resamples=300)["all"]["acc"]
    many = evaluated["all"]["acc"]
    assert few["high"] - few["low"] > 2 * (many["high"] - many["low"])


def test_without_votes_there_is_no_agreement_to_report():
    sets = evaluate(predictions(50, votes=False), resamples=20)
    assert all(entry["ferplus_acc"] is None for entry in sets.values())
    assert "FER+" not in shown(set_table(sets, "x"))


def test_a_set_without_rows_is_empty_and_not_wrong():
    given = predictions(50)
    given.clean[:] = False
    sets = evaluate(given, resamples=20)
    assert sets["clean"]["rows"] == 0
    assert math.isnan(sets["clean"]["acc"]["value"])
    assert "–" in shown(set_table(sets, "x"))


def test_tables_fit_into_80_characters(evaluated):
    for table in (set_table(evaluated, "Test rows"), class_table(evaluated["all"], "by class")):
        lines = shown(table).splitlines()
        assert len(lines) == table.row_count + 2 + (table.row_count == len(METRICS))
        assert "…" not in "".join(lines)
    value, low, high = (100 * evaluated["clean"]["acc"][end] for end in ("value", "low", "high"))
    assert f"{value:.2f} [{low:.1f}, {high:.1f}]" in shown(set_table(evaluated, "Test rows"))


def test_a_class_name_is_on_one_line_beside_a_precision_of_100_percent(evaluated):
    """A class of few rows has wide intervals, which leave little space for its name."""
    interval = {"value": 0.5714, "low": 0.167, "high": 1.0}
    metrics = {"rows": 1024, "recall": interval, "precision": dict.fromkeys(interval, 1.0), "f1": interval}
    assert "\nfrustration " in shown(class_table({"classes": {"frustration": metrics}}, "by class"))


@pytest.mark.slow
def test_files_of_an_evaluation_agree_and_do_not_change(tmp_path):
    given = predictions(60)
    sets = evaluate(given, resamples=20)
    for folder in ("first", "second"):
        write_evaluation(tmp_path / folder, given, {"tta": "none", **sets}, title="Test rows")
    found = {path.name for path in (tmp_path / "first").iterdir()}
    assert found == {"metrics.json", "predictions.csv", "confusion.png", "per_class.png"}
    for name in found:
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes(), name
    written = json.loads((tmp_path / "first" / "metrics.json").read_text())
    again = evaluate(read_predictions(tmp_path / "first" / "predictions.csv"), resamples=20)
    assert {name: written[name] for name in SETS} == json.loads(json.dumps(again))
