"""Damaged copies of the small files of a run and of a sweep: each is used as it is or refused with a message."""

import json
import os
import random
import shutil
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import yaml
from conftest import TINY, composed
from omegaconf import OmegaConf

from fer_lightning.errors import UserError
from fer_lightning.evaluation.compare import other_training
from fer_lightning.evaluation.ensemble import read_member
from fer_lightning.evaluation.predictions import Predictions, write_predictions
from fer_lightning.evaluation.tables import print_evaluation
from fer_lightning.evaluation.trained_run import open_run
from fer_lightning.export.described import describe
from fer_lightning.launch.plan import read_plan
from fer_lightning.report.sweep_page import run_rows, shared_facts, time_spent
from fer_lightning.report.sweep_runs import read_sweep
from fer_lightning.runs import reads_of_test_rows
from fer_lightning.runs.run_folder import RunFolder
from fer_lightning.runs.run_summary import history
from fer_lightning.teach.folds import read_fold_run

JOB = "stn-none_seed-0"
FIGURE = {"value": 0.5, "low": 0.4, "high": 0.6}
SET = {"rows": 14, **dict.fromkeys(("acc", "f1_macro", "recall_mean", "ce", "ece"), FIGURE), "classes": {}}
EPOCH = {"epoch": 1, "val/acc": 0.5, "val/f1_macro": 0.4, "val/recall_mean": 0.4, "val/ce": 1.2, "train_eval/acc": 0.6}
SUMMARY = {
    "status": "done",
    "name": "fuzzed",
    "job": JOB,
    "arm": "stn-none",
    "seed": 0,
    "command": "python train.py",
    "started": "2026-01-01T00:00:00+0000",
    "finished": "2026-01-01T00:10:00+0000",
    "commit": "c0ffee" * 6,
    "dirty": False,
    "overrides": ["stn=none"],
    "choices": {"model": "resemotenet", "stn": "none"},
    "monitor": "val/acc",
    "mode": "max",
    "data": {"name": "fer2013", "checksum": "d" * 64},
    "split": {"name": "training_fold 0 of 5", "checksum": "5" * 64, "rows": {"train": 9, "val": 9, "test": 14}},
    "parameters": {"total": 10, "trainable": 10},
    "hardware": "a CPU, 2 cores",
    "device": "cpu",
    "world_size": 1,
    "precision": "32-true",
    "threads": 1,
    "versions": {"torch": "2"},
    "slurm": None,
    "epochs": 2,
    "best": EPOCH,
    "last": EPOCH,
    "best_value": 0.5,
    "overfitting_gap": {"best": 0.1, "last": 0.1},
    "seconds": 10.0,
    "wall_seconds": 12.0,
    "images_per_second": 100.0,
    "test": {"test/acc": 0.5, "test/f1_macro": 0.4, "test/recall_mean": 0.4, "test/ce": 1.2}
    | {"all": SET, "unseen": SET, "clean": SET, "reads": {"run": 1, "data": None, "note": None}},
}
PLAN = {
    "command": "python train.py -m",
    "jobs": [{"job": JOB, "arm": "stn-none", "seed": 0, "overrides": ["stn=none"]}],
}
COPIES = int(os.environ.get("FUZZ_COPIES", "100"))  # of each file in the slow test; 1,000 take some minutes
ODD = (None, [], {}, "x", "", 0, -1, 1e308, 10**40, True, [None], {"a": 1}, "${oc.env:HOME}", "\x1b[2J", "9" * 5000)
PATHS = ("summary.json", "config.yaml", "metrics.csv", "test_reads.csv", "predictions.csv", "../sweep.json")


@pytest.fixture(scope="module")
def sound(tmp_path_factory) -> Path:
    """A sweep folder with one finished run."""
    run = tmp_path_factory.mktemp("sound") / JOB
    (run / "checkpoints").mkdir(parents=True)
    (run / "checkpoints" / "best.ckpt").touch()
    (run / "summary.json").write_text(json.dumps(SUMMARY))
    OmegaConf.save(composed(*TINY, "data.split=training_fold", "data.fold=0"), run / "config.yaml", resolve=True)
    (run / "metrics.csv").write_text(f"{','.join(columns())}\n" + 2 * f"{','.join(['1'] * len(columns()))}\n")
    (run / "test_reads.csv").write_text("time,command,tta,commit,split,run\nnow,python,none,c,5,run\n")
    labels = np.arange(14) % 7
    flags, probabilities = np.ones(14, bool), np.eye(7, dtype=np.float32)[labels]
    images, classes = np.array([f"{row:064x}" for row in range(14)]), tuple(OmegaConf.create(list("abcdefg")))
    predictions = Predictions(np.arange(14), images, labels, probabilities, flags, flags, None, classes)
    write_predictions(run / "predictions.csv", predictions)
    (run.parent / "sweep.json").write_text(json.dumps(PLAN))
    return run.parent


def columns() -> list[str]:
    return [*EPOCH, "seconds", "images_per_second"]


