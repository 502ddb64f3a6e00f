"""The review's API as a browser, and as a hostile page, meets it; the server's start and end as a process."""

import io
import json
import re
import shutil
import signal
import socket
import sqlite3
import stat
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from collect_review import CLASSES, DEFINITIONS, Server, collection_for_review, event, look_again
from PIL import Image
from starlette.testclient import TestClient

from fer_lightning.collect.review import decisions
from fer_lightning.collect.review.server import (
    MOST_BYTES,
    Review,
    application,
    describe_review,
    serve,
    undecided,
)
from fer_lightning.collect.store.collection import Collection, now
from fer_lightning.errors import UserError
from fer_lightning.web.serving import kept_secret

FACES = 60
PORT = 8765
ORIGIN = f"http://127.0.0.1:{PORT}"
TOKEN = "7" * 32


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    root = tmp_path_factory.mktemp("drawn")
    collection_for_review(root, FACES, size=(160, 120), emotions=("frustration", "boredom")).close()
    return root


@pytest.fixture
def collection(drawn, tmp_path):
    with Collection(shutil.copytree(drawn, tmp_path / "collection")) as copy:
        yield copy


@pytest.fixture
def page(collection):
    return opened(collection)


def site(collection: Collection, *, finish=lambda: None, **options) -> TestClient:
    options = {
        "emotion": None,
        "annotator": "anna",
        "pass_": 1,
        "classes": CLASSES,
        "definitions": DEFINITIONS,
    } | options
    app = application(Review(collection, **options), token=TOKEN, port=PORT, finish=finish)
    return TestClient(app, base_url=ORIGIN, headers={"Origin": ORIGIN})


def opened(collection: Collection, **options) -> TestClient:
    client = site(collection, **options)
    client.get("/", params={"token": TOKEN})
    return client


def crops(collection: Collection) -> dict[int, str]:
    return dict(collection.rows("SELECT id, crop_id FROM face"))


def file_of(collection: Collection, face: int) -> str:
    return collection.value("SELECT file FROM face JOIN picture USING (image) WHERE face.id = ?", face)


def send(client: TestClient, *events: object) -> dict:
    session = client.get("/api/state").json()["session"]
    body = json.dumps({"session": session, "events": events})  # which may hold bytes that are not text
    answer = client.post("/api/decisions", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 200, answer.text
    return answer.json()


# who is let in


def test_the_printed_address_becomes_a_cookie_and_leaves_the_address_bar(collection):
    client = site(collection)
    answer = client.get("/", params={"token": TOKEN}, follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith(f"fer_review_{PORT}={TOKEN};")
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert "<title>Review of faces</title>" in client.get("/").text


@pytest.mark.parametrize("query", ["", "?token=", "?token=" + "8" * 32, "?token=%C3%A9"])
def test_without_the_token_the_page_says_where_it_is(collection, query):
    answer = site(collection).get(f"/{query}")
    assert answer.status_code == 401
    assert "The terminal" in answer.text


@pytest.mark.parametrize("path", ["/api/state", "/api/faces?ids=1", "/img/crop/1-{crop}.png", "/img/source/1-{file}"])
def test_everything_else_takes_the_cookie(collection, page, path):
    path = path.format(crop=crops(collection)[1], file=file_of(collection, 1))
    assert page.get(path).status_code == 200
    assert site(collection).get(path).status_code == 401
    assert site(collection).get(path, headers={"Cookie": f"fer_review_{PORT}={'8' * 32}"}).status_code == 401


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "127.0.0.1",
        "127.0.0.1:80",
        f"127.0.0.1.evil.example:{PORT}",
        f"0.0.0.0:{PORT}",
        "",
        f"evil:{PORT}",
    ],
)
def test_a_name_that_is_pointed_at_this_machine_reaches_nothing(page, host):
    for path in ("/", "/api/state", "/page/review.js"):
        answer = page.get(path, headers={"Host": host})
        assert answer.status_code == 400
        assert f"127.0.0.1:{PORT}" in answer.text


