"""The live server as a process: who gets access, what players receive, and what happens to attackers.

During every attack a well-behaved player continues. Each frame is an image of one grey level and counts as a face crop.
"""

import json
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
from conftest import ROOT
from face_models import drawn_metadata, drawn_model
from live_clients import HELLO, Plain, closed_by_server, handshake, health, part, visit
from live_frames import busy_jpeg, claims, jpeg, level_of, many_scans
from live_server import LiveServer
from starlette.testclient import TestClient
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from fer_lightning.difficulty.fixed import Fixed
from fer_lightning.errors import UserError
from fer_lightning.faces.face_model import FaceModel
from fer_lightning.faces.settings import FaceRules
from fer_lightning.labels import TAXONOMIES
from fer_lightning.live.__main__ import run
from fer_lightning.live.engine import Engine
from fer_lightning.live.hub import Hub
from fer_lightning.live.limits import Caps
from fer_lightning.live.server import application, introduction

CLASSES = TAXONOMIES["fer2013"].classes
TIGHT = (
    "faces.kind=whole",
    "caps.connections=6",
    "caps.connections_per_second=1000",
    "caps.hello_seconds=1",
    "caps.send_seconds=4",  # the machine may stop a test for a second or two
    "caps.mistakes=5",
)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with LiveServer(drawn_model(tmp_path_factory.mktemp("model") / "face.onnx"), words=TIGHT) as running:
        yield running


@pytest.fixture
def neighbour(server):
    """A well-behaved player, whose frames and texts are answered before and after the test."""
    with Plain(server, camera=True) as player:
        player.sent = 0
        seen(player)
        yield player
        player.say({"type": "text", "text": "ugh, this is too hard"})
        player.wait("state", lambda message: message["channels"]["text"] > 0.5)
        seen(player)


def seen(player: Plain) -> None:
    player.sent += 1
    player.say(jpeg(level_of("happy", CLASSES)))
    faces = player.wait("faces", lambda message: message["frame"] == player.sent)["faces"]
    assert max(faces[0]["probabilities"], key=faces[0]["probabilities"].get) == "happy"


# access


@pytest.mark.parametrize(("page", "first"), [("live", "/live"), ("game", "/game")])
def test_the_printed_address_becomes_a_cookie_and_leaves_the_address_bar(server, page, first):
    status, _, headers = visit(server, f"/{page}?token={server.token}")
    assert (status, headers["location"]) == (303, first)
    cookie = headers["set-cookie"]
    assert cookie.startswith(f"fer_live_{server.port}={server.token};")
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert visit(server, "/live", Cookie=cookie.partition(";")[0])[0] == 200


@pytest.mark.parametrize("path", ["/live", "/game", "/live?token=", "/live?token=" + "8" * 32, "/live?token=%C3%A9"])
def test_without_the_token_the_page_says_where_it_is(server, path):
    status, body, _ = visit(server, path)
    assert status == 401
    assert "The terminal" in body


def test_a_slash_behind_a_page_s_name_leads_to_it(server):
    status, _, headers = visit(server, "/live/")
    assert (status, headers["location"]) == (307, f"{server.origin}/live")


def test_the_chosen_page_is_the_first(server):
    status, _, headers = visit(server, f"/?token={server.token}")
    assert (status, headers["location"]) == (303, "/live")
    assert visit(server, "/")[2]["location"] == "/live"


def test_what_every_answer_forbids(server):
    for path in ("/live", "/shared/connection.js", "/health", "/nothing"):
        headers = visit(server, path)[2]
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy.replace("'wasm-unsafe-eval'", "")  # WebAssembly only
        assert f"ws://127.0.0.1:{server.port}" in policy
        assert headers["permissions-policy"] == "camera=(self), microphone=()"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"


