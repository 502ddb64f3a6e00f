"""A purge leaves no byte of a person below the collection, whatever was killed, moved or copied before."""

import builtins
import os
import shutil
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from collect_rows import add_candidate, add_detected, add_page, decide, drawn

from fer_lightning import files
from fer_lightning.collect.images.decode import Decoded
from fer_lightning.collect.steps import fetch as fetch_module
from fer_lightning.collect.steps.dedupe import dedupe
from fer_lightning.collect.steps.export import export
from fer_lightning.collect.steps.export_folders import CSV, FILES
from fer_lightning.collect.steps.fetch import fetch
from fer_lightning.collect.steps.merge import merge
from fer_lightning.collect.steps.purge import purge
from fer_lightning.collect.store.collection import Collection
from fer_lightning.data.ingest import ingest

NAME = "Ann Smith"
MOMENTS = 27  # calls of write, fsync and replace of one fetch and one export

EXTRA_STORE = "fer2013/extra-0123456789ab"


class Killed(BaseException):
    """End of the process in the middle of a call."""


def die_at(patch: pytest.MonkeyPatch, moment: int) -> SimpleNamespace:
    """Kill the process at a call of write, fsync or replace; nothing is tidied up after that."""
    state = SimpleNamespace(left=moment, dead=False)

    def step():
        state.left -= 1
        if state.left < 0:
            state.dead = True
            raise Killed

    class Torn:
        def __init__(self, file):
            self.file = file

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.file.close()

        def __getattr__(self, name):
            return getattr(self.file, name)

        def write(self, data):
            self.file.write(data[: len(data) // 2])
            step()
            self.file.write(data[len(data) // 2 :])

    def guarded(call):
        return lambda *arguments: (step(), call(*arguments))[1]

    unlink = Path.unlink
    patch.setattr(files, "open", lambda *arguments: Torn(builtins.open(*arguments)), raising=False)  # noqa: SIM115
    patch.setattr(os, "fsync", guarded(os.fsync))
    patch.setattr(os, "replace", guarded(os.replace))
    patch.setattr(Path, "unlink", lambda self, **options: None if state.dead else unlink(self, **options))
    return state


class InThisProcess:
    """Decoder without a process of its own."""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def close(self):
        pass

    def decode(self, data: bytes) -> Decoded:
        shade = data[0]
        return Decoded(picture(shade), "PNG", 384, 384)


def picture(seed: int) -> np.ndarray:
    return np.kron(np.dstack([drawn(seed)] * 3), np.ones((8, 8, 1), np.uint8))


def collect(collection: Collection, folder: Path) -> None:
    """Fetch one image of Bob and two of Ann, accept their faces, and export them."""
    fetch(collection, client=SimpleNamespace(stop=lambda: None), provider="local", hosts=None, at_once=1)
    rows = "SELECT image, creator FROM picture JOIN source USING (image) JOIN candidate ON candidate.id = candidate"
    for row in collection.rows(f"{rows} ORDER BY candidate.id"):
        add_detected(collection, row["image"], drawn(int(row["image"], 16) % 10007))
    dedupe(collection, fer2013=None)
    for row in collection.rows("SELECT id FROM face"):
        decide(collection, row["id"])
    merge(collection)
    (collection.root / "lost.csv").write_text(f"{NAME}\n")
    export(collection, folder=folder, licensed_providers=("local",))


def offered(root: Path, seeds=((1, "Bob"), (2, NAME), (3, NAME))) -> Collection:
    sources = root.parent / "sources"
    sources.mkdir(exist_ok=True)
    collection = Collection(root)
    page = add_page(collection)
    for seed, creator in seeds:
        (sources / f"{seed}.png").write_bytes(bytes([seed]) * 100)
        add_candidate(collection, page, image_url=(sources / f"{seed}.png").as_uri(), creator=creator, title=creator)
    return collection


def needles(seeds=(2, 3)) -> list[bytes]:
    """Name, parts of the stored images, and pixels of the faces as in the database and in custom.csv."""
    found = [NAME.encode()]
    for seed in seeds:
        _, data = fetch_module._picture("", Decoded(picture(seed), "PNG", 384, 384))
        found += [data[start : start + 64] for start in (len(data) // 4, len(data) // 2 - 100, len(data) - 100)]
        image = fetch_module.hashlib.sha256(bytes([seed]) * 100).hexdigest()
        crop = drawn(int(image, 16) % 10007)
        found += [crop.tobytes()[:64], " ".join(map(str, crop.ravel()[:64])).encode()]
    return found


def left_of_ann(root: Path) -> list[str]:
    content = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    return [f"{path}: {needle[:20]!r}" for path, data in content.items() for needle in needles() if needle in data]


@pytest.fixture(autouse=True)
def _decoder(monkeypatch):
    monkeypatch.setattr(fetch_module, "Decoder", InThisProcess)


@pytest.mark.parametrize("moment", [*range(0, 18), 19, 20, 22, 24, 26, 99])
def test_nothing_is_left_after_a_kill_and_a_move_or_copy(moment, tmp_path, monkeypatch):
    root, other = tmp_path / "first", tmp_path / "second"
    with offered(root) as collection, monkeypatch.context() as patch:
        state = die_at(patch, moment)
        with suppress(Killed):
            collect(collection, root / "export")
        assert state.dead == (moment < MOMENTS)
    (shutil.move if moment % 2 else shutil.copytree)(root, other)
    before = {path: path.read_bytes() for path in root.rglob("export/*")}
    with Collection(other) as moved:
        assert purge(moved, creator=NAME, export_folder=other / "export").candidates == 2
        assert moved.value("SELECT count(*) FROM candidate") == 1
    assert left_of_ann(other) == []
    assert {path: path.read_bytes() for path in root.rglob("export/*")} == before


def test_every_trace_is_there_before_the_purge(tmp_path):
    with offered(tmp_path / "root") as collection:
        collect(collection, tmp_path / "root/export")
    assert len({line.partition(": ")[2] for line in left_of_ann(tmp_path / "root")}) > 8


def test_a_fetch_removes_what_a_killed_fetch_left(tmp_path):
    with offered(tmp_path / "root") as collection:
        whole = collection.file(f"{'ab' * 32}.jpg")
        for path in (whole, whole.with_name(f".{whole.name}.8833.tmp")):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"a stranger")
        fetch(collection, client=SimpleNamespace(stop=lambda: None), provider="local", hosts=None)
        assert len(list((collection.root / "files").rglob("*.jpg"))) == 3


def test_exports_outside_are_removed_by_their_own_collection_only(tmp_path):
    folder = tmp_path / "elsewhere"
    with offered(tmp_path / "first") as collection:
        collect(collection, folder)
    shutil.copytree(tmp_path / "first", tmp_path / "copy")
    with Collection(tmp_path / "copy") as copy:
        result = purge(copy, creator=NAME)
        assert (result.exports, result.kept) == ([], [folder])
    assert {path.name for path in folder.iterdir()} >= set(FILES)
    shutil.move(tmp_path / "first", tmp_path / "moved")
    with Collection(tmp_path / "moved") as moved:
        assert purge(moved, creator=NAME).exports == [folder]
    assert list(folder.iterdir()) == []


def test_another_collection_inside_is_left_alone(tmp_path):
    with offered(tmp_path / "outer") as outer, offered(tmp_path / "outer/inner") as inner:
        for collection in (outer, inner):
            collect(collection, collection.root / "export")
        assert purge(outer, creator=NAME).exports == [outer.root / "export"]
        assert (inner.root / "export" / CSV).exists()


def test_an_export_that_was_moved_away_is_reported_and_removed_when_it_is_back(tmp_path):
    with offered(tmp_path / "root") as collection:
        collect(collection, tmp_path / "out")
        (tmp_path / "out").rename(tmp_path / "away")
        assert purge(collection, creator=NAME).missing == [tmp_path / "out"]
        (tmp_path / "away").rename(tmp_path / "out")
        assert purge(collection, creator=NAME).exports == [tmp_path / "out"]


def test_the_store_of_a_moved_export_is_removed(tmp_path):
    with offered(tmp_path / "root") as collection:
        collect(collection, tmp_path / "out")
        ingest(str(tmp_path / "out" / CSV), str(tmp_path / EXTRA_STORE), "learning_game", deal_usage=True)
        (tmp_path / "out").rename(tmp_path / "away")
        result = purge(collection, creator=NAME, fer2013=tmp_path / "fer2013")
        assert result.stores == [tmp_path / EXTRA_STORE]


@pytest.mark.parametrize("step", ["_rewrite", "_remove", "remove_export", "shutil.rmtree", "Collection.remove_strays"])
def test_a_purge_that_was_killed_at_any_step_is_finished_by_the_same_command(step, tmp_path, monkeypatch):
    with offered(tmp_path / "root") as collection:
        collect(collection, tmp_path / "out")
        ingest(str(tmp_path / "out" / CSV), str(tmp_path / EXTRA_STORE), "learning_game", deal_usage=True)
        with monkeypatch.context() as patch:
            patch.setattr(f"fer_lightning.collect.steps.purge.{step}", lambda *_: (_ for _ in ()).throw(Killed))
            with pytest.raises(Killed):
                purge(collection, creator=NAME, fer2013=tmp_path / "fer2013")
        purge(collection, creator=NAME, fer2013=tmp_path / "fer2013")
    assert left_of_ann(tmp_path) == []
    assert list((tmp_path / "fer2013").rglob("*.npy")) == []


def test_a_damaged_identity_does_not_stop_a_purge(tmp_path):
    with offered(tmp_path / "root") as collection:
        collect(collection, tmp_path / "root/export")
        for content in ("", "[1]", '{"id": 1}', "[" * 100_000):
            (tmp_path / "root/collection.json").write_text(content)
            purge(collection, creator="nobody")
        purge(collection, creator=NAME)
    assert left_of_ann(tmp_path / "root") == []