def test_localhost_is_this_machine_too(collection):
    client = site(collection)
    client.base_url = f"http://localhost:{PORT}"
    assert client.get("/", params={"token": TOKEN}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:9999"},
        {"Origin": f"http://localhost:{PORT}"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
    ids=str,
)
def test_another_page_can_neither_decide_nor_finish(collection, page, headers):
    ended = []
    client = opened(collection, finish=lambda: ended.append(1))
    body = {"session": client.get("/api/state").json()["session"], "events": [event(1, crops(collection)[1])]}
    for path in ("/api/decisions", "/api/finish"):
        assert client.post(path, json=body, headers=headers).status_code == 403
    del client.headers["Origin"]
    assert client.post("/api/decisions", json=body).status_code == 403
    assert collection.value("SELECT count(*) FROM decision") == 0
    assert not ended


def test_what_every_answer_forbids(collection, page):
    crop = page.get(f"/img/crop/1-{crops(collection)[1]}.png")
    for answer in (page.get("/"), page.get("/api/state"), page.get("/page/review.js"), page.get("/nothing"), crop):
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
    assert page.get("/api/state").headers["cache-control"] == "no-store"
    assert page.get("/").headers["cache-control"] == "no-store"
    assert "immutable" in crop.headers["cache-control"]
    assert "private" in crop.headers["cache-control"]


def test_the_page_names_nothing_outside(page):
    for name in (
        "",
        "page/review.css",
        "page/review.js",
        "page/outbox.js",
        "page/ledger.js",
        "page/panel.js",
        "shared/icon.svg",
        "shared/base.css",
        "shared/elements.js",
    ):
        answer = page.get(f"/{name}")
        assert answer.status_code == 200
        without_comments = re.sub(r"(?m)(^|\s)//.*$", "", answer.text)
        assert "//" not in without_comments.replace("http://www.w3.org/2000/svg", "")
    assert "<script>" not in page.get("/").text
    assert "style=" not in page.get("/").text


@pytest.mark.parametrize("name", ["index.html", "locked.html", "..%2fserver.py", "server.py", "%2e%2e/server.py", ""])
def test_only_the_page_s_own_files(page, name):
    assert page.get(f"/page/{name}").status_code in (404, 307)


# what is decided


def test_a_decision_is_stored_before_it_is_acknowledged(collection, page):
    made = event(3, crops(collection)[3], label="boredom", ms_spent=1234)
    assert send(page, made) == {"acknowledged": [made["event"]], "refused": []}
    with sqlite3.connect(collection.root / "collection.sqlite3") as other:
        (row,) = other.execute("SELECT event, time, face, pass, annotator, action, label, ms_spent FROM decision")
    assert row == (made["event"], made["time"], 3, 1, "anna", "accept", "boredom", 1234)


def test_the_same_event_again_is_acknowledged_and_stored_once(collection, page):
    made = event(3, crops(collection)[3])
    assert send(page, made, made)["acknowledged"] == [made["event"]] * 2
    assert send(page, made)["acknowledged"] == [made["event"]]
    assert collection.value("SELECT count(*) FROM decision") == 1


@pytest.mark.parametrize(
    "change", [{"label": "sad"}, {"face": 4}, {"time": "2026-01-01T00:00:00.000Z"}, {"ms_spent": 1}]
)
def test_other_content_under_a_known_id_is_refused(collection, page, change):
    made = event(3, crops(collection)[3])
    send(page, made)
    changed = made | change | {"crop": crops(collection)[change.get("face", 3)]}
    (refusal,) = send(page, changed)["refused"]
    assert refusal == {"event": made["event"], "reason": "another event with the same id is already stored"}
    assert collection.value("SELECT label FROM decision") == "frustration"


def test_an_id_of_another_annotator_is_not_taken_over(collection, page):
    made = event(3, crops(collection)[3])
    send(page, made)
    assert send(opened(collection, annotator="bob"), made)["refused"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"face": 999}, "the collection has no such face"),
        ({"face": 2**63}, "face: must be a whole number"),
        ({"face": "1"}, "face: must be a whole number"),
        ({"face": True}, "face: must be a whole number"),
        ({"crop": "0" * 64}, "the collection has no such face"),
        ({"crop": None}, "the collection has no such face"),
        ({"pass": 2}, "pass 2: must be 1, the pass of this review"),
        ({"action": "like"}, "action 'like': must be one of accept, reject"),
        ({"action": ["accept"]}, "action"),
        ({"label": "bored stiff"}, "label 'bored stiff': must be one of angry"),
        ({"label": None}, "label None"),
        ({"label": "\ud800"}, "label"),
        ({"label": {}}, "label"),
        ({"action": "reject"}, "only the action accept has a label"),
        ({"action": "undo", "label": None}, "undoes: must be the UUID"),
        (
            {"action": "undo", "label": None, "undoes": "00000000-0000-4000-8000-ffffffffffff"},
            "not a decision of yours",
        ),
        ({"undoes": "00000000-0000-4000-8000-ffffffffffff"}, "only the action undo has this field"),
        ({"time": "yesterday"}, "time"),
        ({"time": "2026-02-30T12:00:00.000Z"}, "time"),
        ({"time": "2026-01-31T25:00:00.000Z"}, "time"),
        ({"time": "2026-01-31T12:00:00Z"}, "time"),
        ({"time": "2026-01-31T12:00:00.000+00:00"}, "time"),
        ({"time": "٢٠٢٦-01-31T12:00:00.000Z"}, "time"),
        ({"time": "\ud800"}, "time"),
        ({"ms_spent": -1}, "ms_spent"),
        ({"ms_spent": 1.5}, "ms_spent"),
        ({"page_version": "<script>"}, "page_version"),
        ({"event": "not a uuid"}, "event: must be a UUID"),
    ],
    ids=str,
)
def test_one_wrong_event_is_refused_in_words_and_the_others_are_stored(collection, page, change, words):
    good, wrong = event(2, crops(collection)[2]), event(1, crops(collection)[1]) | change
    answer = send(page, wrong, good)
    (refusal,) = answer["refused"]
    assert words in refusal["reason"]
    assert refusal["event"] == (wrong["event"] if "event" not in change else None)
    assert answer["acknowledged"] == [good["event"]]
    assert [row["face"] for row in collection.rows("SELECT face FROM decision")] == [2]


