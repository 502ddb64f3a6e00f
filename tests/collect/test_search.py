"""Requests, records and resumption of a search, whatever happens in between."""

import json
import multiprocessing
import os
import signal
import time
from itertools import pairwise

import pytest
from collect_provider_server import ENGINE, KEY, LOOPBACK, Fault, ProviderServer, Work
from collect_rows import add_detected, add_fetch, add_picture, drawn

from fer_lightning.collect.http.client import ImageClient
from fer_lightning.collect.providers.commons import Commons
from fer_lightning.collect.providers.google import Google
from fer_lightning.collect.providers.local import Local
from fer_lightning.collect.providers.openverse import Openverse
from fer_lightning.collect.providers.provider import Query
from fer_lightning.collect.steps import search as search_module
from fer_lightning.collect.steps.search import search
from fer_lightning.collect.store.attempts import TO_FETCH
from fer_lightning.collect.store.collection import Collection
from fer_lightning.collect.store.denied import creator_value, url_value
from fer_lightning.errors import UserError

QUERIES = [Query("bored man", "en", "boredom"), Query("ennui", "fr", "boredom"), Query("noia", "it", "boredom")]


@pytest.fixture
def server():
    with ProviderServer("http://127.0.0.1:9") as server:
        server.available = {"anon_burst": 1000, "anon_sustained": 10_000}
        yield server


@pytest.fixture
def collection(tmp_path):
    with Collection(tmp_path / "collection") as collection:
        yield collection


@pytest.fixture
def waits(monkeypatch):
    """The seconds that a search would have waited."""
    seconds = []
    monkeypatch.setattr(search_module.time, "sleep", seconds.append)
    return seconds


def client():
    agent = "fer_lightning/test (me@example.org)"
    return ImageClient(user_agent=agent, allow_loopback=True, requests_per_second=10_000, sleep=lambda seconds: None)


def openverse(server, **options):
    options = {"requests_per_minute": 10_000} | options
    return Openverse(client(), endpoint=server.openverse, hosts=[LOOPBACK], **options)


def google(server, **options):
    keys = {"GOOGLE_API_KEY": KEY, "GOOGLE_CX": ENGINE}
    return Google(client(), keys, endpoint=server.google, requests_per_minute=10_000, **options)


def run(collection, provider, *, queries=QUERIES, target=1000, emotion="boredom", **options):
    return search(
        collection, provider, queries, target=target, emotion=emotion, config_hash="hash", version="1", **options
    )


def asked(server):
    return [(request.params["q"], int(request.params["page"])) for request in server.requests]


def count(collection, table, where="1"):
    return collection.value(f"SELECT count(*) FROM {table} WHERE {where}")


# -- what is asked


def test_queries_take_turns_page_by_page(server, collection):
    run(collection, openverse(server))
    names = [query.text for query in QUERIES]
    assert asked(server) == [(name, page) for page in (1, 2, 3) for name in names]


def test_the_next_run_goes_on_in_the_same_turn(server, collection):
    run(collection, openverse(server), target=20)
    assert asked(server) == [("bored man", 1), ("ennui", 1), ("noia", 1)]
    run(collection, openverse(server), target=25)
    run(collection, openverse(server), target=35)
    assert asked(server)[3:] == [("bored man", 2), ("ennui", 2), ("noia", 2)]


def test_exhausted_queries_are_not_asked_again(server, collection):
    first = run(collection, openverse(server))
    assert (first.pages, first.new) == (9, 135)
    assert "all 3 queries are exhausted. To find more, add words in conf/collect/emotion/" in first.stopped_because
    again = run(collection, openverse(server))
    assert (again.pages, again.new, len(server.requests)) == (0, 0, 9)


def test_new_queries_are_asked_where_the_others_are_exhausted(server, collection):
    run(collection, openverse(server))
    more = [*QUERIES, Query("tédio", "pt", "boredom")]
    assert run(collection, openverse(server), queries=more).new == 45


def test_each_emotion_has_its_own_way_through_the_same_words(server, collection):
    run(collection, openverse(server))
    result = run(
        collection, openverse(server), queries=[Query("ennui", "fr", "distracted")], emotion="distracted", target=15
    )
    assert (result.new, result.pages) == (0, 3)
    assert "enough for 15 faces of distracted" in result.stopped_because


