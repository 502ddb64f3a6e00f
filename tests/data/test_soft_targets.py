"""Targets that are estimated from FER+ votes and from a teacher."""

import dataclasses

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from teacher_runs import teacher_for

from fer_lightning.data.splits import make_split
from fer_lightning.data.synthetic import load
from fer_lightning.data.table import FaceTable
from fer_lightning.data.targets import PENALTY, estimated_labels, soft_targets
from fer_lightning.errors import UserError

KINDS = ("ferplus_estimate", "ferplus_teacher")


@pytest.fixture(scope="module")
def faces() -> FaceTable:
    """Drawn faces; the votes of half of the annotators are the label's class, the others are random."""
    table = load(rows=600, seed=0)
    random = np.random.default_rng(0)
    votes = np.array([random.multinomial(5, np.full(10, 0.1)) for _ in range(len(table))])
    column = np.array([4, 5, 6, 1, 3, 2, 0])[table.labels]  # the column of each class in `ferplus.COLUMNS`
    votes[np.arange(len(table)), column] += 5
    votes[:20] = 0
    return dataclasses.replace(table, votes=votes.astype(np.uint8))


def test_the_estimate_is_that_of_a_logistic_regression():
    random = np.random.default_rng(0)
    evidence = np.concatenate([np.ones((500, 1)), random.normal(size=(500, 4))], axis=1)
    labels = (evidence @ random.normal(size=(5, 3)) + random.gumbel(size=(500, 3))).argmax(axis=1)
    penalty = 1 / (2 * PENALTY * len(labels))
    reference = LogisticRegression(C=penalty, fit_intercept=False, tol=1e-8, max_iter=10_000).fit(evidence, labels)
    estimated = estimated_labels(evidence, labels, 3)
    assert estimated == pytest.approx(reference.predict_proba(evidence), abs=1e-3)


@pytest.mark.parametrize("labels", KINDS)
def test_a_target_has_the_share_of_the_estimate_and_the_rest_of_the_label(labels, faces):
    rows = make_split(faces, "official").train
    teacher = teacher_for(faces) if labels == "ferplus_teacher" else None
    estimate = soft_targets(faces, rows, labels, teacher=teacher, share=1)
    mixed = soft_targets(faces, rows, labels, teacher=teacher, share=0.25)
    onehot = np.eye(len(faces.classes))[faces.labels]
    assert estimate.dtype == np.float32
    assert estimate.sum(axis=1) == pytest.approx(1, abs=1e-5)
    assert mixed[rows] == pytest.approx(0.25 * estimate[rows] + 0.75 * onehot[rows], abs=1e-6)
    assert (estimate[rows].argmax(axis=1) == faces.labels[rows]).mean() > 0.9
    others = np.setdiff1d(np.arange(len(faces)), rows)
    assert np.array_equal(mixed[others], onehot[others])


@pytest.mark.parametrize("labels", KINDS)
def test_no_other_row_has_an_influence_on_the_targets(labels, faces):
    rows = make_split(faces, "official").train
    others = np.setdiff1d(np.arange(len(faces)), rows)
    teacher = teacher_for(faces) if labels == "ferplus_teacher" else None
    votes, classes = faces.votes.copy(), faces.labels.copy()
    votes[others], classes[others] = 1, (classes[others] + 1) % 7
    changed = dataclasses.replace(faces, votes=votes, labels=classes)
    before, after = (soft_targets(table, rows, labels, teacher=teacher) for table in (faces, changed))
    assert np.array_equal(before[rows], after[rows])


def test_a_row_without_votes_keeps_its_label(faces):
    rows = make_split(faces, "official").train
    without = rows[rows < 20]
    estimate = soft_targets(faces, rows, "ferplus_estimate", share=1)
    assert len(without) > 5
    assert np.array_equal(estimate[without], np.eye(7)[faces.labels[without]])
    nobody = dataclasses.replace(faces, votes=np.zeros_like(faces.votes))
    assert np.array_equal(soft_targets(nobody, rows, "ferplus_estimate"), np.eye(7)[faces.labels])


@pytest.mark.parametrize("labels", KINDS)
def test_votes_are_needed(labels, faces):
    bare = dataclasses.replace(faces, votes=None)
    with pytest.raises(UserError, match=rf"data.labels={labels}(.|\n)*FERPLUS="):
        soft_targets(bare, make_split(faces, "official").train, labels, teacher=teacher_for(faces))