@pytest.mark.parametrize("thing", [None, 3, "text", [], {}], ids=str)
def test_what_is_no_event_is_refused(page, thing):
    assert len(send(page, thing)["refused"]) == 1


def test_undo_goes_back_through_ones_own_decisions(collection, page):
    crop = crops(collection)[5]
    first, second = event(5, crop, "reject"), event(5, crop, label="sad")
    back = event(5, crop, "undo", undoes=second["event"])
    send(page, first, second, back)
    assert decisions.current(collection, pass_=1)[5].action == "reject"
    send(page, event(5, crop, "undo", undoes=first["event"]))
    assert decisions.current(collection, pass_=1) == {}
    again = event(5, crop, "unsure")
    send(page, again)
    assert decisions.current(collection, pass_=1)[5].event == again["event"]
    undo_of_undo = send(page, event(5, crop, "undo", undoes=back["event"]))
    assert "not a decision of yours" in undo_of_undo["refused"][0]["reason"]


def test_what_was_decided_later_stands_whatever_comes_last(collection, page):
    crop = crops(collection)[5]
    early, middle, late = (f"2026-01-31T12:00:00.{thousandth}Z" for thousandth in ("001", "002", "003"))
    newest = event(5, crop, label="sad", time=late)
    send(page, newest)
    send(page, event(5, crop, "reject", time=early), event(5, crop, "unsure", time=middle))
    assert decisions.current(collection, pass_=1)[5].label == "sad"
    assert [one[3] for one in page.get("/api/state").json()["events"]] == ["reject", "unsure", "accept"]
    send(page, event(5, crop, "undo", undoes=newest["event"]))
    assert decisions.current(collection, pass_=1)[5].action == "unsure"


def test_of_one_moment_what_came_last_stands(collection, page):
    crop, time = crops(collection)[5], "2026-01-31T12:00:00.000Z"
    send(page, event(5, crop, "reject", time=time), event(5, crop, "unsure", time=time))
    assert decisions.current(collection, pass_=1)[5].action == "unsure"


