import multiprocessing
import os
import signal
import sqlite3

import pytest
from collect_rows import add_candidate, add_page, decide

from fer_lightning.collect.store.collection import FACTS, Collection
from fer_lightning.errors import UserError


@pytest.fixture
def collection(tmp_path):
    with Collection(tmp_path) as opened:
        yield opened


def test_rows_neither_change_nor_go(collection):
    candidate = add_candidate(collection, add_page(collection))
    for statement in ("UPDATE candidate SET title = 'x'", "DELETE FROM finding", "DELETE FROM candidate"):
        with pytest.raises(sqlite3.IntegrityError):
            collection.database.execute(statement)
    assert collection.value("SELECT id FROM candidate") == candidate


def test_every_table_of_facts_is_guarded(collection):
    guarded = {row["tbl_name"] for row in collection.rows("SELECT tbl_name FROM sqlite_master WHERE type = 'trigger'")}
    assert guarded == set(FACTS)
    tables = {row["name"] for row in collection.rows("SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert tables - {"purging"} == guarded


def add_all(collection, **rows):
    with collection.writing():
        for table, row in rows.items():
            collection.add(table, row)


def test_an_error_takes_the_whole_transaction_back(collection):
    page = add_page(collection)
    offered = {"provider": "a", "provider_id": "1", "image_url": "u"}
    with pytest.raises(sqlite3.IntegrityError):
        add_all(collection, candidate=offered, finding={"page": page, "candidate": 99, "rank": 1})
    assert collection.value("SELECT count(*) FROM candidate") == 0


def test_a_second_run_adds_and_offers_of_the_same_are_one(tmp_path):
    row = {"provider": "a", "provider_id": "1", "image_url": "u"}
    with Collection(tmp_path) as first, first.writing():
        assert first.add("candidate", row) == 1
    with Collection(tmp_path) as second, second.writing():
        assert second.add("candidate", row, on_conflict="IGNORE") is None
        assert second.add("candidate", row | {"provider_id": "2"}, on_conflict="IGNORE") == 2


def test_two_at_once_are_refused_with_the_process_to_wait_for(tmp_path):
    with Collection(tmp_path) as first, Collection(tmp_path) as second, first.locked("steps"):
        with (
            pytest.raises(UserError, match=rf"process {os.getpid()} is using this collection .*steps"),
            second.locked("steps"),
        ):
            pass
        with second.locked("review"):
            pass
    with Collection(tmp_path) as third, third.locked("steps"):
        pass


def _hold_and_die(root):
    with Collection(root) as held, held.locked("steps"):
        held.database.execute("BEGIN IMMEDIATE")
        held.add("page", {"provider": "a", "emotion": "e", "query": "q", "language": "en", "status": "answered",
                          "version": "0"})  # fmt: skip
        os.kill(os.getpid(), signal.SIGKILL)


def test_a_killed_holder_leaves_neither_lock_nor_half_a_transaction(tmp_path):
    process = multiprocessing.get_context("fork").Process(target=_hold_and_die, args=(tmp_path,))
    process.start()
    process.join()
    with Collection(tmp_path) as after, after.locked("steps"):
        assert after.value("SELECT count(*) FROM page") == 0


def test_what_is_no_collection_is_said(tmp_path):
    (tmp_path / "collection.sqlite3").write_text("not a database, but long enough to be read as one" * 40)
    with pytest.raises(UserError, match="not a collection of fer_lightning"):
        Collection(tmp_path)


def test_another_version_is_said(tmp_path):
    with Collection(tmp_path) as made:
        made.database.execute("PRAGMA user_version = 7")
    with pytest.raises(UserError, match="version 7"):
        Collection(tmp_path)


def test_decisions_are_one_per_event(collection):
    add_page(collection)
    with pytest.raises(sqlite3.IntegrityError):
        decide(collection, face=1)
