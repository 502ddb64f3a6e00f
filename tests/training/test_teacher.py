"""A teacher file comes back as it was written, becomes training targets, and is rejected for other data."""

import dataclasses

import numpy as np
import pytest
import torch
from conftest import TINY, composed, pretend_store
from omegaconf import OmegaConf
from teacher_runs import teacher_for
from test_feed import module

from fer_lightning.check.check import check
from fer_lightning.cli import train
from fer_lightning.data.splits import make_split
from fer_lightning.data.synthetic import load
from fer_lightning.data.targets import soft_targets
from fer_lightning.data.teacher import read_teacher, write_teacher
from fer_lightning.errors import UserError
from fer_lightning.evaluation.trained_run import open_run
from fer_lightning.labels import TAXONOMIES
from fer_lightning.runs.run_folder import RunFolder


@pytest.fixture(scope="module")
def faces():
    return load(rows=400, seed=0)


@pytest.fixture
def file(faces, tmp_path) -> str:
    write_teacher(tmp_path / "teacher.npz", teacher_for(faces))
    return str(tmp_path / "teacher.npz")


def test_what_is_read_is_what_was_written(faces, file):
    written, read = teacher_for(faces), read_teacher(file, classes=faces.classes, data=faces.checksum)
    assert (read.data, read.classes, read.members) == (written.data, written.classes, written.members)
    assert np.array_equal(read.digests, written.digests)
    assert np.array_equal(read.probabilities, written.probabilities)
    assert read.checksum() == written.checksum() != teacher_for(faces, seed=1).checksum()
    assert read.facts() == {"file": "teacher.npz", "checksum": read.checksum(), "members": read.members}


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (lambda content: b"", "No data left"),
        (lambda content: b"row,image", ""),
        (lambda content: content[: len(content) // 2], "not a zip file"),
        (lambda content: content.replace(b"v\0\0\0a\0\0\0l", b"v\0\0\0i\0\0\0l"), "Bad CRC"),
    ],
    ids=["empty", "text", "half", "changed"],
)
def test_a_damaged_file_is_rejected(harm, reason, file, tmp_path):
    content = (tmp_path / "teacher.npz").read_bytes()
    (tmp_path / "teacher.npz").write_bytes(harm(content))
    with pytest.raises(UserError, match=rf"data.teacher=.*teacher.npz: not a teacher file \(.*{reason}") as rejected:
        read_teacher(file, classes=None, data=None)
    assert "python -m fer_lightning.teach" in str(rejected.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: {"probabilities": t.probabilities.astype(np.float64)}, "its probabilities are float64"),
        (lambda t: {"probabilities": t.probabilities[:, 1:]}, "its probabilities are float32"),
        (lambda t: {"probabilities": t.probabilities * np.nan}, "its probabilities do not sum to 1"),
        (lambda t: {"probabilities": t.probabilities / 2}, "its probabilities do not sum to 1"),
        (lambda t: {"digests": t.digests[:, 1:]}, "its digests are uint8"),
    ],
)
def test_arrays_of_another_form_are_rejected(change, words, faces, tmp_path):
    teacher = teacher_for(faces)
    write_teacher(tmp_path / "teacher.npz", dataclasses.replace(teacher, **change(teacher)))
    with pytest.raises(UserError, match=words):
        read_teacher(str(tmp_path / "teacher.npz"), classes=None, data=None)


def test_targets_are_the_share_of_the_teacher_and_the_rest_of_the_label(faces):
    teacher, rows = teacher_for(faces), make_split(faces, "official").train
    for share, temperature in ((0.7, 1.0), (0.25, 2.0), (0.0, 1.0), (1.0, 4.0)):
        targets = soft_targets(faces, rows, "teacher", teacher=teacher, share=share, temperature=temperature)
        for row in rows[::37]:
            p = teacher.probabilities[(teacher.digests == faces.digests[row]).all(axis=1)][0].astype(float)
            flat = p ** (1 / temperature) / (p ** (1 / temperature)).sum()
            label = np.eye(len(faces.classes))[faces.labels[row]]
            assert targets[row] == pytest.approx(share * flat + (1 - share) * label, abs=1e-6)
        assert targets.sum(axis=1) == pytest.approx(1, abs=1e-5)
        assert targets.dtype == np.float32


def test_a_temperature_near_zero_gives_the_whole_target_to_the_largest_probability(faces):
    teacher, rows = teacher_for(faces), make_split(faces, "official").train
    targets = soft_targets(faces, rows, "teacher", teacher=teacher, share=1.0, temperature=1e-4)
    assert np.isfinite(targets[rows]).all()
    assert targets[rows].max(axis=1).min() > 0.49


def test_every_training_row_needs_a_teacher(faces):
    teacher, split = teacher_for(faces), make_split(faces, "official")
    few = dataclasses.replace(teacher, digests=teacher.digests[1:], probabilities=teacher.probabilities[1:])
    with pytest.raises(UserError, match=r"no probabilities for [1-9]\d* of \d+ training rows"):
        soft_targets(faces, split.train, "teacher", teacher=few)
    with pytest.raises(UserError, match=r"no probabilities for [1-9]\d* of \d+ training rows"):
        soft_targets(faces, split.test, "teacher", teacher=teacher)


