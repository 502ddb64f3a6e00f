import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fer_forms import Samples, write_forms
from PIL import Image

from fer_lightning.data import ingest as ingest_module
from fer_lightning.data.ingest import ingest, main
from fer_lightning.data.rows import pixel_digests
from fer_lightning.data.store import open_store, read_manifest, store_problem, write_manifest
from fer_lightning.errors import UserError
from fer_lightning.labels import label_maps


@pytest.fixture(scope="module")
def samples() -> Samples:
    return Samples()


@pytest.fixture(scope="module")
def forms(samples, tmp_path_factory) -> dict[str, Path]:
    return write_forms(samples, tmp_path_factory.mktemp("forms"))


@pytest.fixture(scope="module")
def store(samples, tmp_path_factory) -> str:
    """A store of the sample rows; not to be written to."""
    root = tmp_path_factory.mktemp("store")
    ingest(str(samples.csv(root / "fer2013.csv")), str(root / "fer2013"))
    return str(root / "fer2013")


def test_every_form_has_the_same_checksum(forms, store, tmp_path):
    wanted = read_manifest(Path(store))["checksum"]
    for place, path in enumerate(forms.values()):
        assert ingest(str(path), str(tmp_path / str(place))).manifest["checksum"] == wanted


def test_rows_are_sorted_by_usage_label_and_digest(store, samples):
    opened = open_store(Path(store))
    keys = [
        (usage, label, digest.tobytes())
        for usage, label, digest in zip(opened.usage, opened.labels, pixel_digests(opened.pixels), strict=True)
    ]
    assert keys == sorted(keys)
    assert isinstance(opened.pixels, np.memmap)
    assert np.array_equal(opened.pixels, samples.pixels[opened.source.astype(int)])


@pytest.mark.parametrize("change", ["pixel", "label", "usage"])
def test_checksum_depends_on_every_part(change, store, tmp_path):
    samples = Samples()
    if change == "pixel":
        samples.pixels[5, 7, 9] ^= 1
    else:
        usage, code = samples.rows[5]
        samples.rows[5] = (usage, (code + 1) % 7) if change == "label" else ("PublicTest", code)
        assert samples.rows[5] != (usage, code)
    changed = ingest(str(samples.csv(tmp_path / "changed.csv")), str(tmp_path / "store")).manifest
    assert changed["checksum"] != read_manifest(Path(store))["checksum"]


def test_unchanged_source_is_reused_and_a_changed_one_read_again(samples, tmp_path):
    path, root = samples.csv(tmp_path / "fer2013.csv"), str(tmp_path / "store")
    first = ingest(str(path), root)
    assert first.outcome == "written"
    again = ingest(str(path), root)
    assert again.outcome.startswith("reused")
    assert again.manifest["folder"] == first.manifest["folder"]
    os.utime(path, ns=(0, 0))
    touched = ingest(str(path), root)
    assert touched.outcome.startswith("written again: the source has changed")
    assert touched.manifest["checksum"] == first.manifest["checksum"]
    assert [folder.name for folder in Path(root).glob("rows-*")] == [touched.manifest["folder"]]
    other = ingest(str(Samples(seed=1).csv(tmp_path / "other.csv")), root)
    assert other.outcome == f"written; it replaces the store of {path}"


def test_changed_folder_is_noticed(samples, tmp_path):
    folder, root = samples.folders(tmp_path / "folders"), str(tmp_path / "store")
    ingest(str(folder), root)
    assert ingest(str(folder), root).outcome.startswith("reused")
    next(folder.rglob("*.png")).unlink()
    changed = ingest(str(folder), root)
    assert changed.outcome.startswith("written again")
    assert changed.manifest["rows"] == len(samples.rows) - 1


def test_a_file_that_is_moved_to_another_class_is_noticed(samples, tmp_path):
    """Moving keeps the number of files, their bytes and their times."""
    folder, root = samples.folders(tmp_path / "folders"), str(tmp_path / "store")
    before = ingest(str(folder), root).manifest["counts"]["Training"]
    moved = next((folder / "train" / "happy").iterdir())
    moved.rename(folder / "train" / "sad" / f"moved-{moved.name}")
    changed = ingest(str(folder), root)
    assert changed.outcome == "written again: the source has changed since it was last read"
    after = changed.manifest["counts"]["Training"]
    assert (after["happy"], after["sad"]) == (before["happy"] - 1, before["sad"] + 1)


def test_a_corrected_map_of_labels_is_noticed(tmp_path, monkeypatch):
    folder, root = tmp_path / "faces", str(tmp_path / "store")
    for number in (4, 5):
        (folder / str(number)).mkdir(parents=True)
        Image.fromarray(np.full((48, 48), number, np.uint8)).save(folder / str(number) / "a.png")
    wrong = replace(label_maps()["rafdb"], names=((4, "sad"), (5, "happy")))
    with monkeypatch.context() as patch:
        patch.setitem(label_maps(), "rafdb", wrong)
        ingest(str(folder), root, labels="rafdb")
        assert ingest(str(folder), root, labels="rafdb").outcome.startswith("reused")
    corrected = ingest(str(folder), root, labels="rafdb")
    assert corrected.outcome == "written again: the rules for reading images, labels or faces have changed"
    store = open_store(tmp_path / "store")
    assert [store.classes[code] for code in store.labels] == ["happy", "sad"]
    assert store.pixels[:, 0, 0].tolist() == [4, 5]