# -- when it is enough


def test_it_stops_once_there_is_enough(server, collection):
    seen = []
    result = run(collection, openverse(server), target=25, oversample=2, progress=lambda *at: seen.append(at))
    assert (result.pages, result.new) == (3, 60)
    assert result.stopped_because == "enough for 25 faces of boredom: 0 accepted, 60 images undecided"
    assert seen == [(0, 50), (20, 50), (40, 50), (60, 60)]
    assert run(collection, openverse(server), target=25, oversample=2).pages == 0


def settle(collection, face, outcome, label=None, reason=None):
    collection.add("deduped", {"face": face, "status": "unique"})
    collection.add("settled", {"face": face, "outcome": outcome, "label": label, "reason": reason})


def fetched(collection, candidate, image=None, status="stored"):
    add_fetch(collection, candidate, image, status)


def faced(collection, candidate, reason=None):
    image = add_picture(collection, drawn(candidate))
    add_fetch(collection, candidate, image)
    return add_detected(collection, image, None if reason else drawn(candidate), reason)


LOSSES = {
    "refused": lambda c, one: fetched(c, one, status="refused"),
    "failed for good": lambda c, one: [fetched(c, one, status="failed") for _ in range(4)],
    "no face": lambda c, one: faced(c, one, "no face"),
    "copy": lambda c, one: c.add("deduped", {"face": faced(c, one), "status": "copy", "reason": "in FER2013"}),
    "rejected": lambda c, one: settle(c, faced(c, one), "rejected"),
    "of another emotion": lambda c, one: settle(c, faced(c, one), "accepted", "sad"),
    "unsure": lambda c, one: settle(c, faced(c, one), "open", reason="unsure"),
    "disputed": lambda c, one: settle(c, faced(c, one), "open", reason="disputed"),
}
HOPES = {
    "stored": lambda c, one: fetched(c, one, f"{one}"),
    "failed so far": lambda c, one: [fetched(c, one, status="failed") for _ in range(3)],
    "failed, then stored": lambda c, one: [fetched(c, one, f"{one}", status) for status in ("failed", "stored")],
    "face": lambda c, one: faced(c, one),
    "unique": lambda c, one: c.add("deduped", {"face": faced(c, one), "status": "unique"}),
    "undone": lambda c, one: settle(c, faced(c, one), "open", reason="undone"),
}


@pytest.mark.parametrize("lose", LOSSES.values(), ids=LOSSES)
def test_what_is_lost_is_replaced(server, collection, lose):
    run(collection, openverse(server), target=20, oversample=3)
    lose(collection, 1)
    result = run(collection, openverse(server), target=20, oversample=3)
    assert (result.pages, result.new) == (1, 20)


@pytest.mark.parametrize("hope", HOPES.values(), ids=HOPES)
def test_what_may_still_become_a_face_is_waited_for(server, collection, hope):
    run(collection, openverse(server), target=20, oversample=3)
    hope(collection, 1)
    assert run(collection, openverse(server), target=20, oversample=3).pages == 0


def test_two_addresses_of_the_same_bytes_count_once(server, collection):
    run(collection, openverse(server), target=20, oversample=3)
    for candidate in (1, 2):
        fetched(collection, candidate, "same")
    assert run(collection, openverse(server), target=20, oversample=3).pages == 1


def test_accepted_faces_need_no_more_pictures(server, collection):
    run(collection, openverse(server), target=20, oversample=3)
    for candidate in range(1, 61):
        settle(collection, faced(collection, candidate), "accepted" if candidate <= 15 else "rejected", "boredom")
    result = run(collection, openverse(server), target=15, oversample=3)
    assert (result.pages, result.stopped_because) == (
        0,
        "enough for 15 faces of boredom: 15 accepted, 0 images undecided",
    )
    assert run(collection, openverse(server), target=20, oversample=3).new == 20