def test_the_teacher_is_trained_on_and_labels_are_measured(faces, file):
    data = module(faces, labels="teacher", teacher=file, teacher_share=0.5, train_rows=100)
    batch = next(iter(data.train_dataloader()))
    expected = soft_targets(faces, data.train_rows, "teacher", teacher=teacher_for(faces), share=0.5)
    assert torch.equal(batch["target"], torch.from_numpy(expected)[batch["row"]])
    evaluated = next(iter(data.val_dataloader()[0]))
    assert torch.equal(evaluated["target"], torch.from_numpy(faces.labels)[evaluated["row"]])


def test_a_run_does_not_go_on_with_another_teacher(faces, file, tmp_path):
    before = module(faces, labels="teacher", teacher=file).state_dict()
    module(faces, labels="teacher", teacher=file).load_state_dict(before)
    write_teacher(tmp_path / "teacher.npz", teacher_for(faces, seed=1))
    with pytest.raises(UserError, match="began on teacher"):
        module(faces, labels="teacher", teacher=file).load_state_dict(before)


def test_a_run_does_not_go_on_with_other_votes_beside_its_teacher(faces, file):
    votes = np.random.default_rng(0).integers(0, 5, (len(faces), 10)).astype(np.uint8)
    how = {"labels": "ferplus_teacher", "teacher": file}
    before = module(dataclasses.replace(faces, votes=votes), **how).state_dict()
    assert before.keys() == {"split", "teacher", "votes"}
    with pytest.raises(UserError, match="began on votes"):
        module(dataclasses.replace(faces, votes=votes[::-1].copy()), **how).load_state_dict(before)


@pytest.mark.slow
def test_the_summary_names_the_teacher_and_an_evaluation_does_not_need_it(tmp_path):
    tiny = (*TINY, "trainer.max_epochs=1", "trainer.limit_train_batches=1", f"output_dir={tmp_path}")
    teacher = teacher_for(load(rows=300))
    write_teacher(tmp_path / "teacher.npz", teacher)
    cfg = composed(*tiny, "data.labels=teacher", f"data.teacher={tmp_path}/teacher.npz")
    assert check(cfg) == []
    folder = RunFolder(tmp_path / "run")
    folder.claim(OmegaConf.to_container(cfg, resolve=True, enum_to_str=True))
    train.fit_and_test(cfg, folder, {})
    folder.release()
    facts = folder.summary()["data"]["teacher"]
    assert facts == {"file": "teacher.npz", "checksum": teacher.checksum(), "members": teacher.members}
    (tmp_path / "teacher.npz").unlink()
    run = open_run(folder.path)
    run.faces()
    run.folder.release()


FER2013 = TAXONOMIES["fer2013"].classes
CHECKS = {
    "no file named": ({"teacher": None}, [], ["data.teacher=null: data.labels=teacher", "fer_lightning.teach"]),
    "no such file": ({"teacher": "gone.npz"}, [], ["data.teacher=gone.npz: no such file", "fer_lightning.teach"]),
    "other data": ({"data": "0" * 64}, [], ["trained on data 000000000000, and this data is da7a", "data.extra"]),
    "other classes": ({"classes": FER2013[::-1]}, [], ["its classes are neutral, surprise", "data.taxonomy"]),
    "another split": ({}, ["data.split=clean"], ["data.split=clean: must be one of official, official_dedup"]),
    "a fold": ({}, ["data.split=training_fold", "data.fold=0"], ["must be one of official, official_dedup"]),
    "a file without use": ({}, ["data.labels=hard"], ["with data.labels=hard", "data.teacher=null"]),
    "a share": ({}, ["data.teacher_share=1.5"], ["data.teacher_share=1.5: must be from 0"]),
    "no share": ({}, ["data.teacher_share=nan"], ["data.teacher_share=nan: must be a number"]),
    "a temperature": ({}, ["data.teacher_temperature=0"], ["data.teacher_temperature=0: must be greater than 0"]),
}


@pytest.mark.parametrize(("change", "overrides", "words"), CHECKS.values(), ids=CHECKS)
def test_the_check_rejects_what_cannot_teach(change, overrides, words, faces, tmp_path, monkeypatch):
    pretend_store(monkeypatch)
    facts = {"data": "da7a", "classes": FER2013} | {key: change[key] for key in ("data", "classes") if key in change}
    write_teacher(tmp_path / "teacher.npz", dataclasses.replace(teacher_for(faces), **facts))
    path = change.get("teacher", tmp_path / "teacher.npz") or "null"
    with pytest.raises(UserError) as rejected:
        check(composed("data.labels=teacher", f"data.teacher={path}", *overrides))
    for word in words:
        assert word in str(rejected.value)


@pytest.mark.parametrize("labels", ["teacher", "ferplus_teacher"])
def test_the_check_accepts_what_can_teach(labels, faces, tmp_path, monkeypatch):
    pretend_store(monkeypatch)
    write_teacher(tmp_path / "teacher.npz", dataclasses.replace(teacher_for(faces), data="da7a"))
    for split in ("official", "official_dedup"):
        cfg = composed(f"data.labels={labels}", f"data.teacher={tmp_path}/teacher.npz", f"data.split={split}")
        assert check(cfg) == []
