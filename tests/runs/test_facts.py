"""The facts of a run are written once: whatever follows, no score is of rows that the run was trained on."""

import os
import tempfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import composed
from fer_forms import Samples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from omegaconf import DictConfig, OmegaConf

from fer_lightning.cli import train
from fer_lightning.data.ingest import ingest
from fer_lightning.errors import UserError
from fer_lightning.evaluation import after_training
from fer_lightning.evaluation.trained_run import open_run
from fer_lightning.export.described import describe
from fer_lightning.runs.run_folder import RunFolder
from fer_lightning.runs.run_summary import history
from fer_lightning.runs.summary_file import RunTime
from fer_lightning.training import build

EXAMPLES = int(os.environ.get("FUZZ_SEQUENCES", "20"))  # of the slow test


class Killed(BaseException):
    """The end of a process at this moment."""


class Classifier(torch.nn.Module):
    """One weight in the place of a network."""

    def __init__(self) -> None:
        super().__init__()
        self.network = torch.nn.Linear(1, 1)
        self.compile_seconds, self.test_row = None, {}

    def gathered_predictions(self) -> None:
        return None


class Trainer:
    """Stand-in for Lightning's trainer: checkpoints remember the digests of the rows that they were trained on."""

    moments = 5  # moments at which `fit` and `test` can be killed
    is_global_zero, world_size, precision, limit_train_batches = True, 1, "32-true", 1.0
    strategy = SimpleNamespace(root_device=torch.device("cpu"), launcher=None)

    def __init__(self, folder: Path, killed_at: int) -> None:
        self.folder, self.left, self.loggers = folder, killed_at, []

    def moment(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise Killed

    def fit(self, model, datamodule, ckpt_path, **_) -> None:
        seen = set()
        if ckpt_path:
            content = torch.load(ckpt_path, weights_only=True)
            datamodule.load_state_dict(content["FERDataModule"])
            seen = set(content["seen"])
        seen |= digests(datamodule.table, datamodule.split.train)
        content = {"state_dict": model.state_dict(), "FERDataModule": datamodule.state_dict(), "seen": sorted(seen)}
        content |= {"epoch": 0}
        state = {"optimizer_states": [], "callbacks": {"BestCheckpoint": {"best_epoch": 0}}}
        (self.folder / "checkpoints").mkdir(exist_ok=True)
        for name in ("last.ckpt", "best.ckpt"):
            self.moment()
            torch.save(content if name == "best.ckpt" else content | state, self.folder / "checkpoints" / name)
            self.moment()

    def test(self, *_, **__) -> None:
        self.moment()


def digests(table, rows: np.ndarray) -> set[str]:
    return {digest.tobytes().hex() for digest in table.digests[rows]}


class World:
    """Two stores, one run folder, and what is done to them; every score is checked."""

    def __init__(self, folder: Path, sources: list[Path], config: DictConfig) -> None:
        self.folder, self.sources, self.config = folder, sources, config
        self.scores = 0
        self.ingest(0, 0)
        self.ingest(1, 1)

    def store(self, number: int) -> str:
        return str(self.folder / f"store-{number}")

    def ingest(self, store: int, source: int) -> None:
        ingest(str(self.sources[source % 2]), self.store(store))

    def check(self, table, test: np.ndarray) -> None:
        """Assert that best.ckpt was trained on none of the rows that are now scored."""
        seen = torch.load(self.folder / "run" / "checkpoints" / "best.ckpt", weights_only=True)["seen"]
        assert not set(seen) & digests(table, test)
        self.scores += 1

    def train(self, store: int, killed_at: int) -> None:
        config = OmegaConf.merge(self.config, {"data": {"root": self.store(store)}})
        run = RunFolder(self.folder / "run")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(build, "build_classifier", lambda *_: Classifier())
            patch.setattr(build, "build_trainer", lambda _, folder: Trainer(folder, killed_at))
            patch.setattr(after_training, "write_test", self.write_test)
            patch.setattr(after_training, "closing_table", lambda _: None)
            patch.setattr(build, "duration_warning", lambda *_: None)
            try:
                run.claim(OmegaConf.to_container(config, enum_to_str=True))
                if not run.is_done():
                    train.fit_and_test(config, run, {})
            except Killed:
                pass
            finally:
                run.release()

    def write_test(self, folder: Path, judged, *_) -> dict:
        table = SimpleNamespace(digests=np.array([list(bytes.fromhex(image)) for image in judged.images], np.uint8))
        self.check(table, np.arange(len(judged.images)))
        return {}

    def evaluate(self, store: int, _: int) -> None:
        run = open_run(self.folder / "run", data_root=self.store(store))
        try:
            table, split = run.faces()
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(build, "build_network", lambda *_: torch.nn.Linear(1, 1))
                run.network(len(table.classes))
            self.check(table, split.test)
        finally:
            run.folder.release()

    def export(self, store: int, _: int) -> None:
        run = open_run(self.folder / "run", data_root=self.store(store), with_faces=False)
        try:
            table, split = run.faces()
            assert describe(run).data["split_checksum"] == split.checksum
            self.check(table, split.test)
        finally:
            run.folder.release()

    def contents(self) -> dict[str, bytes]:
        run = self.folder / "run"
        return {str(path): path.read_bytes() for path in run.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> tuple[list[Path], DictConfig]:
    """Two CSVs with the same faces, whose training and test rows are exchanged; and the config of a run."""
    folder, samples, files = tmp_path_factory.mktemp("sources"), Samples(), []
    for name, training, test in (("one", "Training", "PrivateTest"), ("two", "PrivateTest", "Training")):
        swap = {"Training": training, "PublicTest": "PublicTest", "PrivateTest": test}
        samples.rows = [(swap[usage], code) for usage, code in Samples().rows]
        files.append(samples.csv(folder / f"{name}.csv"))
    small = ("trainer=cpu", "model.width=0.0625", "data.batch_size=2", "data.train_eval_rows=2", "augment=none")
    return files, composed(*small)


STEPS = st.tuples(
    st.sampled_from(("ingest", "train", "train", "evaluate", "export")),
    st.integers(0, 1),
    st.integers(1, Trainer.moments + 1),
)
# Runs that are killed before and after the first checkpoint, whose faces then change, and which are asked for a score.
MOVED = [("train", 0, 3), ("ingest", 0, 1), ("train", 0, 9), ("evaluate", 0, 1), ("export", 0, 1)]
EARLY = [("train", 0, 2), ("train", 1, 9), ("evaluate", 0, 1), ("evaluate", 1, 1)]


def try_steps(inputs, steps: list[tuple[str, int, int]]) -> int:
    """Do the steps; a refusal must leave the run folder as it was. Return the number of scores."""
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder), *inputs)
        for name, store, number in steps:
            before = world.contents()
            try:
                getattr(world, name)(store, number)
            except UserError:
                assert world.contents() == before, (name, store, number)
        return world.scores