def test_faces_count_by_their_label_whatever_was_searched_for(server, collection):
    run(collection, openverse(server), target=20)
    for candidate in range(1, 61):
        settle(collection, faced(collection, candidate), "accepted", "sad" if candidate <= 20 else "boredom")
    sad = [Query("sad man", "en", "sad")]
    result = run(collection, openverse(server), queries=sad, emotion="sad", target=20)
    assert (result.pages, result.stopped_because) == (0, "enough for 20 faces of sad: 20 accepted, 0 images undecided")
    assert run(collection, openverse(server), target=41).pages == 1


def test_what_another_provider_has_offered_is_not_waited_for_until_it_is_here(server, collection):
    run(collection, google(server), target=20, oversample=3)
    result = run(collection, openverse(server), target=20, oversample=3)
    assert (result.pages, result.new) == (3, 60)
    for candidate in range(1, 61):
        fetched(collection, candidate, f"{candidate}")
    assert run(collection, openverse(server), target=40, oversample=3).pages == 0


# -- what is written down


def test_a_page_its_offers_and_the_limits_are_written_down(server, collection):
    run(collection, openverse(server), queries=QUERIES[:1], target=1)
    (page,) = collection.rows("SELECT * FROM page")
    assert [page[name] for name in ("provider", "emotion", "query", "language", "cursor", "next_cursor", "status")] == [
        "openverse",
        "boredom",
        "bored man",
        "en",
        None,
        "2",
        "answered",
    ]
    assert [page[name] for name in ("found", "config_hash", "version", "reason")] == [20, "hash", "1", None]
    assert len(page["response_sha256"]) == 64
    ranks = [row["rank"] for row in collection.rows("SELECT rank FROM finding ORDER BY rank")]
    assert ranks == list(range(1, 21))
    candidate = collection.rows("SELECT * FROM candidate ORDER BY id")[0]
    assert json.loads(candidate["tags"]) == ["face", "portrait"]
    assert candidate["licence_checked_at"] >= page["time"]
    assert collection.value("SELECT remaining FROM quota") == 999


def test_what_is_offered_twice_is_one_candidate_with_two_findings(server, collection):
    server.catalogue = {"bored man": [Work(1), Work(2)], "ennui": [Work(2), Work(3)], "noia": [Work(3), Work(3)]}
    result = run(collection, openverse(server))
    assert result.new == 3
    assert (count(collection, "candidate"), count(collection, "finding")) == (3, 5)


def test_what_is_of_no_use_is_counted_with_its_page(server, collection):
    server.catalogue["bored man"] = [Work(1), Work(2, licence="by-nd"), Work(3, licence="by-nc-nd")]
    result = run(collection, openverse(server), queries=QUERIES[:1])
    assert (result.new, dict(result.dropped)) == (1, {"licence forbids adaptations": 2})
    assert collection.value("SELECT reason FROM page") == "2 not usable: licence forbids adaptations"


def test_what_is_denied_does_not_come_back(server, collection):
    server.catalogue["bored man"] = [Work(n) for n in range(1, 7)]
    denials = [
        ("creator", creator_value("  CREATOR   1 ")),
        ("creator", creator_value("https://photos.example/people/2")),
        ("url", url_value("http://127.0.0.1:9/good/3.jpg")),
        ("url", url_value("http://www.photos.example/4/#comment")),
    ]
    for kind, value in denials:
        collection.add("denied", {"kind": kind, "value": value})
    result = run(collection, openverse(server), queries=QUERIES[:1])
    assert (result.denied, result.new) == (4, 2)
    titles = [row["title"] for row in collection.rows("SELECT title FROM candidate ORDER BY id")]
    assert titles == ["Work 5", "Work 6"]


def licences(collection):
    return [tuple(row) for row in collection.rows("SELECT candidate, licence, creator FROM licence ORDER BY id")]


def test_a_licence_that_changes_is_told_and_added(server, collection, caplog):
    server.catalogue = {query.text: [Work(1), Work(2)] for query in QUERIES}
    run(collection, openverse(server), queries=QUERIES[:1])
    found = [(1, "by", "Creator 1"), (2, "by", "Creator 2")]
    assert licences(collection) == found
    server.licences[1] = ("by-nc", "2.0")
    assert run(collection, openverse(server)).relicensed == 1  # offered by two more queries
    assert "the licence or creator of 1 known images has changed" in caplog.text
    assert licences(collection) == [*found, (1, "by-nc", "Creator 1")]
    assert {row["licence"] for row in collection.rows("SELECT licence FROM candidate")} == {"by"}