def test_nobody_decides_in_the_future(collection, page):
    crop = crops(collection)[5]
    made = event(5, crop, "reject", time="2999-01-01T00:00:00.000Z")
    before = now()
    assert send(page, made, made)["acknowledged"] == [made["event"]] * 2
    assert before <= collection.value("SELECT time FROM decision") <= now()
    send(page, event(5, crop, "unsure"))
    assert decisions.current(collection, pass_=1)[5].action == "unsure"


@pytest.mark.parametrize("status", ["face", "refused"])
def test_a_face_whose_picture_was_looked_at_anew_is_no_longer_decided_about(collection, page, status):
    stored, other = event(3, crops(collection)[3]), event(2, crops(collection)[2])
    send(page, stored)
    newer = look_again(collection, 1, status)
    gone = event(1, crops(collection)[1])
    answer = send(page, gone, other, stored)
    assert answer["acknowledged"] == [other["event"], stored["event"]]
    (refusal,) = answer["refused"]
    assert refusal["event"] == gone["event"]
    assert "this face was replaced" in refusal["reason"]
    assert "Reload the page" in refusal["reason"]
    waiting = [face for face, _, _ in page.get("/api/state").json()["faces"]]
    assert 1 not in waiting
    assert (newer in waiting) == (status == "face")


def test_undo_reaches_neither_another_annotator_nor_another_face(collection, page):
    made = event(5, crops(collection)[5])
    send(page, made)
    bob = opened(collection, annotator="bob")
    for client, face in ((bob, 5), (page, 6)):
        assert send(client, event(face, crops(collection)[face], "undo", undoes=made["event"]))["refused"]
    assert list(decisions.current(collection, pass_=1)) == [5]


def test_events_of_another_session_are_not_taken(collection, page):
    session = page.get("/api/state").json()["session"]
    for other in ({"annotator": "bob"}, {"pass": 2}, {"collection": "0" * 64}):
        body = {"session": session | other, "events": [event(1, crops(collection)[1])]}
        answer = page.post("/api/decisions", json=body)
        assert answer.status_code == 409
        assert "pass 1 as anna" in answer.json()["error"]
    assert collection.value("SELECT count(*) FROM decision") == 0


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"{", "application/json", 400),
        (b"[" * 100_000, "application/json", 400),
        (b"[]", "application/json", 400),
        (b"\xff", "application/json", 400),
        (b" " * (MOST_BYTES + 1), "application/json", 413),
        (b"{}", "text/plain", 415),
    ],
)
def test_bodies_that_are_none(page, body, kind, status):
    for path in ("/api/decisions", "/api/finish"):
        answer = page.post(path, content=body, headers={"Content-Type": kind})
        assert answer.status_code == status
        assert answer.json()["error"]


def test_too_many_events_at_once(page):
    session = page.get("/api/state").json()["session"]
    assert page.post("/api/decisions", json={"session": session, "events": [{}] * 501}).status_code == 400
    assert page.post("/api/decisions", json={"session": session, "events": "many"}).status_code == 400


def test_while_a_step_writes_the_page_is_told_to_come_again(collection, page):
    collection.database.execute("PRAGMA busy_timeout = 50")
    made = event(1, crops(collection)[1])
    session = page.get("/api/state").json()["session"]
    with Collection(collection.root) as step, step.writing():
        answer = page.post("/api/decisions", json={"session": session, "events": [made]})
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "1"
        assert "locked" in answer.json()["error"]
    assert send(page, made)["acknowledged"] == [made["event"]]


def test_a_transaction_that_cannot_be_written_leaves_room_for_the_next(collection, page):
    def write() -> None:
        with collection.writing():
            collection.database.execute("PRAGMA defer_foreign_keys = ON")  # found at the end, as a full disk is
            collection.add("deduped", {"face": 999, "status": "unique"})

    with pytest.raises(sqlite3.IntegrityError):
        write()
    made = event(1, crops(collection)[1])
    assert send(page, made)["acknowledged"] == [made["event"]]


# what is shown