@pytest.mark.parametrize("steps", [MOVED, EARLY], ids=["moved", "early"])
def test_a_run_whose_faces_have_moved_gives_no_score_of_rows_it_trained_on(inputs, steps):
    try_steps(inputs, steps)


def test_a_sound_run_is_scored(inputs):
    assert try_steps(inputs, [("train", 0, 3), ("train", 0, 9), ("evaluate", 0, 1), ("export", 0, 1)]) == 3


@pytest.mark.slow
@settings(max_examples=6, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), database=None)
@given(steps=st.lists(STEPS, min_size=3, max_size=7))
def test_no_sequence_of_commands_gives_a_score_of_rows_that_the_run_trained_on(inputs, steps):
    try_steps(inputs, steps)


@pytest.mark.long
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(steps=st.lists(STEPS, min_size=3, max_size=9))
def test_no_long_sequence_of_commands_gives_a_score_of_rows_that_the_run_trained_on(inputs, steps):
    try_steps(inputs, steps)


def test_a_run_took_the_time_of_all_its_calls():
    earlier = [{"status": "interrupted", "started": "2026-01-01T00:00:00+0000", "wall_seconds": 3.0}]
    call = {"status": "done", "started": "2026-01-02T00:00:00+0000", "wall_seconds": 0.5}
    assert RunTime.of(call | {"earlier": earlier}) == RunTime("2026-01-01T00:00:00+0000", 3.5, complete=True)
    killed = earlier[0] | {"status": "running", "wall_seconds": None}
    assert RunTime.of(call | {"earlier": [killed]}) == RunTime("2026-01-01T00:00:00+0000", 0.5, complete=False)


def test_an_empty_cell_of_the_metrics_is_not_a_fault(tmp_path):
    keys = ("epoch", "val/acc", "train_eval/acc", "seconds", "images_per_second", "val/ferplus_acc")
    lines = [",".join(keys), "1,0.5,0.6,10,100,0.5", "2,0.6,0.7,10,100,"]
    (tmp_path / "metrics.csv").write_text("\n".join(lines) + "\n")
    assert history(tmp_path / "metrics.csv", "val/acc", "max")["best"]["epoch"] == 2