@pytest.mark.parametrize("name", ["locked.html", "..%2fguard.py", "../guard.py", "%2e%2e/server.py", "nothing.js"])
def test_only_the_pages_own_files(server, name):
    assert visit(server, "/shared/connection.js")[0] == 200
    assert visit(server, f"/shared/{name}")[0] in (401, 404)


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer " + "8" * 32}, {"Authorization": "Basic x"}])
def test_health_takes_the_token(server, headers):
    assert visit(server, "/health", **headers)[0] == 401
    assert visit(server, f"/health?token={server.token}")[0] == 401, "a token in the address is only for a WebSocket"
    assert health(server)["status"] == "ok"


@pytest.mark.parametrize(
    ("headers", "token", "status"),
    [
        ({}, "", 401),
        ({}, "8" * 32, 401),
        ({"Cookie": "fer_live_{port}={token}", "Origin": "https://evil.example"}, "", 403),
        ({"Cookie": "fer_live_{port}={token}", "Origin": "null"}, "", 403),
        ({"Cookie": "fer_live_{port}={token}", "Origin": "http://localhost:{port}"}, "", 403),
        ({"Cookie": "fer_live_{port}={token}", "Origin": "http://127.0.0.1:1"}, "", 403),
        ({"Origin": "http://127.0.0.1:{port}", "Sec-Fetch-Site": "cross-site"}, "{token}", 403),
    ],
    ids=str,
)
def test_a_stranger_s_page_or_program_opens_no_socket(server, headers, token, status):
    known = {"port": server.port, "token": server.token}
    headers = {name: value.format(**known) for name, value in headers.items()}
    with pytest.raises(InvalidStatus) as refused:
        connect(
            f"ws://127.0.0.1:{server.port}/ws?token={token.format(**known)}", additional_headers=headers, proxy=None
        )
    assert refused.value.response.status_code == status


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "127.0.0.1.evil.example:{port}", "[::1]:{port}"])
def test_a_name_that_is_pointed_at_this_machine_reaches_nothing(server, host):
    status, body, _ = visit(server, "/live", Host=host.format(port=server.port))
    assert status == 400
    assert f"is not allowed. Open this page at 127.0.0.1:{server.port}" in body


@pytest.mark.parametrize(
    "headers",
    [
        {"Cookie": "fer_live_{port}={token}", "Origin": "http://127.0.0.1:{port}"},
        {"Authorization": "Bearer {token}"},
    ],
    ids=["our page", "a program"],
)
def test_our_page_and_programs_with_the_token_are_let_in(server, headers):
    known = {"port": server.port, "token": server.token}
    headers = {name: value.format(**known) for name, value in headers.items()}
    with connect(f"ws://127.0.0.1:{server.port}/ws", additional_headers=headers, proxy=None) as socket_:
        socket_.send(json.dumps(HELLO))
        assert json.loads(socket_.recv(timeout=10))["type"] == "welcome"


# messages for players


def test_welcome_says_what_the_model_is_and_what_is_allowed(server, neighbour):
    welcome = neighbour.heard[0]
    assert welcome["type"] == "welcome"
    assert welcome["model"]["accuracy"] == 0.7
    assert [one["name"] for one in welcome["model"]["classes"]] == list(CLASSES)
    assert (welcome["camera"], welcome["policy"], welcome["level"], welcome["levels"]) == ("client", "affect", 3, 10)
    assert welcome["limits"]["frame_side"] == 1280


def test_two_players_at_once_are_told_of_themselves_alone(server, neighbour):
    with Plain(server, camera=True) as other:
        other.say({"type": "override", "change": 1})
        assert other.wait("difficulty")["level"] == 4
        other.say(jpeg(level_of("angry", CLASSES)))
        neighbour.sent += 1
        neighbour.say(jpeg(level_of("neutral", CLASSES)))
        mine = neighbour.wait("faces", lambda message: message["frame"] == neighbour.sent)["faces"][0]
        theirs = other.wait("faces")["faces"][0]
    assert (mine["probabilities"]["neutral"] > 0.9, theirs["probabilities"]["angry"] > 0.9) == (True, True)
    assert [message["level"] for message in neighbour.heard if message["type"] == "difficulty"] == [3]