@pytest.mark.parametrize("licence", ["by-nd", "by-nc-nd", "all rights reserved"])
def test_a_licence_that_no_longer_allows_collection_is_added(server, collection, licence):
    """Otherwise an image that was collected under the old licence would still be published."""
    server.catalogue = {query.text: [Work(1)] for query in QUERIES}
    run(collection, openverse(server), queries=QUERIES[:1])
    server.licences[1] = (licence, "2.0")
    result = run(collection, openverse(server))
    assert (result.new, result.relicensed, result.dropped.total()) == (0, 1, 2)
    stored = licence if "-nd" in licence else "unknown"
    assert licences(collection) == [(1, "by", "Creator 1"), (1, stored, "Creator 1")]
    assert collection.rows(TO_FETCH) == [] or stored == "unknown"


def test_no_place_is_ever_stored(server, collection):
    provider = Commons(
        client(),
        {"COLLECT_CONTACT": "me@example.org"},
        endpoint=server.commons,
        hosts=[LOOPBACK],
        requests_per_minute=10_000,
    )
    assert run(collection, provider).new == 135
    dump = "\n".join(collection.database.iterdump())
    assert "Creator" in dump
    assert not any(place in dump for place in ("48.858", "2.294", "GPS", "WGS"))


def test_texts_in_any_script_are_kept_and_tricks_are_not(server, collection):
    over = {"title": "退屈 \u202egpj\ud800\x00", "creator": "=cmd|'/c calc'!A1"}
    server.catalogue["bored man"] = [Work(1, over=over)]
    run(collection, openverse(server), queries=QUERIES[:1])
    row = collection.rows("SELECT title, creator FROM candidate")[0]
    assert tuple(row) == ("退屈 gpj", "=cmd|'/c calc'!A1")


# -- limits


def test_a_spent_limit_ends_the_search_and_the_next_run_keeps_to_it(server, collection, monkeypatch):
    server.available["anon_sustained"] = 2
    result = run(collection, openverse(server))
    assert (result.pages, result.new) == (2, 40)
    assert result.stopped_because.startswith("its limit is used up. Run the same command again after 20")
    assert result.come_back_at > collection.value("SELECT max(time) FROM page")

    with Collection(collection.root) as anew:
        again = run(anew, openverse(server))
    assert (again.pages, len(server.requests)) == (0, 2)
    assert again.come_back_at[:13] == result.come_back_at[:13]

    until = search_module._until
    monkeypatch.setattr(search_module, "_until", lambda moment: until(moment) - 90_000)  # the day after
    server.available["anon_sustained"] = 200
    with Collection(collection.root) as tomorrow:
        assert run(tomorrow, openverse(server)).new == 95
    assert asked(server)[:4] == [("bored man", 1), ("ennui", 1), ("noia", 1), ("bored man", 2)]


def test_a_limit_that_is_soon_over_is_waited_for(server, collection, waits):
    server.available["anon_burst"] = 1
    server.rates["anon_burst"] = "20/min"
    run(collection, openverse(server), target=1, oversample=21)
    assert len(server.requests) >= 1
    assert any(55 < seconds <= 60 for seconds in waits)


def test_a_provider_that_asks_for_hours_is_left_alone(server, collection):
    server.faults += [None, Fault(429, {"Retry-After": "7200"})]
    result = run(collection, openverse(server))
    assert (result.pages, result.failed) == (1, 1)
    assert "answered 429" in result.stopped_because
    assert result.come_back_at
    assert run(collection, openverse(server)).come_back_at[:15] == result.come_back_at[:15]
    assert len(server.requests) == 2


def test_requests_are_spread_over_a_minute_across_runs(server, collection, waits):
    run(collection, openverse(server, requests_per_minute=10), target=1, oversample=40)
    assert len(waits) == 1
    run(collection, openverse(server, requests_per_minute=10), target=1, oversample=60)
    assert len(waits) == 2
    assert all(4 < seconds <= 6 for seconds in waits)