def test_failed_ingest_leaves_the_former_store(samples, tmp_path, monkeypatch):
    path, root = samples.csv(tmp_path / "fer2013.csv"), tmp_path / "store"
    before = ingest(str(path), str(root)).manifest
    path.write_text("emotion,pixels,Usage\n0,1,Training\n")
    with pytest.raises(UserError, match="has 1 pixels"):
        ingest(str(path), str(root))
    Samples(seed=1).csv(path)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(ingest_module, "write_columns", full)
    with pytest.raises(UserError, match=r"^root=.* cannot be written: .*No space left on device"):
        ingest(str(path), str(root))
    assert read_manifest(root) == before
    assert [folder.name for folder in root.glob("rows-*")] == [before["folder"]]


def test_folders_of_the_user_beside_the_rows_are_kept(samples, tmp_path):
    kept = [tmp_path / "rows-2024-study" / "notes.csv", tmp_path / "rows-abcd1234" / "face.png"]
    for path in kept:
        path.parent.mkdir()
        path.write_text("mine")
    for seed in (0, 1):
        ingest(str(Samples(seed=seed).csv(tmp_path / "fer2013.csv")), str(tmp_path))
    assert all(path.read_text() == "mine" for path in kept)
    assert len(list(tmp_path.glob("rows-*"))) == 3


def test_a_rejected_source_leaves_nothing(tmp_path):
    (tmp_path / "faces").mkdir()
    source = tmp_path / "faces" / "wrong.csv"
    source.write_text("emotion,pixels,Usage\n0,1,Training\n")
    for root in (tmp_path / "new" / "store", tmp_path / "faces"):
        with pytest.raises(UserError, match="has 1 pixels"):
            ingest(str(source), str(root))
    assert not (tmp_path / "new" / "store").exists()
    assert list((tmp_path / "faces").iterdir()) == [source]


@pytest.mark.slow
def test_killed_ingest_leaves_nothing_to_open_and_is_cleared_away(samples, tmp_path):
    path, root = samples.csv(tmp_path / "fer2013.csv"), tmp_path / "store"
    code = (
        "import os, sys; from fer_lightning.data import ingest as m;"
        "m.write_manifest = lambda *_: os._exit(9); m.ingest(*sys.argv[1:])"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(path), str(root)], check=False)
    assert killed.returncode == 9
    assert len(list(root.glob("rows-*"))) == 1
    assert "does not hold a store of faces" in store_problem(str(root))
    assert ingest(str(path), str(root)).outcome == "written"
    assert len(list(root.glob("rows-*"))) == 1


def test_a_file_instead_of_a_store_is_named_as_a_file(tmp_path):
    path = tmp_path / "fer2013.csv"
    path.write_text("emotion,pixels\n")
    problem = store_problem(str(path))
    assert problem.startswith(f"data.root={path}: must be the folder of a store, not a file.")
    assert "ROOT=" not in problem


def test_challenge_file_is_named(samples, tmp_path, monkeypatch, capsys):
    path, root = samples.csv(tmp_path / "fer2013.csv"), str(tmp_path / "store")
    assert main([str(path), root]) == 0
    printed = capsys.readouterr().out
    md5 = read_manifest(Path(root))["source"]["md5"]
    assert f"file      not byte for byte a file of the challenge (MD5 {md5}); its faces" in printed
    monkeypatch.setitem(ingest_module.CHALLENGE_MD5, md5, "fer2013.csv")
    os.utime(path, ns=(0, 0))
    assert main([str(path), root]) == 0
    assert "file      identical to the challenge's fer2013.csv" in capsys.readouterr().out


def test_command_prints_counts_checksum_and_next_command(samples, tmp_path, capsys):
    root = str(tmp_path / "store")
    assert main([str(samples.folders(tmp_path / "two", {"Training": "train"} | dict.fromkeys(
        ("PublicTest", "PrivateTest"), "test"))), root]) == 0  # fmt: skip
    printed = capsys.readouterr().out
    assert "63 faces" in printed
    assert read_manifest(Path(root))["checksum"] in printed
    assert "merges PublicTest and PrivateTest" in printed
    assert re.search(
        rf"next      python train.py( experiment=fer2013_cpu)? data.root={root} data.split=stratified", printed
    )


