"""Teach: each Training row is taught by networks that were not trained on it, or the runs are rejected."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from teacher_runs import FOLDS, fold_run

from fer_lightning.data.rows import image_numbers
from fer_lightning.data.splits import make_split
from fer_lightning.data.synthetic import load
from fer_lightning.data.table import FaceTable
from fer_lightning.data.teacher import Teacher, read_teacher
from fer_lightning.errors import UserError
from fer_lightning.evaluation.predictions import read_predictions
from fer_lightning.teach.__main__ import main
from fer_lightning.teach.folds import average_runs, read_fold_run


@pytest.fixture(scope="module")
def faces(tmp_path_factory) -> FaceTable:
    """Drawn faces whose near copies are looked for once."""
    return replace(load(rows=400, seed=0), cache=tmp_path_factory.mktemp("cache"))


@pytest.fixture
def runs(faces, tmp_path) -> list[Path]:
    """A run of each fold."""
    return [fold_run(tmp_path / "teacher" / f"fold-{fold}_seed-0", faces, fold) for fold in range(FOLDS)]


def averaged(runs: list[Path]) -> Teacher:
    return average_runs([read_fold_run(run) for run in runs])


def assert_nobody_teaches_what_it_was_trained_on(teacher: Teacher, faces: FaceTable) -> None:
    """Runs teach the images of a fold that they did not train on; only the splits decide."""
    training = np.unique(faces.digests[faces.usage == 0], axis=0)
    assert np.array_equal(teacher.digests, training)
    images = image_numbers(faces.digests)
    taught = []
    for fold in {member["fold"] for member in teacher.members}:
        folds, seed = teacher.members[0]["folds"], teacher.members[0]["split_seed"]
        split = make_split(faces, "training_fold", seed, fold, folds)
        assert {member["split"] for member in teacher.members if member["fold"] == fold} == {split.checksum}
        assert not np.isin(images[split.test], images[split.train]).any()
        taught.extend(split.test)
    assert sorted(taught) == np.flatnonzero(faces.usage == 0).tolist()


def test_the_command_writes_what_the_student_reads(runs, faces, tmp_path, capsys):
    out = tmp_path / "teacher.npz"
    main([f"runs=[{tmp_path}/teacher/*seed-*]", f"out={out}"])
    teacher = read_teacher(str(out), classes=faces.classes, data=faces.checksum)
    assert_nobody_teaches_what_it_was_trained_on(teacher, faces)
    assert [(m["run"], m["fold"], m["commit"]) for m in teacher.members] == [
        (str(run), fold, "c0ffee") for fold, run in enumerate(runs)
    ]
    assert {member["val/acc"] for member in teacher.members} == {0.625}
    printed = capsys.readouterr().out
    assert "fold 2 of 3: PublicTest 62.50 %" in printed
    assert f"teacher: {out}" in printed
    first = out.read_bytes()
    main([f"runs=[{tmp_path}/teacher/*seed-*]", f"out={out}"])
    assert out.read_bytes() == first


def test_a_row_gets_the_mean_of_the_networks_that_tested_it(runs, faces, tmp_path):
    again = fold_run(tmp_path / "teacher" / "fold-1_seed-1", faces, 1, seed=1)
    teacher = averaged([*runs, again])
    index = {digest.tobytes().hex(): row for row, digest in enumerate(teacher.digests)}
    assert teacher.probabilities.sum(axis=1) == pytest.approx(1, abs=1e-5)
    for members in ([runs[0]], [runs[1], again]):
        tested = [read_predictions(run / "predictions.csv") for run in members]
        for image in np.unique(tested[0].images):
            mean = np.mean([p.probabilities[p.images == image].mean(axis=0) for p in tested], axis=0)
            assert teacher.probabilities[index[image]] == pytest.approx(mean, abs=1e-5)


def edit(run: Path, name: str, **changes) -> None:
    """Change entries of the run's summary.json or of the data in its config.yaml."""
    if name == "summary":
        summary = json.loads((run / "summary.json").read_text())
        (run / "summary.json").write_text(json.dumps(summary | changes))
    else:
        config = yaml.safe_load((run / "config.yaml").read_text())
        (run / "config.yaml").write_text(yaml.safe_dump({"data": config["data"] | changes}))


def shorten(run: Path) -> None:
    lines = (run / "predictions.csv").read_text().splitlines(keepends=True)
    (run / "predictions.csv").write_text("".join(lines[:-3]))


def halve(run: Path) -> None:
    header, line, *lines = (run / "predictions.csv").read_text().splitlines()
    fields = line.split(",")
    (run / "predictions.csv").write_text("\n".join([header, ",".join([*fields[:-1], "7.5"]), *lines]))


OTHER_DATA = {"data": {"name": "synthetic", "checksum": "other"}}
HARMS = {
    "official": (lambda run: edit(run, "config", split="official"), r"trained with data.split=official. It must be"),
    "unfinished": (lambda run: edit(run, "summary", status="interrupted"), r"is not finished \(interrupted\)"),
    "other data": (lambda run: edit(run, "summary", **OTHER_DATA), r"data checksum other, .*They must be equal"),
    "other seed": (lambda run: edit(run, "config", split_seed=4), r"data.split_seed 4, .*has 0. They must be equal"),
    "other folds": (lambda run: edit(run, "config", folds=4), r"data.folds 4, .*has 3. They must be equal"),
    "a part": (shorten, r"has predictions for \d+ of the \d+ rows of its fold.*fer_lightning.evaluate run="),
    "no probabilities": (halve, r"probabilities of 1 rows in predictions.csv do not sum to 1"),
    "a gap": (lambda run: edit(run, "config", fold=1), r"no run tested fold 2 of 3.*data.fold=2"),
}


@pytest.mark.parametrize(("harm", "message"), HARMS.values(), ids=HARMS)
def test_what_cannot_teach_is_rejected(harm, message, runs):
    harm(runs[2])
    with pytest.raises(UserError, match=message):
        averaged(runs)


def test_folds_of_another_deal_are_rejected(runs, faces, tmp_path):
    """A run says split_seed=0 and was dealt otherwise, as by another version."""
    other = fold_run(tmp_path / "other", faces, 2, split_seed=1)
    edit(other, "config", split_seed=0)
    with pytest.raises(UserError, match=r"tested fold \d, .* fold 2, and \d+ images are in both folds"):
        averaged([*runs[:2], other])
    with pytest.raises(UserError, match=r"runs: .*images in common. All members must have the same rows"):
        averaged([*runs, other])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["out=teacher.npz"], "runs is not set"),
        (["runs=[nowhere/*]"], "runs: nowhere/*: no such folder"),
        (["runs=[]"], "two members or more"),
        (["runs=[{run},{run}]"], "is named twice"),
        (["runs=[{folder}/*]", "out=teacher.txt"], "out=teacher.txt: must be a file that ends in .npz"),
        (["rums=[a]"], "Did you mean runs?"),
    ],
)
def test_a_wrong_command_ends_in_words(words, message, runs, capsys):
    with pytest.raises(SystemExit) as end:
        main([word.format(run=runs[0], folder=runs[0].parent) for word in words])
    assert end.value.code == 2
    assert message in capsys.readouterr().err