def test_the_sound_files_are_used(sound, capsys):
    assert RunFolder(sound / JOB).headline().startswith("best epoch 1 of 2")
    assert [run.status for run in read_sweep(sound).runs] == ["done"]
    assert len(read_plan(sound)["jobs"]) == 1
    use(sound)


def use(sweep: Path) -> None:
    """Read a run and its sweep in every way in which commands do; UserError is an answer."""
    run = sweep / JOB
    for read in (
        lambda: RunFolder(run).is_done() and RunFolder(run).headline(),
        lambda: RunFolder(run).holds_run(),
        lambda: RunFolder(run).config(),
        lambda: evaluated(run),
        lambda: read_member(run).facts(),
        lambda: read_fold_run(run).facts(),
        lambda: other_training(run, run),
        lambda: history(run / "metrics.csv", "val/acc", "max"),
        lambda: reads_of_test_rows.append(run / "test_reads.csv", ("now", "python", "none", "c", "5", "run")),
        lambda: reported(sweep),
        lambda: read_plan(sweep),
    ):
        with suppress(UserError):
            read()


def evaluated(run: Path) -> None:
    opened = open_run(run, with_faces=False)
    try:
        describe(opened).to_json()
        speed = {"images_per_second": 1, "milliseconds_of_one_image": 1, "batch_size": 1}
        call = {"reads": SUMMARY["test"]["reads"], "latency": speed}
        entry = {"tta": "none", "rows": "test", "all": SET, "unseen": SET, "clean": SET, "split": SUMMARY["split"]}
        entry |= {"call": call, "device": "cpu", "threads": 1, "views": 1, "precision": "32-true"}
        print_evaluation(opened.summary, entry, "x")
    finally:
        opened.folder.release()


def reported(sweep: Path) -> None:
    runs = read_sweep(sweep).runs
    shared_facts(runs)
    run_rows(runs)
    time_spent(runs)


def damaged(content: bytes, name: str, draw: random.Random) -> bytes:
    """Return the content with a fault: changed, lost or repeated bytes, or a value of another type."""
    kind = draw.randrange(6)
    place = draw.randrange(len(content))
    if kind == 0:
        return content[:place]
    if kind == 1:
        return content[:place] + bytes(draw.randrange(256) for _ in range(draw.randrange(1, 9))) + content[place + 1 :]
    if kind == 2:
        return content[:place] + content[place + draw.randrange(1, 60) :]
    if kind == 3 and draw.random() < 0.3:
        return draw.choice(
            (b"", b"\0" * 40, b"\xff\xfe", b"[" * 50_000, b"&a [*a]", b"[1,2]", b"{" * 2000, b"null", b"1")
        )
    if name.endswith((".json", ".yaml")):
        values = json.loads(content) if name.endswith(".json") else yaml.safe_load(content)
        change(values, draw)
        return (json.dumps(values) if name.endswith(".json") else yaml.safe_dump(values)).encode()
    return content[:place] + draw.choice((b",", b"\n", b'"', b"nan", b"1e999", b"-", b"\0")) + content[place:]


def change(values: dict | list, draw: random.Random) -> None:
    """Replace or remove one value at any depth."""
    keys = list(values) if isinstance(values, dict) else list(range(len(values)))
    if not keys:
        return
    key = draw.choice(keys)
    if isinstance(values[key], dict | list) and draw.random() < 0.7:
        change(values[key], draw)
    elif draw.random() < 0.2:
        del values[key]
    else:
        values[key] = draw.choice(ODD)


def try_copies(sound: Path, folder: Path, name: str, seed: int, count: int) -> None:
    draw, content = random.Random(seed), (sound / JOB / name).read_bytes()
    sweep = Path(shutil.copytree(sound, folder / "sweep"))
    for number in range(count):
        (sweep / JOB / name).write_bytes(damaged(content, name, draw))
        try:
            use(sweep)
        except Exception as error:
            raise AssertionError(f"copy {number} of {name}: {(sweep / JOB / name).read_bytes()[:300]!r}") from error


@pytest.mark.parametrize("name", PATHS)
def test_damaged_copies_are_used_or_refused_in_words(sound, tmp_path, name, capsys):
    try_copies(sound, tmp_path, name, seed=0, count=10)


@pytest.mark.long
@pytest.mark.parametrize("name", PATHS)
def test_many_damaged_copies_are_used_or_refused_in_words(sound, tmp_path, name, capsys):
    try_copies(sound, tmp_path, name, seed=1, count=COPIES)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a: &a [1]\nb: [*a, *a]", "it holds an alias"),
        ("a: " + "[" * 60 + "]" * 60, "nested more than 50 levels deep"),
        ("seed: ${oc.env:HOME}", r"seed=\$\{oc.env:HOME\}: is an interpolation"),
        ("a: 1\n" * 300_000, "it must have at most 1,048,576"),
        ("- 1", "it holds a list; it must hold a mapping"),
        ("a: !!python/object/apply:os.system [id]", "ConstructorError"),
    ],
)
def test_a_config_from_elsewhere_is_plain_and_small(tmp_path, text, reason):
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(UserError, match=reason):
        RunFolder(tmp_path).config()