def test_a_level_beyond_the_scale_is_brought_into_it(server):
    with Plain(server, hello=False) as player:
        player.say(HELLO | {"level": 100, "adapt": False})
        welcome = player.wait("welcome")
        assert (welcome["level"], welcome["adapt"]) == (10, False)


def test_without_consent_no_frame_is_looked_at_and_after_its_end_neither(server, neighbour):
    with Plain(server) as player:
        frames = health(server)["frames"]
        player.say(jpeg())
        assert player.wait("notice")["code"] == "no_consent"
        player.say({"type": "consent", "camera": True})
        player.say(jpeg(level_of("angry", CLASSES)))
        assert player.wait("faces")["frame"] == 2
        player.say({"type": "consent", "camera": False})
        player.say(jpeg())
        assert player.wait("notice")["code"] == "no_consent"
        assert player.wait("state")["channels"]["face"] == 0.0
        assert health(server)["frames"] == frames + 1


def test_a_frame_that_comes_too_fast_is_dropped_and_said(server, neighbour):
    with Plain(server, camera=True) as player:
        for _ in range(60):
            player.say(jpeg())
        assert "15 frames per second" in player.wait("notice", lambda notice: notice["code"] == "too_fast")["message"]
        time.sleep(0.5)  # now a frame is allowed again; its faces count those dropped before it
        player.say(jpeg())
        player.wait("faces", lambda faces: faces["dropped"] >= 20)


# looks: frames that the client processed itself

LOOK = {"type": "look", "width": 640, "height": 480, "detect": 9.0, "recognise": 3.0}
HAPPY = [0.02, 0.01, 0.03, 0.9, 0.01, 0.02, 0.01]  # in the order of the classes


def face_at(x: float, height: float = 0.4, probabilities: list[float] = HAPPY) -> dict:
    return {"box": [x, 0.2, 0.2, height], "score": 0.9, "probabilities": probabilities}


def test_a_client_of_version_2_sends_looks_instead_of_frames(server, neighbour):
    with Plain(server, hello=False) as player:
        player.say(HELLO | {"protocol": 2})
        welcome = player.wait("welcome")
        assert (welcome["protocol"], welcome["inference"]) == (2, "server")
        assert welcome["detection"] == {"min_score": 0.7, "long_side": 320, "whole_every": 10, "most": 8}
        assert welcome["min_confidence"] == 0
        player.say(LOOK | {"faces": []})
        assert player.wait("notice")["code"] == "no_consent"
        player.say({"type": "consent", "camera": True})
        player.say(LOOK | {"faces": [face_at(0.6, 0.2), face_at(0.1), face_at(0.9, 0.05)]})
        seen = player.wait("faces")
        assert seen["frame"] == 2  # the refused look was the first
        assert [face["box"][0] for face in seen["faces"]] == [0.1, 0.6, 0.9]  # the largest first
        assert [face["doubt"] for face in seen["faces"]] == [None, None, "too small"]
        assert seen["faces"][0]["probabilities"]["happy"] == 0.9
        assert seen["milliseconds"]["total"] >= 12
        assert player.wait("state", lambda state: state["channels"]["face"] > 0)
        player.say({"type": "consent", "camera": False})
        assert player.wait("state", lambda state: state["channels"]["face"] == 0)
    assert health(server)["looks"] == 1


def test_a_client_of_version_1_hears_nothing_of_version_2(server):
    with Plain(server, camera=True) as player:
        assert player.heard[0]["protocol"] == 1
        assert not {"inference", "detection", "min_confidence"} & set(player.heard[0])
        player.say(LOOK | {"faces": []})
        assert "Send hello with protocol 2" in player.wait("notice")["message"]