def test_a_clock_that_was_set_back_makes_nobody_wait_longer(server, collection, waits):
    row = {"provider": "openverse", "emotion": "boredom", "query": "x", "language": "en", "status": "answered"}
    collection.add("page", row | {"version": "1", "time": "2099-01-01T00:00:00.000Z"})
    run(collection, openverse(server, requests_per_minute=10), target=1)
    assert waits == [6.0]


def test_google_is_asked_no_more_than_its_requests_a_day(server, collection, monkeypatch):
    result = run(collection, google(server, requests_per_day=4))
    assert (result.pages, result.new) == (4, 40)
    assert "its limit is used up" in result.stopped_because
    again = run(collection, google(server, requests_per_day=4))
    assert (again.pages, len(server.requests)) == (0, 4)
    assert again.come_back_at[:15] == result.come_back_at[:15]
    until = search_module._until
    monkeypatch.setattr(search_module, "_until", lambda moment: until(moment) - 90_000)
    assert run(collection, google(server, requests_per_day=4), target=11).pages == 0  # 40 wait, 33 are wanted
    assert run(collection, google(server, requests_per_day=100), target=20).pages == 2


# -- failures


def test_a_failed_request_is_written_down_and_tried_again(server, collection):
    server.faults += [Fault(body=b'{"results": [')]
    result = run(collection, openverse(server))
    assert (result.failed, result.pages, result.new) == (1, 9, 135)
    (row,) = collection.rows("SELECT * FROM page WHERE status = 'failed'")
    assert (row["query"], row["cursor"], row["next_cursor"], row["found"]) == ("bored man", None, None, 0)
    assert "not valid JSON" in row["reason"]
    assert asked(server)[:4] == [("bored man", 1), ("ennui", 1), ("noia", 1), ("bored man", 1)]


def test_three_failures_in_a_row_end_the_search(server, collection):
    server.faults += [None, Fault(body=b"{"), None, *[Fault(body=b"[]")] * 3]
    result = run(collection, openverse(server))
    assert (result.pages, result.failed) == (2, 4)
    assert (
        result.stopped_because
        == "3 requests in a row failed: Openverse sent JSON of the type list instead of an object"
    )
    assert result.come_back_at is None
    assert run(collection, openverse(server)).new == 95


def test_a_refusal_ends_the_search_at_once(server, collection):
    server.faults += [None, Fault(403, {}, b'{"detail": "Forbidden for you"}')]
    result = run(collection, openverse(server))
    assert (result.pages, result.failed) == (1, 1)
    assert "Forbidden for you" in result.stopped_because


def test_a_lagging_wiki_is_waited_for_and_asked_again(server, collection, waits):
    server.faults += [Fault(200, {"Retry-After": "7"}, b'{"error": {"code": "maxlag"}}')]
    provider = Commons(
        client(),
        {"COLLECT_CONTACT": "me@example.org"},
        endpoint=server.commons,
        hosts=[LOOPBACK],
        requests_per_minute=10_000,
    )
    result = run(collection, provider, queries=QUERIES[:1])
    assert (result.failed, result.new) == (1, 45)
    assert 7.0 in waits


# -- being killed


def in_a_child(action):
    """Let a child process do it; returns the process."""
    child = multiprocessing.get_context("fork").Process(target=action)
    child.start()
    return child


def undisturbed(server, root):
    with Collection(root) as collection:
        run(collection, openverse(server))
        return contents(collection)


def contents(collection):
    """Return the records of a search: answered pages with their cursors, candidates, findings."""
    pages = collection.rows("SELECT query, cursor, next_cursor, found FROM page WHERE status = 'answered'")
    findings = collection.rows(
        "SELECT page.query, page.cursor, finding.rank, candidate.provider_id FROM finding "
        "JOIN page ON page.id = finding.page JOIN candidate ON candidate.id = finding.candidate"
    )
    candidates = collection.rows("SELECT provider_id, image_url FROM candidate")
    return [sorted(map(repr, map(tuple, rows))) for rows in (pages, findings, candidates)]


