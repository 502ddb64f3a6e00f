"""A damaged database of a collection is reported with its path, by every step that reads it."""

import os
import random
import warnings
from pathlib import Path

import pytest
from collect_review import collection_for_review

from fer_lightning.collect.__main__ import main
from fer_lightning.collect.store.collection import FILE

PAGE = 4096


@pytest.fixture(scope="module")
def content(tmp_path_factory) -> bytes:
    root = tmp_path_factory.mktemp("collection")
    with collection_for_review(root, faces=20) as collection:
        collection.database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return (root / FILE).read_bytes()


@pytest.fixture(autouse=True)
def _plain(monkeypatch):
    monkeypatch.setattr("signal.signal", lambda *_: None)
    monkeypatch.setattr("os.umask", lambda _: 0)
    monkeypatch.setattr(warnings, "formatwarning", warnings.formatwarning)


def damaged(content: bytes, draw: random.Random) -> bytes:
    place = draw.randrange(len(content) // PAGE) * PAGE
    kind = draw.randrange(4)
    if kind == 0:
        return content[:place] + bytes(PAGE) + content[place + PAGE :]
    if kind == 1:
        return content[: draw.randrange(len(content))]
    changed = bytearray(content)
    for _ in range(1 if kind == 2 else 50):
        changed[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    return bytes(changed)


def try_copies(content: bytes, folder: Path, seed: int, count: int, capsys) -> None:
    draw = random.Random(seed)
    for number in range(count):
        root = folder / str(number)
        root.mkdir()
        (root / FILE).write_bytes(damaged(content, draw))
        for step in ("verify", "merge", "tally"):
            status, message = status_of([step, f"root={root}"]), capsys.readouterr().err
            assert status in (0, 1) or (status == 2 and (str(root) in message or FILE in message)), message


def status_of(words: list[str]) -> int:
    try:
        main(words)
    except SystemExit as end:
        return end.code
    return 0


@pytest.mark.slow
def test_a_damaged_database_is_reported(content, tmp_path, capsys):
    try_copies(content, tmp_path, seed=0, count=3, capsys=capsys)


@pytest.mark.long
def test_many_damaged_databases_are_reported(content, tmp_path, capsys):
    try_copies(content, tmp_path, seed=1, count=int(os.environ.get("FUZZ_COPIES", "40")), capsys=capsys)