@pytest.mark.parametrize(
    ("look", "words"),
    [
        ({"faces": [face_at(0.1, probabilities=[0.5, 0.5])]}, "2 probabilities; the model has 7 classes"),
        ({"faces": [face_at(0.1, probabilities=[0.5] * 7)]}, "sum 1"),
        ({"faces": [face_at(0.1) | {"name": "x"}]}, "Allowed keys: box, score, probabilities"),
        ({"faces": [face_at(17.0)]}, "less than or equal to 16"),
        ({"faces": [face_at(0.1, height=0.0)]}, "greater than 0"),
        ({"faces": [], "width": 10**6}, "less than or equal to"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_look_that_cannot_be_is_refused_in_words(server, look, words):
    with Plain(server, hello=False) as player:
        player.say(HELLO | {"protocol": 2})
        player.say({"type": "consent", "camera": True})
        player.say(LOOK | look)
        assert words in player.wait("notice")["message"]
        player.say(LOOK | {"faces": []})
        assert player.wait("faces")["frame"] == 2  # as the client counts, which sent two


def test_looks_that_come_too_fast_are_dropped_and_counted(server, neighbour):
    with Plain(server, hello=False) as player:
        player.say(HELLO | {"protocol": 2})
        player.say({"type": "consent", "camera": True})
        for _ in range(60):
            player.say(LOOK | {"faces": [face_at(0.1)]})
        assert "15 frames per second" in player.wait("notice", lambda notice: notice["code"] == "too_fast")["message"]
        player.wait("state")
        time.sleep(0.3)
        player.say(LOOK | {"faces": [face_at(0.1)]})
        assert player.wait("faces", lambda faces: faces["dropped"] > 0)


def test_the_networks_need_the_token_and_the_runtime_comes_compressed(tmp_path):
    hub = Hub(None, Caps(), "none", Fixed(), "fixed", networks={"model.onnx": b"network"})
    client = TestClient(application(hub, token="t", port=8767), base_url="http://127.0.0.1:8767")
    assert client.get("/files/model.onnx").status_code == 401
    allowed = {"Authorization": "Bearer t"}
    answer = client.get("/files/model.onnx", headers=allowed)
    assert answer.content == b"network"
    again = client.get("/files/model.onnx", headers=allowed | {"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    runtime = client.get("/runtime/ort-wasm-simd-threaded.wasm")
    assert (runtime.headers["content-type"], runtime.headers["content-encoding"]) == ("application/wasm", "gzip")
    assert runtime.content.startswith(b"\0asm")
    policy = runtime.headers["content-security-policy"]
    assert "script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'" in policy
    assert "unsafe-inline" not in policy
    assert " 'unsafe-eval'" not in policy


# attacks and mistakes


@pytest.mark.parametrize(
    "data",
    [
        "{",
        "",
        "null",
        "[" * 4000,
        '{"type": "hello"' + " " * 3000,
        '{"type": "hello", "protocol": 1, "client": "x", "level": 1e999}',
        '{"type": "hello", "protocol": 1, "client": "x", "more": 1}',
        '{"type": "hello", "protocol": 1, "client": ""}',
        '{"type": "hello", "protocol": 1, "client": "x", "level": "3"}',
        '{"type": "text", "text": "too early"}',
        '{"type": "consent", "camera": true}',
        '{"type": "../../etc/passwd"}',
        '{"type": "text", "text": "\\ud800"}',
        b"a frame before hello",
    ],
    ids=lambda data: repr(data[:40]),
)
def test_what_is_not_understood_is_refused_in_words_and_the_connection_lives(server, neighbour, data):
    with Plain(server, hello=False) as player:
        player.say(data)
        assert player.wait("notice")["level"] == "warning"
        player.say(HELLO)
        player.wait("welcome")


@pytest.mark.parametrize(
    "message",
    [
        {"type": "text", "text": "x" * 501},
        {"type": "text", "text": "x" * 5000},
        {"type": "text", "text": None},
        {"type": "outcome", "correct": True, "seconds": -1, "level": 3},
        {"type": "outcome", "correct": True, "seconds": 1, "level": 10**30},
        {"type": "override", "change": 2},
        {"type": "adapt", "on": "yes"},
        HELLO,
    ],
    ids=lambda message: str(message)[:60],
)
def test_values_that_cannot_be_are_refused(server, message):
    with Plain(server) as player:
        player.say(message)
        notice = player.wait("notice")
        assert "xxx" not in notice["message"], "what was sent is not sent back"
        player.say({"type": "override", "change": -1})
        assert player.wait("difficulty")["level"] == 2


@pytest.mark.parametrize(
    ("message", "named", "unsaid"),
    [
        ({"type": "outcome", "sorrect": True}, ["sorrect", "correct, seconds, level"], "nobody"),
        ({"type": "wether"}, ["wether", "hello, consent, look, text, outcome, override, adapt"], "nobody"),
        ({"type": "text", "text": "x", "I am so sad": 1}, ["type text. Allowed keys: type, text."], "sad"),
        ({"type": "text", "text": "x", "a" * 41: 1}, ["Allowed keys: type, text."], "aaa"),
        ({"type": "I am so sad"}, ["hello, consent"], "sad"),
    ],
    ids=str,
)
def test_what_is_not_known_is_named_with_what_is_unless_it_may_be_the_player_s_words(server, message, named, unsaid):
    with Plain(server) as player:
        player.say(message)
        words = player.wait("notice")["message"]
    assert all(one in words for one in named)
    assert unsaid not in words


def test_another_version_is_told_and_left(server):
    with Plain(server, hello=False) as player:
        player.say(HELLO | {"protocol": 3})
        code, notices = player.ended()
    assert (code, notices[-1]["code"], notices[-1]["level"]) == (1008, "protocol", "error")


@pytest.mark.parametrize("data", ["{", b"no JPEG", jpeg(size=(1300, 100))], ids=["text", "rubbish", "large"])
def test_too_many_mistakes_end_the_connection(server, neighbour, data):
    with Plain(server, camera=True) as player:
        for _ in range(6):
            player.say(data)
            player.wait("notice")
        code, notices = player.ended()
    assert (code, notices[-1]["code"]) == (1008, "too_many_mistakes")


@pytest.mark.parametrize(
    "frame",
    [busy_jpeg()[:3000], claims(65_000, 65_000), many_scans(2000), jpeg() + bytes(600_000)],
    ids=["half", "bomb", "scans", "many bytes"],
)
def test_a_frame_that_may_not_be_is_refused_and_the_connection_lives(server, neighbour, frame):
    with Plain(server, camera=True) as player:
        player.say(frame)
        assert player.wait("notice")["code"] == "bad_frame"
        player.say(jpeg())
        assert player.wait("faces")["frame"] == 2


def test_a_message_beyond_all_bounds_ends_its_connection(server, neighbour):
    with Plain(server, camera=True) as player:
        with suppress(ConnectionClosed):
            player.say(bytes(3_000_000))
        assert player.ended()[0] in (1006, 1009)


def test_a_flood_of_messages_ends_its_connection(server, neighbour):
    with Plain(server) as player:
        with suppress(ConnectionClosed):
            for _ in range(2000):
                player.say({"type": "text", "text": "flood"})
        assert player.ended()[0] in (1006, 1008)
    assert len(player.heard) < 1000


@pytest.mark.parametrize(
    "sent",
    [
        part(1, b"", final=False) + part(0, b"", final=False) * 50_000,
        b"\xff" * 64,
        part(1, b"\xff\xfe"),
        part(9, b"ping" * 40),
        part(9, b"") * 5_000,
        part(10, b"") * 5_000,
    ],
    ids=["endless parts", "no frame", "no UTF-8", "a long ping", "pings", "pongs"],
)
def test_what_is_no_message_ends_its_connection(server, neighbour, sent):
    bare = handshake(server)
    with suppress(OSError):
        bare.sendall(sent)
    assert closed_by_server(bare, seconds=5)


def test_silence_and_what_never_ends_end(server, neighbour):
    """Six at the same time, to save time: three WebSockets, and three connections that never become one."""
    silent, half, parts = (handshake(server) for _ in range(3))
    half.sendall(part(2, b"x" * 100)[:50])
    parts.sendall(part(1, b"{", final=False))
    bare = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(3)]
    bare[1].sendall(b"GET /live HTTP/1.1\r\nHost: 127.0.0.1\r\nX-More: ")
    bare[2].sendall(f"GET /live HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n\r\nGET /live HTTP/1.1\r\n".encode())
    assert all(closed_by_server(one) for one in (silent, half, parts, *bare))


def test_rubbish_does_not_stand_for_a_hello(server, neighbour):
    with Plain(server, hello=False) as player:
        with suppress(ConnectionClosed):
            for _ in range(4):
                player.say("{")
                time.sleep(0.45)
        notices = player.ended()[1]
    assert notices[-1]["code"] == "no_hello"
    assert notices[-1]["level"] == "error"


def test_of_connections_that_say_nothing_only_so_many_are_kept(server, neighbour):
    """The limit is 76 for 6 players: two per player, and some more."""
    bare = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(120)]
    assert all(closed_by_server(one, seconds=1) for one in bare[80:])
    for one in bare:
        one.close()
    until(lambda: health_or_none(server))


def health_or_none(server: LiveServer) -> dict | None:
    with suppress(OSError):
        return health(server)


def test_who_never_reads_is_left_within_seconds(server, neighbour):
    bare = handshake(server, receive_buffer=4096)
    bare.sendall(part(1, json.dumps(HELLO).encode()) + part(1, b'{"type": "consent", "camera": true}'))
    with suppress(OSError):
        for _ in range(100):
            bare.sendall(part(2, jpeg()))
            time.sleep(0.2)
        raise AssertionError("still open after 20 s")
    until(lambda: health(server)["players"] == 1)


def test_when_it_is_full_newcomers_are_told_and_later_let_in(server, neighbour):
    others = [Plain(server) for _ in range(5)]
    with pytest.raises(InvalidStatus) as refused:
        Plain(server)
    assert refused.value.response.status_code == 503
    assert b"The server is full" in refused.value.response.body
    for other in others:
        other.socket.close()
    until(lambda: health(server)["players"] == 1)
    Plain(server).socket.close()


def test_who_vanishes_leaves_nothing_behind(server, neighbour):
    for _ in range(5):
        bare = handshake(server)
        bare.sendall(part(1, json.dumps(HELLO).encode()))
        bare.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # a reset, no goodbye
        bare.close()
    until(lambda: health(server)["players"] == 1)


def test_after_all_of_it_nothing_about_a_player_was_written_down(server, neighbour):
    with Plain(server, camera=True) as player:
        player.say({"type": "text", "text": "a-secret-of-the-player"})
        player.say('{"type": "text", "text": 17, "a-secret-of-the-player": 1}')
        player.say(b"a-secret-of-the-player")
        player.wait("notice")
    log = server.log.read_text()
    assert "secret-of" not in log
    assert "Traceback" not in log
    assert len(log.splitlines()) < 12, log
    assert [path.name for path in server.root.rglob("*") if path.is_file()] == ["log", "token"]


def until(true) -> None:
    deadline = time.monotonic() + 15
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


# start and end


@pytest.mark.slow
def test_without_a_model_nobody_is_looked_at_and_the_game_goes_on():
    with LiveServer(page="game", policy="performance") as server:
        assert "No model is set" in server.log.read_text()
        with Plain(server) as player:
            welcome = player.heard[0]
            assert (welcome["model"], welcome["camera"], welcome["policy"]) == (None, "none", "performance")
            player.say({"type": "consent", "camera": True})
            player.say(jpeg())
            assert player.wait("notice")["code"] == "no_frames"
            player.say({"type": "text", "text": "ugh, I give up"})
            assert player.wait("state", lambda message: message["state"] == "frustrated")["channels"]["face"] == 0
            inodes = {path.readlink().name for path in Path(f"/proc/{server.process.pid}/fd").iterdir()}
            rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
            mine = [row[1] for row in rows if f"socket:[{row[9]}]" in inodes and row[3] == "0A"]
            assert mine == [f"0100007F:{server.port:04X}"], "it listens only on this machine"
            assert server.end(signal.SIGTERM) == 0
            assert player.ended()[0] in (1012, 1006)
        assert "Traceback" not in server.log.read_text()
        address = server.address
        assert server.start() == address, "an open page finds it again"
        assert server.end(signal.SIGINT) == 0
        assert server.log.read_text().endswith("Ended.\n")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["model=nothing.onnx"], "model=nothing.onnx: no such file"),
        (["source=0", "model=null"], "source=0: a source needs a model"),
        (["source=nothing.mp4", "model=x"], "source=nothing.mp4: no such video file"),
        (["source=README.md", "model=x"], "source=README.md: OpenCV cannot read this file as a video"),
        (["prot=1"], "prot: no such key. Did you mean port?"),
        (["caps.conections=1"], "Did you mean caps.connections?"),
        (["policy=afect"], "policy=afect: no such option"),
        (["port=99999"], "port=99999: must be from 0 to 65535 (port; 0: a free port). The default is 8767."),
        (["page=life"], "page='life': must be one of live, game"),
        (["threads=0"], "threads=0: must be 1 or more"),
        (
            ["port={taken}"],
            "Address already in use. Stop the program that uses this port, or name another port (port=0 or PORT=0",
        ),
        (["host=0.0.0.0"], "host=0.0.0.0: must be one specific address"),
        (["host=203.0.113.7"], "host=203.0.113.7: "),
        (
            ["caps.connections=0"],
            "caps.connections=0: must be 1 or more (players at the same time). The default is 64.",
        ),
        (["difficulty.levels=0"], "difficulty.levels=0: must be from 1 to 100"),
        (["page=game", "difficulty.levels=11"], "difficulty.levels=11: must be at most 10, the levels of this game"),
        (["difficulty.levels=101"], "difficulty.levels=101: must be from 1 to 100"),
        (["state.face_seconds=0"], "state.face_seconds=0.0: must be greater than 0 (seconds after"),
    ],
    ids=str,
)
def test_commands_that_cannot_be_meant_are_refused_in_words(words, expected, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as other, pytest.raises(UserError) as refused:
        run([f"folder={tmp_path}", "port=0", *(word.format(taken=other.getsockname()[1]) for word in words)])
    assert expected in str(refused.value)


@pytest.mark.slow
def test_a_refused_command_ends_with_status_2(tmp_path):
    command = [sys.executable, "-m", "fer_lightning.live", f"folder={tmp_path}", "port=0", "model=nothing.onnx"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("live: model=nothing.onnx: no such file")


@pytest.mark.slow
def test_nothing_of_it_needs_torch():
    blocked = "import sys; sys.modules.update(dict.fromkeys(('torch', 'torchvision', 'lightning', 'timm')));"
    rooms = "server, __main__, client".replace(", ", ", fer_lightning.live.")
    code = f"{blocked} import fer_lightning.live.{rooms}, fer_lightning.difficulty.affect"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=60)


def test_a_model_that_learnt_from_drawn_faces_says_so(tmp_path):
    for name in ("synthetic", "fer2013"):
        file = drawn_model(tmp_path / f"{name}.onnx", data=drawn_metadata().data | {"name": name})
        hub = Hub(Engine(FaceModel(file), [], FaceRules()), Caps(), "client", Fixed(), "fixed")
        words = introduction(hub, "127.0.0.1", "http://127.0.0.1:1/?token=x", "live")
        assert ("faces drawn by a program" in words) == (name == "synthetic")
        assert "of the browser's camera" in words


def test_another_host_is_warned_about():
    hub = Hub(None, Caps(), "none", Fixed(), "fixed")
    assert "other machines can reach this server" in introduction(hub, "10.0.0.7", "http://10.0.0.7:1/?token=x", "live")
    for own in ("127.0.0.1", "localhost"):
        assert "other machines" not in introduction(hub, own, f"http://{own}:1/?token=x", "live")