def test_mistakes_are_one_message_and_status_2(tmp_path, capsys):
    assert main([str(tmp_path / "none.csv"), str(tmp_path / "store")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "store").exists()


def test_the_command_for_a_missing_store_writes_where_the_store_is_missing(tmp_path, monkeypatch):
    """`make data` without ROOT writes to FER2013_ROOT, so it would replace another store."""
    monkeypatch.setenv("FER2013_ROOT", str(tmp_path))
    assert "ROOT=data/elsewhere" in store_problem("data/elsewhere")
    assert "ROOT=" not in store_problem(str(tmp_path))
    monkeypatch.delenv("FER2013_ROOT")
    assert f"ROOT={tmp_path}" in store_problem(str(tmp_path))


def test_store_problem_says_both_ways_on_and_needs_no_numpy(tmp_path):
    code = (
        "import sys; from fer_lightning.data.store import store_problem; print(store_problem(sys.argv[1]));"
        "assert 'numpy' not in sys.modules"
    )
    run = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert "make data FROM=path/to/fer2013.csv ROOT=" in run.stdout
    assert "python train.py experiment=quickstart" in run.stdout


def test_store_problem_names_damage(samples, tmp_path):
    root = tmp_path / "store"
    manifest = ingest(str(samples.csv(tmp_path / "fer2013.csv")), str(root)).manifest
    assert store_problem(str(root)) is None
    pixels = root / manifest["folder"] / "pixels.npy"
    os.truncate(pixels, pixels.stat().st_size - 1)
    assert "the size of pixels.npy has changed" in store_problem(str(root))
    (root / "store.json").write_text(json.dumps(manifest | {"version": 99}))
    assert "the store has version 99" in store_problem(str(root))
    for broken in ("{", "[]", "{}", '{"version": 2, "files": 3}'):
        (root / "store.json").write_text(broken)
        assert "store.json cannot be read" in store_problem(str(root))
    assert ingest(str(tmp_path / "fer2013.csv"), str(root)).outcome == "written"


def test_nothing_of_an_opened_store_is_read_before_it_is_touched(store):
    opened = open_store(Path(store))
    for name in ("pixels", "labels", "usage", "source", "digests"):
        assert isinstance(getattr(opened, name), np.memmap), name
    opened.pixels[0] ^= 255  # copy-on-write: the file stays as it is
    assert not np.array_equal(opened.pixels[0], open_store(Path(store)).pixels[0])


def checked_and_opened(root: Path) -> None:
    if problem := store_problem(str(root)):
        raise UserError(problem)
    open_store(root)


@pytest.mark.parametrize("digests", [True, False], ids=["store of today", "store of an earlier version"])
@pytest.mark.parametrize("name", ["pixels", "labels", "usage", "digests", "votes", "source", "store.json"])
def test_a_changed_byte_of_a_store_is_refused(store, tmp_path, name, digests):
    """A store with other pixels, labels or usage is not trained on under the checksum of the sound one."""
    root = Path(shutil.copytree(store, tmp_path / "store"))
    folder = root / read_manifest(root)["folder"]
    np.save(folder / "votes.npy", np.ones((63, 10), np.uint8))
    manifest = write_manifest(root, read_manifest(root) | {"votes": hashlib.sha256(bytes([1]) * 630).hexdigest()})
    if not digests:
        (root / "store.json").write_text(json.dumps({key: manifest[key] for key in manifest if key != "sha256"}))
    open_store(root)
    if name == "store.json":
        changed = json.loads((root / name).read_text())
        changed["checksum"] = "0" * 64
        (root / name).write_text(json.dumps(changed))
    else:
        path = folder / f"{name}.npy"
        content = bytearray(path.read_bytes())
        content[len(content) // 2 + 64] ^= 1
        path.write_bytes(content)
    if name == "source" and not digests:  # an earlier version has no checksum of it
        return
    with pytest.raises(UserError, match=r"damaged|was changed after it was written"):
        checked_and_opened(root)


def test_a_damaged_header_is_refused_in_words(store, tmp_path):
    for place in range(0, 120, 7):
        root = Path(shutil.copytree(store, tmp_path / str(place)))
        manifest = json.loads((root / "store.json").read_text())
        (root / "store.json").write_text(json.dumps({key: manifest[key] for key in manifest if key != "sha256"}))
        path = root / manifest["folder"] / "labels.npy"
        content = bytearray(path.read_bytes())
        content[place] ^= 4
        path.write_bytes(content)
        with suppress(UserError):  # some bytes of the header are only blanks
            assert np.array_equal(open_store(root).labels, open_store(Path(store)).labels)


def test_a_damaged_store_is_read_again_from_its_source(samples, tmp_path):
    source, root = samples.csv(tmp_path / "fer2013.csv"), tmp_path / "store"
    sound = ingest(str(source), str(root)).manifest
    path = root / sound["folder"] / "labels.npy"
    path.write_bytes(path.read_bytes()[:-8] + bytes(8))
    assert ingest(str(source), str(root)).outcome == "written again: the store was damaged"
    assert open_store(root).manifest["checksum"] == sound["checksum"]
