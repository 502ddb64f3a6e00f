"""A run of all steps that is killed at any moment resumes, and loses and repeats nothing."""

import random
import signal
import sqlite3
import time

import pytest
from collect_runs import WHOLE, draw_pictures, run, start

from fer_lightning.collect.steps.verify import verify
from fer_lightning.collect.store.collection import FACTS, FILE, Collection

STEPS = ("search", "fetch", "detect", "dedupe", "merge")
# What tells two rows of the same fact apart, whatever the order in which they became known.
FACT = {
    "candidate": "provider, provider_id, image_url, licence",
    "finding": "page.query, candidate.provider_id",
    "fetch": "candidate.provider_id, status, reason, image",
    "picture": "image, file, phash",
    "face": "image, rules, crop_id",
    "deduped": "face.image, deduped.status, deduped.reason",
}
FROM = {
    "finding": "finding JOIN page ON page.id = page JOIN candidate ON candidate.id = candidate",
    "fetch": "fetch JOIN candidate ON candidate.id = candidate",
    "deduped": "deduped JOIN face ON face.id = face",
}


def facts(collection: Collection, table: str) -> list[tuple]:
    return sorted(map(tuple, collection.rows(f"SELECT {FACT[table]} FROM {FROM.get(table, table)}")), key=repr)


def acknowledged(root) -> dict[str, int]:
    """Return the number of committed rows of each kind, as another process reads them."""
    if not (root / FILE).exists():
        return {}
    with sqlite3.connect(f"file:{root / FILE}?mode=ro", uri=True, timeout=10) as database:
        try:
            return {table: database.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in FACTS}
        except sqlite3.OperationalError:  # the tables are not there yet
            return {}


def kill_at(rows: int, process, root) -> None:
    """Kill a run as soon as there are so many rows, or let it end."""
    while process.poll() is None and sum(acknowledged(root).values()) < rows:
        time.sleep(0.005)
    time.sleep(random.uniform(0, 0.02))
    process.kill()
    process.communicate()


@pytest.mark.long
def test_twenty_kills_at_random_moments_lose_nothing_and_double_nothing(tmp_path):
    folder = draw_pictures(tmp_path / "pictures", range(240), side=96)
    (folder / "copy.png").write_bytes((folder / "00007.png").read_bytes())
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no picture")
    words = (*STEPS, *WHOLE, "provider=local", f"provider.path={folder}", f"fer2013={tmp_path}", "fetch.at_once=1")
    run(*words, f"root={tmp_path / 'undisturbed'}")
    rows = sum(acknowledged(tmp_path / "undisturbed").values())

    root, seen, cut_short = tmp_path / "killed", {}, 0
    for moment in sorted(random.Random(0).sample(range(1, rows), 20)):
        process = start(*words, f"root={root}")
        kill_at(moment, process, root)
        cut_short += process.returncode == -signal.SIGKILL
        now = acknowledged(root)
        assert all(now[table] >= count for table, count in seen.items())
        seen = now
    assert cut_short >= 15
    run(*words, f"root={root}")

    with Collection(tmp_path / "undisturbed") as wanted, Collection(root) as found:
        for table in FACT:
            assert facts(found, table) == facts(wanted, table), table
        result = verify(found)
        assert result.faults == []
        assert len(list((root / "files").glob("*/*"))) == result.images == 240
