"""An ensemble is the mean of saved predictions, in an ordinary run folder; what does not fit together is refused."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from test_predictions import some

from fer_lightning.errors import UserError
from fer_lightning.evaluation import ensemble
from fer_lightning.evaluation.predictions import Predictions, read_predictions, write_predictions
from fer_lightning.runs.run_folder import RunFolder

ROWS = 40


def likely(seed: int, like: Predictions | None = None) -> Predictions:
    """Predictions of the same rows as `like` that another network might make."""
    other = some(ROWS, seed=seed)
    return other if like is None else replace(like, probabilities=other.probabilities)


def finished(
    path: Path, test: Predictions, *, val: Predictions | None = None, views: str | None = None, **facts
) -> Path:
    """A finished run's folder, as far as an ensemble reads it; with `views`, the folder of an evaluation in it."""
    summary = {
        "status": "done",
        "name": "best",
        "job": path.name,
        "seed": 0,
        "commit": "c0ffee",
        "dirty": False,
        "parameters": {"total": 10, "trainable": 10},
        "data": {"name": "drawn", "checksum": "d0"},
        "split": {"name": "official", "checksum": "5e7", "rows": {"train": 9, "val": ROWS, "test": ROWS}},
        **facts,
    }
    path.mkdir(parents=True)
    (path / "summary.json").write_text(json.dumps(summary))
    (path / "config.yaml").write_text(yaml.safe_dump({"data": {"batch_size": 3}}))
    member = path / "evaluation" / views if views else path
    write_predictions(member / "predictions.csv", test)
    if views:
        (member / "metrics.json").write_text("{}")
    if val is not None:
        write_predictions(path / "evaluation" / f"val_{views or 'none'}" / "predictions.csv", val)
    return member


def combined(folder: Path, *names: Path | str, start_over: bool = False, **options) -> dict:
    run = RunFolder(folder, start_over=start_over)
    try:
        ensemble.run(run, [str(name) for name in names], [f"ensemble={[*names]}"], **options)
    finally:
        run.release()
    return run.summary()


@pytest.fixture
def members(tmp_path) -> list[Path]:
    """A run and an evaluation of another with views, with validation predictions."""
    test, val = likely(0), likely(10)
    return [
        finished(tmp_path / "best" / "seed-0", test, val=val),
        finished(tmp_path / "best" / "seed-1", likely(1, test), val=likely(11, val), views="flip", seed=1),
    ]


def test_it_leaves_a_run_folder_with_the_mean_of_its_members(members, tmp_path):
    summary = combined(tmp_path / "ensemble" / "seed-0", *members, seed=7)
    both = [read_predictions(member / "predictions.csv") for member in members]
    mean = np.mean([p.probabilities for p in both], axis=0)
    written = read_predictions(tmp_path / "ensemble" / "seed-0" / "predictions.csv")
    np.testing.assert_allclose(written.probabilities, mean, rtol=1e-6)
    right = (mean.argmax(axis=1) == both[0].labels).mean()
    assert (summary["status"], summary["seed"]) == ("done", 7)
    assert summary["test"]["test/acc"] == summary["test"]["all"]["acc"]["value"] == pytest.approx(right)
    assert summary["test"]["reads"]["run"] == 1
    assert summary["split"]["checksum"] == "5e7"
    assert summary["parameters"]["total"] == 20
    names = {path.name for path in (tmp_path / "ensemble" / "seed-0").iterdir()}
    assert names >= {"summary.json", "config.yaml", "overrides.txt", "env.txt", "predictions.csv", "plots"}


@pytest.mark.slow
def test_its_members_are_named_with_what_they_were(members, tmp_path):
    first, second = combined(tmp_path / "ensemble" / "seed-0", *members)["members"]
    assert (first["run"], first["tta"], first["seed"], first["commit"]) == (str(members[0]), "none", 0, "c0ffee")
    assert (second["run"], second["tta"], second["seed"]) == (str(members[1].parents[1]), "flip", 1)
    assert len(first["predictions"]) == 64


@pytest.mark.slow
def test_the_validation_rows_are_averaged_likewise(members, tmp_path):
    summary = combined(tmp_path / "ensemble" / "seed-0", *members)
    files = [members[0] / "evaluation/val_none/predictions.csv", members[1].parent / "val_flip/predictions.csv"]
    both = [read_predictions(path) for path in files]
    mean = np.mean([p.probabilities for p in both], axis=0)
    assert summary["best_value"] == pytest.approx((mean.argmax(axis=1) == both[0].labels).mean())