def test_the_state_is_all_that_a_page_needs(collection, page):
    send(page, event(2, crops(collection)[2], label="boredom"), event(3, crops(collection)[3], "minor"))
    state = page.get("/api/state").json()
    assert [face for face, _, _ in state["faces"]] == list(range(1, FACES + 1))
    assert state["faces"][0] == [1, crops(collection)[1], "frustration"]
    assert [one["name"] for one in state["classes"]] == list(CLASSES)
    assert all(one["color"].startswith("#") for one in state["classes"])
    assert [(one[2], one[3], one[4]) for one in state["events"]] == [(2, "accept", "boredom"), (3, "minor", None)]
    assert state["definitions"] == DEFINITIONS
    assert opened(collection, emotion="boredom").get("/api/state").json()["definitions"].keys() == {"boredom"}


def test_only_kept_faces_of_the_emotion_wait(collection):
    everything = decisions.worklist(collection, emotion=None)
    assert [one.emotion for one in everything[:3]] == ["frustration", "boredom", "frustration"]
    with collection.writing():
        collection.add("deduped", {"face": 1, "status": "copy", "reason": "same image", "kept_face": 3})
        newer = dict(collection.rows("SELECT * FROM face WHERE id = 5")[0]) | {"rules": "newer", "status": "refused"}
        collection.add("face", {name: value for name, value in newer.items() if name not in ("id", "time")})
    waiting = [one.face for one in decisions.worklist(collection, emotion="frustration")]
    assert waiting == [face for face in range(1, FACES + 1, 2) if face not in (1, 5)]


def test_a_picture_that_two_queries_found_waits_once_under_the_first(collection):
    with collection.writing():
        page = collection.value("SELECT max(id) FROM page")
        collection.add("finding", {"page": page, "candidate": 1, "rank": 9})
    assert [one for one in decisions.worklist(collection, emotion=None) if one.face == 1] == [
        decisions.Waiting(1, crops(collection)[1], "frustration")
    ]


def test_the_crop_is_the_stored_pixels(collection, page):
    answer = page.get(f"/img/crop/7-{crops(collection)[7]}.png")
    assert answer.headers["content-type"] == "image/png"
    pixels = np.asarray(Image.open(io.BytesIO(answer.content)))
    assert pixels.tobytes() == collection.value("SELECT crop FROM face WHERE id = 7")


def test_the_picture_is_the_stored_file(collection, page):
    name = file_of(collection, 7)
    answer = page.get(f"/img/source/7-{name}")
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.content == collection.file(name).read_bytes()
    collection.file(name).unlink()
    assert page.get(f"/img/source/7-{name}").status_code == 404


@pytest.mark.parametrize(
    "path",
    [
        "/img/crop/7-wrong.png",
        "/img/crop/999-{crop}.png",
        "/img/crop/8-{crop}.png",
        f"/img/crop/{10**30}-x.png",
        "/img/source/7-wrong.jpg",
        "/img/source/8-{file}",
        "/img/source/7-..%2f..%2fcollection.sqlite3",
        "/img/source/7-%2e%2e/collection.sqlite3",
        f"/img/source/{10**30}-x.jpg",
    ],
)
def test_no_path_comes_from_an_address(collection, page, path):
    name = file_of(collection, 7)
    assert page.get(path.format(crop=crops(collection)[7], file=name)).status_code == 404


def test_details_stand_beside_a_face(page):
    found = page.get("/api/faces?ids=9,10,4").json()
    nine = found["9"]
    assert nine["sources"][0] | {"title": "", "creator_url": ""} == {
        "provider": "openverse",
        "creator": "Ada Example",
        "creator_url": "",
        "licence": "by-nc",
        "licence_version": "2.0",
        "licence_url": "https://creativecommons.org/licenses/by-nc/2.0/",
        "restrictions": None,
        "title": "",
        "landing_url": "https://pictures.example.org/8",
    }
    assert nine["queries"] == [{"emotion": "frustration", "query": "frustrated person", "language": "en"}]
    assert nine["ambiguous"]
    assert (nine["width"], nine["height"], len(nine["crop_box"])) == (160, 120, 4)
    assert [alike["other"] for alike in nine["alike"]] == [10]
    assert [(alike["other"], alike["distance"]) for alike in found["10"]["alike"]] == [(9, 4)]
    assert found["4"]["fer2013"][0]["usage"] == "PublicTest"


