"""An ingest on a full or read-only disk, and a run whose store is read-only: nothing that stood there is lost."""

from pathlib import Path

import pytest
from conftest import TINY, composed
from disks import enlarge, read_only, small_disk
from fer_forms import Samples

from fer_lightning.cli import train
from fer_lightning.data.ingest import ingest, main
from fer_lightning.data.store import open_store, store_problem
from fer_lightning.runs.run_folder import RunFolder


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_an_ingest_that_does_not_fit_leaves_the_store_that_stood_there(tmp_path, capsys):
    large = str(Samples(seed=1, per_class=100).csv(tmp_path / "large.csv"))
    with small_disk(tmp_path / "disk", "2m") as disk:
        root = disk / "store"
        assert main([large, str(root)]) == 2
        assert not list(root.glob("rows-*"))
        ingest(str(Samples().csv(tmp_path / "small.csv")), str(root))
        before = contents(root)
        capsys.readouterr()
        assert main([large, str(root)]) == 2
        told = capsys.readouterr().err
        assert f"root={root} cannot be written" in told
        assert "No space left on device" in told
        assert "Traceback" not in told
        assert contents(root) == before
        assert store_problem(str(root)) is None
        enlarge(disk, "40m")
        assert main([large, str(root)]) == 0
        assert len(open_store(root).labels) == 2100
        assert len(list(root.glob("rows-*"))) == 1


def test_an_ingest_into_a_read_only_folder_is_refused(tmp_path, capsys):
    source = str(Samples().csv(tmp_path / "fer2013.csv"))
    with read_only(tmp_path / "root") as root:
        assert main([source, str(root / "store")]) == 2
        told = capsys.readouterr().err
        assert f"root={root}/store cannot be written" in told
        assert "Read-only file system" in told or "Permission denied" in told
        assert not list(root.iterdir())


@pytest.mark.slow
def test_a_run_reads_a_store_in_a_read_only_folder(tmp_path):
    root = tmp_path / "data"
    ingest(str(Samples(per_class=8).csv(tmp_path / "fer2013.csv")), str(root))
    own = ("data=fer2013", f"data.root={root}", "data.batch_size=16", "data.train_eval_rows=20", "trainer.max_epochs=1")
    cfg = composed(*(override for override in TINY if not override.startswith("data")), *own)
    before = contents(root)
    with read_only(root):
        train.fit_and_test(cfg, RunFolder(tmp_path / "run"), {})
    assert RunFolder(tmp_path / "run").is_done()
    assert contents(root) == before
