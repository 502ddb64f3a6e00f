"""Sweeps of run folders as train.py leaves them, made without training: plausible curves and predictions."""

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from fer_lightning.evaluation.predictions import Predictions, write_predictions

CLASSES = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
SHARES = (0.137, 0.015, 0.147, 0.245, 0.165, 0.116, 0.175)


def write_sweep(
    folder: Path,
    skills: Mapping[str, float],
    seeds: Sequence[int] = (0, 1, 2),
    *,
    overrides: Mapping[str, Sequence[str]] | None = None,
    plan: bool = True,
    **settings: Any,
) -> Path:
    """A sweep with a finished run per arm and seed; `skills` are the arms' advantages in logits, by name.

    overrides  of each arm, without its seed; else `experiment=ARM`
    settings   as for `write_run`
    """
    jobs = []
    for arm, skill in skills.items():
        typed = list((overrides or {}).get(arm, [f"experiment={arm}"]))
        for seed in seeds:
            job = f"{arm}_seed-{seed}"
            write_run(folder / job, arm, seed, skill, overrides=[*typed, f"seed={seed}"], **settings)
            jobs.append({"job": job, "arm": arm, "seed": seed, "overrides": [*typed, f"seed={seed}"]})
    if plan:
        content = {"command": "python train.py sweep=pretended", "jobs": jobs}
        (folder / "sweep.json").write_text(json.dumps(content))
    return folder


def write_run(
    folder: Path,
    arm: str = "plain",
    seed: int = 0,
    skill: float = 0.0,
    *,
    rows: int = 120,
    epochs: int = 6,
    overrides: Sequence[str] = (),
    test_curve: bool = True,
    votes: bool = True,
    root: str | None = None,
    images: Sequence[str] | None = None,
    split: str = "ab" * 32,
    classes: Sequence[str] = CLASSES,
    **summary: Any,
) -> Path:
    """One run folder; `summary` overrides entries of its summary.json, such as `status`.

    images  SHA-256 of the pixels of each row, in hex; else made up
    """
    predictions = pretended(arm, seed, skill, rows, votes, images, tuple(classes))
    right = float((predictions.predicted == predictions.labels).mean()) if rows else 0.0
    table = curves(right, skill, epochs, np.random.default_rng([seed, *map(ord, arm)]), test_curve)
    best = max(range(epochs), key=lambda row: table[row]["val/acc"])
    command = f"python train.py {' '.join([*overrides, 'hydra.mode=RUN'])}"
    content = {
        "status": "done",
        "name": folder.parent.name,
        "job": folder.name,
        "arm": arm,
        "seed": seed,
        "overrides": list(overrides),
        "monitor": "val/acc",
        "mode": "max",
        "started": f"2025-01-01T0{seed % 10}:00:00+0000",
        "finished": f"2025-01-01T0{seed % 10}:20:00+0000",
        "wall_seconds": 1200.0,
        "command": command,
        "commit": "c0ffee" * 6 + "c0ff",
        "dirty": False,
        "hardware": "Pretended Processor, 2 cores",
        "device": "cpu",
        "world_size": 1,
        "precision": "bf16-mixed",
        "threads": 1,
        "data": {"name": "fer2013", "checksum": "da" * 32, "ferplus": votes, "notes": []},
        "split": {"name": "official", "checksum": split, "rows": {"train": 800, "val": 100, "test": rows}},
        "parameters": {"total": 1234, "trainable": 1234},
        "epochs": epochs,
        "best": table[best],
        "last": table[-1],
        "seconds": 1100.0,
        "images_per_second": 100.0,
        "test": {"test/acc": right, "reads": {"run": 1, "data": 7, "note": None}},
    } | summary
    folder.mkdir(parents=True)
    write_predictions(folder / "predictions.csv", predictions)
    with open(folder / "metrics.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, list(table[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(table)
    (folder / "config.yaml").write_text(yaml.safe_dump({"data": {"root": root} if root else {}}))
    (folder / "overrides.txt").write_text("\n".join(overrides) + f"\n\nRepeat it with:\n{command}\n")
    (folder / "summary.json").write_text(json.dumps(content))
    return folder


def pretended(
    arm: str, seed: int, skill: float, rows: int, votes: bool, images: Sequence[str] | None, classes: tuple[str, ...]
) -> Predictions:
    """Predictions of which hard rows are wrong for every network, others for some."""
    shared, own = np.random.default_rng(rows), np.random.default_rng([seed, *map(ord, arm)])
    size = len(classes)
    shares = np.resize(SHARES, size)
    labels = np.sort(shared.choice(size, rows, p=shares / shares.sum()))
    shown = shared.random((rows, size)) + 2.4 * np.eye(size)[labels] * shared.random((rows, 1))
    logits = 3 * shown + (1 + skill) * np.eye(size)[labels] + own.normal(0, 0.9, (rows, size))
    exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
    unseen = shared.random(rows) < 0.9
    return Predictions(
        rows=np.arange(rows) + 1000,
        images=np.array([f"{row:064x}" for row in range(rows)] if images is None else images),
        labels=labels,
        probabilities=(exponents / exponents.sum(axis=1, keepdims=True)).astype(np.float32),
        unseen=unseen,
        clean=unseen & (shared.random(rows) < 0.95),
        plurality=np.where(shared.random(rows) < 0.1, -1, labels) if votes else None,
        classes=classes,
    )


def curves(
    right: float, skill: float, epochs: int, random: np.random.Generator, test_curve: bool
) -> list[dict[str, float]]:
    """One row per epoch: the training loss falls, and the validation loss rises again; a better arm overfits later."""
    table = []
    for epoch in range(1, epochs + 1):
        part = epoch / epochs
        fitted, past = 1 - np.exp(-4 * part), max(0.0, part - 0.3 - skill)
        noise = random.normal(0, 0.006, 4)
        row = {
            "epoch": epoch,
            "lr": 0.001,
            "train/loss": 1.9 - 1.5 * fitted,
            "train/acc": 0.15 + 0.8 * fitted,
            "val/ce": 1.8 - 0.8 * fitted + 0.9 * past + noise[0],
            "val/loss": 1.8 - 0.8 * fitted + past,
            "val/acc": right * fitted + noise[1],
            "train_eval/ce": 1.8 - (1.6 - skill) * fitted + noise[2],
            "train_eval/acc": 0.15 + (0.84 - skill) * fitted,
            "seconds": 20.0,
            "images_per_second": 400.0,
        }
        if test_curve:
            row |= {"test/ce": row["val/ce"] + 0.02, "test/acc": row["val/acc"] + 0.003}
        table.append({name: float(value) for name, value in row.items()} | {"epoch": epoch})
    return table