@pytest.mark.parametrize("ids", ["", "1,", "x", "1;2", "-1", ",".join("1" * 102)])
def test_details_of_what_is_no_list_of_faces(page, ids):
    assert page.get("/api/faces", params={"ids": ids}).status_code == 400


def test_a_licence_that_changed_is_shown_as_it_is_now(collection, page):
    with collection.writing():
        row = {"candidate": 9, "licence": "by", "licence_version": "4.0", "creator": "Ada Example"}
        collection.add("licence", row)
    source = page.get("/api/faces?ids=9").json()["9"]["sources"][0]
    assert (source["licence"], source["licence_version"]) == ("by", "4.0")


def test_details_of_faces_that_do_not_exist(page):
    assert page.get("/api/faces?ids=999,999999999999999").json() == {}


def test_only_web_addresses_become_links(collection, page):
    bad = {"landing_url": "javascript:alert(1)", "creator_url": "data:text/html,x", "licence_url": "http://[broken"}
    with collection.writing():
        row = {"provider": "local", "provider_id": "9", "image_url": "file:///etc/passwd", "title": "<b>bold</b>"} | bad
        candidate = collection.add("candidate", row)
        licence = {name: bad[name] for name in ("creator_url", "licence_url")}
        collection.add("licence", {"candidate": candidate, **licence})
        image = collection.value("SELECT image FROM face WHERE id = 1")
        collection.add("fetch", {"candidate": candidate, "status": "stored", "stage": "decode", "image": image})
    sources = page.get("/api/faces?ids=1").json()["1"]["sources"]
    assert len(sources) == 2
    assert [sources[1][name] for name in bad] == [None] * 3
    assert sources[1]["title"] == "<b>bold</b>"
    assert "/etc/passwd" not in page.get("/api/faces?ids=1").text


# the second pass


@pytest.mark.parametrize("emotion", [None, "frustration"])
def test_the_second_pass_is_blind(collection, page, emotion):
    send(page, *(event(face, crop, label="sad") for face, crop in crops(collection).items()))
    second = opened(collection, pass_=2, emotion=emotion, annotator="bob")
    shown = second.get("/api/state").text + second.get("/api/faces?ids=1,2,3").text
    state = json.loads(second.get("/api/state").text)
    assert state["blind"]
    assert (state["emotion"], state["events"]) == (None, [])
    assert {searched for _, _, searched in state["faces"]} == {None}
    assert {face % 2 for face, _, _ in state["faces"]} == {0, 1}  # of both searches
    assert list(state["definitions"]) == list(DEFINITIONS)
    for telling in ("frustrated", "anna", "example.org", "persona"):
        assert telling not in shown.replace(json.dumps(DEFINITIONS)[1:-1], "")


def test_one_definition_alone_would_tell_what_was_searched_for(collection, page):
    send(page, *(event(face, crop) for face, crop in crops(collection).items()))
    only = {"frustration": DEFINITIONS["frustration"]}
    for pass_, shown in ((1, only), (2, {})):
        annotator = {1: "anna", 2: "bob"}[pass_]
        client = opened(collection, pass_=pass_, annotator=annotator, emotion="frustration", definitions=only)
        assert client.get("/api/state").json()["definitions"] == shown


def test_the_second_pass_takes_somebody_else(collection, page):
    crop = crops(collection)[1]
    made = event(1, crop)
    send(page, made)
    with pytest.raises(UserError, match=r"annotator=anna: has decided in the first pass.*review\.annotator=second"):
        site(collection, pass_=2, emotion=None)
    send(page, event(1, crop, "undo", undoes=made["event"]))
    assert site(collection, pass_=2, emotion=None)


def test_how_many_are_undecided_is_known_before_the_page_opens(collection, page, tmp_path):
    options = {"emotion": "frustration", "annotator": "anna", "pass_": 1, "classes": CLASSES}
    again = options | {"emotion": None, "annotator": "bob", "pass_": 2}
    with Collection(tmp_path / "empty") as empty:
        assert undecided(empty, **options) == undecided(empty, **again) == 0
    assert undecided(collection, **again) == 0
    send(page, *(event(face, crops(collection)[face]) for face in (1, 2, 3)))
    assert undecided(collection, **options) == FACES // 2 - 2
    assert undecided(collection, **again) == 3
    with pytest.raises(UserError, match=r"review\.share=2"):
        undecided(collection, **again, share=2)


