"""The GPU plan: what it packs can be unpacked and run elsewhere, in slices; all of it at the smallest size."""

import csv
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT

from fer_lightning.data import synthetic
from fer_lightning.data.ingest import ingest
from fer_lightning.data.store import open_store
from fer_lightning.labels import USAGES
from scripts.pack_for_gpu import closure, missing, pack_faces

EVERYTHING = "torch torchvision lightning timm torchmetrics"


def plan(*arguments: str, at: Path = ROOT, timeout: int = 280, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        ["bash", str(at / "scripts" / "gpu_plan.sh"), *arguments],
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHON": sys.executable} | environment,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def drawn_csv(path: Path, rows: int = 200) -> Path:
    """The challenge's form of CSV, with faces drawn by a program."""
    table = synthetic.load(rows=rows)
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["emotion", "pixels", "Usage"])
        for pixels, label, usage in zip(table.pixels, table.labels, table.usage, strict=True):
            writer.writerow([label, " ".join(map(str, pixels.ravel())), USAGES[usage]])
    return path


def test_what_cannot_be_meant_is_refused_in_words():
    for arguments, words in {
        (): "must be pack, run PHASE, all or collect",
        ("run", "nonsense"): "nonsense: no such phase. Allowed: tests, speed, best, overfitting",
        ("pack",): "pack: needs the path of the archive",
    }.items():
        result = plan(*arguments)
        assert result.returncode == 2
        assert words in result.stderr


@pytest.mark.parametrize("left", [None, "default.yaml", "default.kept.yaml"])
def test_a_rehearsal_gives_the_settings_of_the_machine_back(left, tmp_path):
    """Settings that a killed rehearsal has left beside the kept ones are removed, too."""
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts" / "gpu_plan.sh", tmp_path / "scripts")
    local = tmp_path / "conf" / "local"
    local.mkdir(parents=True)
    if left:
        (local / left).write_text("threads: 8\n")
    if left == "default.kept.yaml":
        mark = "# Written by gpu_plan.sh for a test, and removed at its end."
        (local / "default.yaml").write_text(f"# @package _global_\n{mark}\nthreads: 1\n")
    for size in ("tiny", "full"):
        result = plan("collect", at=tmp_path, SIZE=size)
        assert result.returncode == 0, result.stderr
        assert {path.name: path.read_text() for path in local.iterdir()} == (
            {"default.yaml": "threads: 8\n"} if left else {}
        )
    refused = plan("collect", at=tmp_path, SIZE="112")
    assert (refused.returncode, refused.stderr) == (2, "gpu_plan: SIZE=112: must be full or tiny\n")


@pytest.mark.slow
def test_the_libraries_that_travel_are_those_that_are_lacking():
    lacking = missing(EVERYTHING.split())
    assert {"hydra-core", "omegaconf", "antlr4-python3-runtime", "pytest"} <= lacking.keys()
    assert not lacking.keys() & {"torch", "numpy", "timm", "wandb"}
    assert "hydra-core" not in missing([*EVERYTHING.split(), "hydra-core"])
    assert closure(["rich"], {"pygments": "any"}).keys() == {"rich", "markdown-it-py", "mdurl"}


def test_the_packed_faces_are_the_stores(tmp_path):
    store = tmp_path / "store"
    ingest(drawn_csv(tmp_path / "drawn.csv", rows=100), store)
    pack_faces(store, tmp_path / "faces.tar.xz")
    with tarfile.open(tmp_path / "faces.tar.xz") as tar:
        tar.extractall(tmp_path, filter="data")
    packed, kept = open_store(tmp_path / "data" / "fer2013"), open_store(store)
    assert packed.manifest == kept.manifest
    np.testing.assert_array_equal(packed.pixels, kept.pixels)


@pytest.mark.long
def test_a_packed_plan_runs_elsewhere_in_slices(tmp_path):
    """The whole plan, from a CSV to the time to an accuracy, with the libraries of this environment."""
    libraries = f"{EVERYTHING} {' '.join(missing(EVERYTHING.split()))}"
    packed = plan("pack", str(tmp_path / "plan.tar"), str(drawn_csv(tmp_path / "drawn.csv")), HAS=libraries)
    assert packed.returncode == 0, packed.stderr
    there = tmp_path / "there"
    there.mkdir()
    with tarfile.open(tmp_path / "plan.tar") as tar:
        tar.extractall(there, filter="data")
    early = plan("run", "speed", at=there, SIZE="tiny", SLICE="19")
    assert early.returncode == 75
    assert "Run the same command again to resume" in early.stderr
    result = plan("run", "speed", at=there, SIZE="tiny")
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-2000:]
    assert "0 of 1" in (there / "outputs/rehearsal/fer2013_speed/time_to_accuracy.md").read_text()
    again = plan("run", "speed", at=there, SIZE="tiny")
    assert (again.returncode, again.stderr) == (0, "gpu_plan: speed: finished\n")
    assert not (there / "conf/local/default.yaml").exists()
