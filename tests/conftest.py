import gc
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from collect_server import ImageHost
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig
from real_fer2013 import make_real_store
from rich.console import RenderableType
from short_runs import draw_nothing, parse_configs_once

from fer_lightning.config import schema
from fer_lightning.labels import COLORS, USAGES
from fer_lightning.terminal import plain_console

ROOT = Path(__file__).resolve().parent.parent

# A run small enough for a test: seconds, every part of the real thing.
TINY = (
    "data=synthetic",
    "data.rows=300",
    "data.batch_size=32",
    "data.train_eval_rows=30",
    "model=resemotenet",
    "model.width=0.0625",
    "model.input_size=48",
    "model.in_channels=1",
    "trainer=cpu",
    "trainer.max_epochs=2",
    "callbacks.progress.style=plain",
    "threads=1",
)


def pytest_configure() -> None:
    """Forget the `make` that started the tests, which would change the output of each `make` that a test starts."""
    for name in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "MAKEOVERRIDES"):
        os.environ.pop(name, None)
    # A forked process must not destroy objects of its parent. A session of onnxruntime would wait forever for threads
    # that exist only in the parent.
    os.register_at_fork(after_in_child=gc.freeze)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put files with SLURM tests and then those with slow tests first, so that no process waits for a long file."""
    first = [{item.path for item in items if item.get_closest_marker(name)} for name in ("slurm", "slow")]
    items.sort(key=lambda item: [item.path not in files for files in first])


@pytest.fixture
def image_host() -> Iterator[ImageHost]:
    with ImageHost() as host:
        yield host


@pytest.fixture(scope="session")
def real_store(tmp_path_factory) -> Path:
    """Store of the real FER2013, which all processes of the tests share: change nothing in it."""
    own = tmp_path_factory.getbasetemp()
    return make_real_store(own.parent if "PYTEST_XDIST_WORKER" in os.environ else own)


@pytest.fixture(scope="module")
def no_pictures():
    """Leave out the figures of runs, for tests that do not look at them."""
    with pytest.MonkeyPatch.context() as patch:
        draw_nothing(patch)
        yield


@pytest.fixture(scope="session", autouse=True)
def _configs_parsed_once():
    with pytest.MonkeyPatch.context() as patch:
        parse_configs_once(patch)
        yield


@pytest.fixture(autouse=True)
def _same_numbers():
    """Start each test with the same random numbers, whichever tests its process ran before."""
    random.seed(0)
    torch.manual_seed(0)


def pretend_store(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the check find a store of FER2013, with all usages and FER+ votes, where there may be none."""
    manifest = {
        "counts": {usage: {"happy": 1} for usage in USAGES},
        "votes": "sum",
        "checksum": "da7a",
        "notes": [],
        "classes": tuple(COLORS),
    }
    monkeypatch.setattr("fer_lightning.data.store.store_problem", lambda root: None)
    monkeypatch.setattr("fer_lightning.data.store.read_manifest", lambda root: manifest)


def composed(*overrides: str) -> DictConfig:
    """The config that `python train.py OVERRIDES` would run."""
    schema.register()
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        return compose("train", list(overrides))


def run_train(*overrides: str, timeout: int = 240, **environment: str) -> subprocess.CompletedProcess:
    """`python train.py OVERRIDES` as a user types it, on one thread."""
    return subprocess.run(
        [sys.executable, "train.py", *overrides],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "120"} | environment,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def shown(table: RenderableType) -> str:
    """A table or another thing of rich as a terminal of 80 characters shows it."""
    console = plain_console(width=80, color_system=None)
    with console.capture() as captured:
        console.print(table)
    return captured.get()