def test_the_second_pass_keeps_its_own_decisions_alone(collection, page):
    send(page, *(event(face, crop) for face, crop in crops(collection).items()))
    bob = opened(collection, pass_=2, annotator="bob")
    send(bob, event(1, crops(collection)[1], label="sad", **{"pass": 2}))
    assert [one[4] for one in bob.get("/api/state").json()["events"]] == ["sad"]
    assert opened(collection, pass_=2, annotator="carl").get("/api/state").json()["events"] == []


def test_the_second_pass_looks_at_a_stable_random_share():
    waiting = [decisions.Waiting(face, f"{face:064x}", "frustration") for face in range(1, 1001)]
    decided = set(range(1, 901))

    def sample(share=0.2, seed=0, decided=decided, begun=()):
        return [one.face for one in decisions.second_look(waiting, decided, begun, share=share, seed=seed)]

    once = sample()
    assert len(once) == 180
    assert once == sample()
    assert once != sorted(once)
    assert set(once) <= decided
    assert set(once) != set(sample(seed=1))
    assert len(sample(share=0.01)) == 50
    assert sorted(sample(decided={3, 5, 8})) == [3, 5, 8]
    assert len(sample(share=1.0)) == 900
    more = sample(decided=set(range(1, 1001)), begun=set(once))
    assert set(once) <= set(more)


def test_the_end_tells_counts_and_agreement(collection, page):
    ended = []
    looks = {face: "reject" if face % 2 else "accept" for face in crops(collection)}
    send(page, *(event(face, crop, looks[face]) for face, crop in crops(collection).items()))
    second = opened(collection, pass_=2, annotator="bob", share=1.0, finish=lambda: ended.append(1))
    again = [(face, crop) for face, crop in crops(collection).items() if face > 20]
    send(second, *(event(face, crop, looks[face], **{"pass": 2}) for face, crop in again))
    answer = second.post("/api/finish", json={"session": second.get("/api/state").json()["session"]}).json()
    assert answer["counts"] == {"frustration": 20, "reject": 20, "undecided": 20}
    assert answer["agreement"].startswith("40 faces were decided twice, 100 % of them the same way. Cohen's kappa 1.00")
    assert ended == [1]


# options, start and end


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"annotator": ""}, "review.annotator=''"),
        ({"annotator": "a" * 41}, "review.annotator"),
        ({"annotator": "a:b"}, "review.annotator"),
        ({"emotion": "hungry"}, "emotion=hungry: not a class of this review. Allowed: angry, frustration"),
        ({"emotion": "hungry"}, "conf/taxonomy, and export.taxonomy=NAME to the command"),
        ({"share": 0.0}, "review.share=0.0"),
        ({"port": 70_000}, "review.port=70000"),
        ({"emotion": "sad"}, "no face of sad is left to review"),
        ({"pass_": 2}, "no face is decided in a first pass"),
    ],
    ids=str,
)
def test_options_that_cannot_be(collection, options, words):
    given = {"emotion": "frustration", "annotator": "anna", "pass_": 1, "port": 0, "classes": CLASSES} | options
    with pytest.raises(UserError) as error:
        serve(collection, **given)
    assert words in str(error.value)


def test_a_port_that_is_taken(collection):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(UserError, match=f"review.port={port}: Address already in use.* name another port"):
            serve(collection, emotion=None, annotator="anna", pass_=1, port=port, classes=CLASSES)


def test_two_reviews_of_one_collection_are_refused(collection):
    with collection.locked("review"), Collection(collection.root) as other, pytest.raises(UserError, match="review"):
        serve(other, emotion=None, annotator="anna", pass_=1, port=0, classes=CLASSES)