@pytest.mark.slow
def test_without_them_the_way_to_them_is_told(tmp_path, capsys):
    test = likely(0)
    runs = [finished(tmp_path / f"seed-{seed}", likely(seed, test)) for seed in range(2)]
    assert combined(tmp_path / "ensemble", *runs)["best_value"] is None
    assert f"evaluate run={runs[1]} tta=none rows=val" in capsys.readouterr().out
    run = tmp_path / "seed-2"
    combined(tmp_path / "exported", runs[0], finished(run, likely(2, test), views="face"))
    assert f"evaluate run={run} model={run / 'face.onnx'} rows=val" in capsys.readouterr().out


@pytest.mark.slow
def test_a_pattern_names_all_that_match_and_the_second_call_leaves_it_alone(members, tmp_path, capsys):
    pattern = f"{tmp_path}/best/seed-*"
    write_predictions(tmp_path / "best/seed-1/predictions.csv", read_predictions(members[1] / "predictions.csv"))
    first = combined(tmp_path / "ensemble", pattern)
    assert [member["seed"] for member in first["members"]] == [0, 1]
    assert combined(tmp_path / "ensemble", pattern) == first
    assert "is done; resume=never" in capsys.readouterr().out


@pytest.mark.slow
def test_other_members_are_another_ensemble(members, tmp_path):
    combined(tmp_path / "ensemble", *members)
    with pytest.raises(UserError, match=r"holds a run of another config(?s:.*)name="):
        combined(tmp_path / "ensemble", *reversed(members))
    combined(tmp_path / "ensemble", *reversed(members), start_over=True)
    assert (tmp_path / "ensemble~1").is_dir()


def test_what_does_not_fit_together_is_refused(members, tmp_path):
    rows = finished(tmp_path / "rows", some(ROWS, seed=5))
    classes = finished(tmp_path / "classes", replace(likely(0), classes=("angry", "happy", "bored")))
    running = finished(tmp_path / "running", likely(0), status="interrupted", command="python train.py seed=3")
    refusals = {
        r"ensemble: .*nothing: no such folder. Name folders of finished runs": [members[0], tmp_path / "nothing"],
        r"has 40 test rows and .*rows has 40, with 0 images in common": [members[0], rows],
        r"has the classes angry, happy, sad, and .*classes has angry, happy, bored": [members[0], classes],
        r"running is not finished \(interrupted\). Resume it: python train.py seed=3": [members[0], running],
        r"is named twice": [members[0], members[0]],
        r"must be two members or more": [members[0]],
        r"is not a run folder: .*summary.json is missing. Name folders": [members[0], tmp_path],
    }
    for message, names in refusals.items():
        with pytest.raises(UserError, match=message):
            combined(tmp_path / "ensemble", *names)
    with pytest.raises(UserError, match=r"ensemble=\[\]: must be two members or more"):
        combined(tmp_path / "ensemble")


def test_a_row_is_clean_where_it_is_so_for_every_member():
    first = likely(0)
    second = replace(first, clean=~first.clean)
    assert not ensemble.average([first, second]).clean.any()
    np.testing.assert_array_equal(ensemble.average([first, first]).clean, first.clean)


def test_a_member_without_rows_is_refused(members, tmp_path):
    finished(tmp_path / "none", some(0))
    with pytest.raises(UserError, match=r"none/predictions\.csv has no rows\. Name runs that were evaluated on at"):
        combined(tmp_path / "out", members[0], tmp_path / "none")


@pytest.mark.parametrize(
    ("entry", "message"),
    [({"rows": "val"}, "has predictions of val rows"), ({"other": {}}, "has predictions of another data set")],
)
def test_only_test_rows_of_a_run_are_averaged(entry, message, members, tmp_path):
    (members[1] / "metrics.json").write_text(json.dumps(entry))
    with pytest.raises(UserError, match=rf"ensemble={members[1]}: {message}"):
        combined(tmp_path / "ensemble", *members)


def test_the_next_step_compares_with_the_same_views(members, tmp_path, capsys):
    combined(tmp_path / "ensemble", members[1], finished(tmp_path / "other", likely(2, likely(0)), views="flip"))
    assert f"'runs=[{tmp_path / 'ensemble'},{members[1]}]'" in capsys.readouterr().out