@pytest.mark.slow
@pytest.mark.parametrize("at", [1, 2, 15, 22, 23, 40, 70])
def test_killed_inside_a_transaction_a_search_goes_on_as_if_nothing_had_happened(server, tmp_path, at):
    def until_killed():
        add, calls = Collection.add, iter(range(1, 10_000))

        def deadly(self, *arguments, **keywords):
            if next(calls) == at:
                os.kill(os.getpid(), signal.SIGKILL)
            return add(self, *arguments, **keywords)

        Collection.add = deadly
        with Collection(tmp_path / "killed") as collection:
            run(collection, openverse(server))

    child = in_a_child(until_killed)
    child.join(30)
    assert child.exitcode == -signal.SIGKILL
    with Collection(tmp_path / "killed") as collection:
        whole = count(collection, "page")
        assert count(collection, "finding") == sum(row["found"] for row in collection.rows("SELECT found FROM page"))
        assert run(collection, openverse(server)).pages == 9 - whole
        assert contents(collection) == undisturbed(server, tmp_path / "undisturbed")


@pytest.mark.slow
def test_killed_at_any_moment_a_search_repeats_and_loses_nothing(server, tmp_path):
    server.works_per_query = 240

    def until_killed():
        with Collection(tmp_path / "killed") as collection:
            run(collection, openverse(server), target=10_000)

    killed, acknowledged = 0, [0]
    for number in range(20):
        child = in_a_child(until_killed)
        time.sleep(0.01 + number % 7 * 0.012)
        child.kill()
        child.join(30)
        killed += child.exitcode == -signal.SIGKILL
        with Collection(tmp_path / "killed") as collection:
            acknowledged.append(count(collection, "candidate"))
    assert killed
    assert all(before <= after for before, after in pairwise(acknowledged))
    with Collection(tmp_path / "killed") as collection:
        run(collection, openverse(server), target=10_000)
        assert contents(collection) == undisturbed(server, tmp_path / "undisturbed")


# -- images on this machine


def test_a_folder_is_read_to_its_end_whatever_the_target(tmp_path, collection):
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(25):
        (folder / f"{number:02}.jpg").write_bytes(b"%d" % number)
    provider = Local(path=str(folder), page_size=10)
    result = run(collection, provider, target=1)
    assert (result.new, result.pages) == (25, 3)
    assert result.stopped_because == "read all of photos"
    assert {row["query"] for row in collection.rows("SELECT query FROM page")} == {"photos"}


def test_a_folder_adds_only_what_is_new_and_finds_nothing_twice(tmp_path, collection):
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "a.jpg").write_bytes(b"a")
    (folder / "b.jpg").write_bytes(b"b")
    run(collection, Local(path=str(folder)))
    (folder / "0.jpg").write_bytes(b"0")
    (folder / "b.jpg").write_bytes(b"changed")
    result = run(collection, Local(path=str(folder)))
    assert result.new == 2
    assert (count(collection, "candidate"), count(collection, "finding")) == (4, 4)


def test_settings_that_are_corrected_hold_for_pictures_that_are_known(tmp_path, collection):
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "a.jpg").write_bytes(b"a")
    run(collection, Local(path=str(folder)))
    owned = {"licence": "own", "creator": "Ann"}
    assert run(collection, Local(path=str(folder), **owned)).relicensed == 1
    assert run(collection, Local(path=str(folder), **owned)).relicensed == 0
    assert licences(collection) == [(1, "unknown", None), (1, "own", "Ann")]


def test_own_images_that_must_not_be_changed_are_dropped(tmp_path, collection):
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / name).write_bytes(name.encode())
    (tmp_path / "list.csv").write_text("path,licence,creator\na.jpg,by-nd,Ann\nb.jpg,by,Ann\n")
    result = run(collection, Local(path=str(tmp_path / "list.csv")))
    assert (result.new, dict(result.dropped)) == (1, {"licence forbids adaptations": 1})
    with pytest.raises(UserError, match=r"provider\.licence=by-nd: forbids adaptations"):
        Local(path=str(tmp_path), licence="by-nd", creator="Ann").ready()