def test_secrets_are_kept_and_their_owner_s_alone(tmp_path):
    path = tmp_path / "review.token"
    first = kept_secret(path)
    assert re.fullmatch(r"[0-9a-f]{32}", first)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert kept_secret(path) == first
    path.write_text("half")
    assert kept_secret(path) not in (first, "half")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.fixture
def server(collection, tmp_path):
    made = Server(collection.root, tmp_path / "log")
    yield made
    made.kill()


def visit(address: str, body: dict | None = None, **headers: str) -> dict:
    """An answer's JSON; urllib follows no proxy here."""
    request = urllib.request.Request(address, json.dumps(body).encode() if body else None, headers)
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as answer:
        return json.load(answer)


def credentials(address: str) -> tuple[str, dict[str, str]]:
    """The origin of a printed address and the headers that its page sends."""
    origin, _, token = address.partition("/?token=")
    port = origin.rpartition(":")[2]
    return origin, {"Cookie": f"fer_review_{port}={token}", "Origin": origin, "Content-Type": "application/json"}


@pytest.mark.slow
def test_a_killed_server_comes_back_with_the_same_address_and_finish_ends_it(server, collection):
    address = server.start()
    origin, headers = credentials(address)
    session = visit(f"{origin}/api/state", **headers)["session"]
    made = event(1, crops(collection)[1])
    assert visit(f"{origin}/api/decisions", {"session": session, "events": [made]}, **headers)["acknowledged"]
    server.kill()
    assert server.start() == address
    assert len(visit(f"{origin}/api/state", **headers)["events"]) == 1
    assert visit(f"{origin}/api/finish", {"session": session}, **headers)["counts"] == {
        "frustration": 1,
        "undecided": 29,
    }
    assert server.process.wait(timeout=30) == 0
    assert "Reviewed: 1 frustration, 29 undecided." in server.log.read_text()
    assert "GET" not in server.log.read_text()
    assert not (collection.root / "review.token").exists()
    assert server.start() != address


def test_the_terminal_of_a_second_pass_does_not_tell_what_was_searched_for(server, collection):
    made = [event(face, crop) for face, crop in crops(collection).items()]
    decisions.record(collection, made, pass_=1, annotator="anna", classes=CLASSES)
    server.start(pass_=2, annotator="bob", emotion="frustration")
    words = server.log.read_text()
    assert "Review, blind second pass, as bob: 50 faces, 50 undecided." in words
    assert "frustration" not in words.replace(str(collection.root), "")


def test_the_terminal_tells_how_it_ends_in_80_columns(server):
    server.start(annotator="a" * 40)
    words = server.log.read_text()
    assert max(map(len, words.splitlines())) <= 80
    assert "Click Finish on the page to end the review" in words


def test_the_summary_has_the_page_s_words(collection, page):
    looks = dict(zip(crops(collection).items(), ["reject", "minor", "minor", "illustration"], strict=False))
    send(page, *(event(face, crop, look) for (face, crop), look in looks.items()))
    review = Review(collection, None, "anna", 1, CLASSES)
    assert describe_review(review) == "Reviewed: 1 rejected, 2 may be under 18, 1 drawn or AI, 56 undecided."


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_end_the_server_and_keep_the_session(server, number):
    address = server.start()
    origin, headers = credentials(address)
    assert visit(f"{origin}/api/state", **headers)["faces"]
    server.process.send_signal(number)
    assert server.process.wait(timeout=30) == -number
    assert server.start() == address


def test_the_server_listens_to_this_machine_alone(server):
    server.start()
    inodes = {path.readlink().name for path in Path(f"/proc/{server.process.pid}/fd").iterdir() if path.is_symlink()}
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    mine = [row[1] for row in rows if f"socket:[{row[9]}]" in inodes and row[3] == "0A"]
    assert mine == [f"0100007F:{server.port:04X}"]


def test_idle_connections_and_half_requests_do_not_block_the_page(server):
    address = server.start()
    origin, headers = credentials(address)
    held = [socket.create_connection(("127.0.0.1", server.port), timeout=10) for _ in range(150)]
    for connection in held[::2]:
        connection.sendall(b"POST /api/decisions HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
    for _ in range(3):
        assert visit(f"{origin}/api/state", **headers)["faces"]
    for connection in held:
        connection.close()
