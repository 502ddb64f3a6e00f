"""Finished runs over the folds of Training, as far as `fer_lightning.teach` reads them, and teachers without runs."""

import json
from pathlib import Path

import numpy as np
import yaml

from fer_lightning.data.judged_rows import judge_test_rows
from fer_lightning.data.splits import make_split
from fer_lightning.data.table import FaceTable
from fer_lightning.data.teacher import Teacher
from fer_lightning.evaluation.predictions import predictions_of, write_predictions

FOLDS = 3


def fold_run(
    path: Path, faces: FaceTable, fold: int, *, folds: int = FOLDS, split_seed: int = 0, seed: int = 0
) -> Path:
    """Write the folder of a run that tested `fold` with random probabilities."""
    split = make_split(faces, "training_fold", split_seed, fold, folds)
    random = np.random.default_rng([seed, fold])
    probabilities = random.dirichlet(np.ones(len(faces.classes)), len(split.test)).astype(np.float32)
    predicted = split.test, np.array(faces.labels[split.test]), probabilities
    write_predictions(
        path / "predictions.csv", predictions_of(judge_test_rows(faces, split), *predicted, faces.classes)
    )
    counts = {part: len(getattr(split, part)) for part in ("train", "val", "test")}
    summary = {
        "status": "done",
        "seed": seed,
        "commit": "c0ffee",
        "dirty": False,
        "data": {"name": faces.name, "checksum": faces.checksum},
        "split": {"name": split.name, "checksum": split.checksum, "rows": counts},
        "best": {"val/acc": 0.625},
    }
    data = {"split": "training_fold", "fold": fold, "folds": folds, "split_seed": split_seed}
    (path / "summary.json").write_text(json.dumps(summary))
    (path / "config.yaml").write_text(yaml.safe_dump({"data": data}))
    return path


def teacher_for(faces: FaceTable, seed: int = 0) -> Teacher:
    """Return a teacher with random probabilities for all Training images."""
    digests = np.unique(faces.digests[faces.usage == 0], axis=0)
    probabilities = np.random.default_rng(seed).dirichlet(np.ones(len(faces.classes)), len(digests))
    members = [{"run": "outputs/teacher/seed-0", "commit": "c0ffee", "val/acc": 0.625}]
    return Teacher(faces.checksum, faces.classes, members, digests, probabilities.astype(np.float32))
