"""The Python client with a real server, and every message of both compared with docs/protocol.json."""

import json
import threading
import time
from contextlib import suppress

import jsonschema
import pytest
from conftest import ROOT
from face_models import drawn_model
from live_clients import Plain
from live_frames import jpeg, level_of
from live_server import LiveServer
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import serve

from fer_lightning.errors import UserError
from fer_lightning.labels import TAXONOMIES
from fer_lightning.live import protocol
from fer_lightning.live.client import GameClient
from scripts import game_client

CLIENT = ("hello", "consent", "look", "text", "outcome", "override", "adapt")
CLASSES = TAXONOMIES["fer2013"].classes


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return drawn_model(tmp_path_factory.mktemp("model") / "face.onnx")


def wait(client: GameClient, kind: type, such=lambda message: True):
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        message = client.receive(timeout=1.0)
        if isinstance(message, kind) and such(message):
            return message
    raise AssertionError(f"no such {kind.__name__}")


@pytest.mark.slow
def test_a_game_goes_on_at_its_level_when_the_server_was_killed(model):
    with (
        LiveServer(model, words=("faces.kind=whole",)) as server,
        GameClient(server.address, name="test 1.0", level=6) as client,
    ):
        assert (client.welcome.level, client.welcome.model.accuracy) == (6, 0.7)
        client.override(1)
        assert wait(client, protocol.Difficulty, lambda message: message.by == "player").level == 7
        client.consent(True)
        assert client.frame(jpeg(level_of("sad", CLASSES))) == 1
        assert wait(client, protocol.Faces).faces[0].probabilities["sad"] > 0.9
        server.kill()
        assert wait(client, protocol.Notice).code == "lost"
        assert not client.text("nobody hears this")
        assert client.frame(jpeg()) == 0
        server.start()
        back = wait(client, protocol.Welcome)
        assert back.level == client.level == 7
        held = wait(client, protocol.Difficulty, lambda message: message.by == "player")
        assert (held.level, held.held) == (7, True), "the player's own choice is restored"
        assert client.frame(jpeg(level_of("happy", CLASSES))) == 1, "and so is the consent"
        assert wait(client, protocol.Faces).faces[0].probabilities["happy"] > 0.9


class Socket:
    """A stand-in of the connection: it answers hello with a welcome, is lost then, and keeps what was sent."""

    def __init__(self, welcome: protocol.Welcome) -> None:
        self.answers, self.sent = [welcome.model_dump_json()], []

    def __enter__(self) -> "Socket":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def send(self, data: str) -> None:
        self.sent.append(json.loads(data))

    def recv(self, timeout: float | None = None) -> str:
        if not self.answers:
            raise ConnectionError
        return self.answers.pop()


@pytest.mark.parametrize(
    ("change", "kept"),
    [({}, True), ({"level": 9}, True), ({"camera": "server"}, False), ({"model": None}, False)],
    ids=str,
)
def test_a_consent_is_repeated_only_for_the_same_camera_and_model(change, kept, monkeypatch):
    words = {"name": "a", "data": "fer2013", "taxonomy": "fer2013", "classes": [], "accuracy": 0.7, "recall": {}}
    limits = {"message_bytes": 1, "frame_bytes": 1, "frame_side": 1, "frames_per_second": 1, "texts_per_second": 1}
    welcome = {"protocol": 2, "model": words, "camera": "client", "policy": "fixed", "level": 3, "levels": 10}
    welcome |= {"adapt": True, "limits": limits}
    first, second = Socket(protocol.Welcome(**welcome)), Socket(protocol.Welcome(**welcome | change))
    sockets = iter([first, second])
    monkeypatch.setattr("fer_lightning.live.client.connect", lambda *_, **__: next(sockets))
    monkeypatch.setattr("fer_lightning.live.client.FIRST_WAIT", 0)
    consent = {"type": "consent", "camera": True}
    with GameClient("http://127.0.0.1:1/?token=x", name="test") as client:
        client.consent(True)
        assert client.receive().code == "lost"
        assert isinstance(client.receive(timeout=10), protocol.Welcome)
        assert client.agreed == kept
    assert consent in first.sent
    assert (consent in second.sent) == kept


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("127.0.0.1:8767", "must be the address that the server printed"),
        ("http://127.0.0.1:8767/", "must be the address that the server printed"),
        ("http://127.0.0.1:1/?token=x", "no live server answers .*python -m fer_lightning.live"),
    ],
)
def test_an_address_of_no_server(address, words):
    with pytest.raises(UserError, match=words), GameClient(address, name="test"):
        pass


@pytest.mark.slow
def test_another_s_token_is_told_from_no_server():
    with LiveServer() as server:
        address = server.address.replace(server.token, "8" * 32)
        with (
            pytest.raises(UserError, match=r"does not accept this token\. Use the address"),
            GameClient(address, name="test"),
        ):
            pass


@pytest.mark.parametrize(
    ("status", "words"), [(503, "server is full"), (403, "another origin"), (418, "HTTP status 418")]
)
def test_why_a_handshake_is_refused_is_told(status, words):
    refuse = {"process_request": lambda connection, _: connection.respond(status, "")}
    with serve(lambda _: None, "127.0.0.1", 0, **refuse) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.socket.getsockname()[1]}/?token=x"
        with pytest.raises(UserError, match=words), GameClient(address, name="test"):
            pass
        server.shutdown()


def answering(*messages: dict):
    """A server that sends these messages to every client. Return it and the address for a client."""

    def answer(connection):
        connection.recv()
        for message in messages:
            connection.send(json.dumps(message))
        with suppress(ConnectionClosed):
            connection.recv()

    server = serve(answer, "127.0.0.1", 0)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server, f"http://127.0.0.1:{server.socket.getsockname()[1]}/?token=x"


WELCOME = next(
    json.loads(line)
    for line in (ROOT / "docs" / "protocol.md").read_text().splitlines()
    if line.startswith('{"type": "welcome"')
)


def test_what_a_newer_server_says_besides_is_passed_over():
    notice = {"type": "notice", "level": "info", "code": "news", "message": "of a kind that nobody knew"}
    server, address = answering(WELCOME, {"type": "weather"}, WELCOME | {"more": 1}, notice)
    with server, GameClient(address, name="test") as client:
        assert client.receive(timeout=10).code == "news"


def test_why_a_client_is_not_welcome_is_told():
    words = "This server supports versions 1 to 3 of the protocol."
    server, address = answering({"type": "notice", "level": "error", "code": "protocol", "message": words})
    with server, pytest.raises(UserError, match=words), GameClient(address, name="test"):
        pass


# the schema


@pytest.fixture(scope="module")
def schema():
    return json.loads((ROOT / "docs" / "protocol.json").read_text())


def test_the_schema_is_that_of_the_code(schema):
    assert schema == protocol.schema(), "run python -m fer_lightning.live.protocol to update it"


@pytest.mark.slow
def test_a_whole_session_is_as_the_schema_says(model, schema):
    said = [
        {"type": "hello", "protocol": 2, "client": "test"},
        {"type": "consent", "camera": True},
        {"type": "look", "width": 640, "height": 480, "faces": [], "detect": 9.0, "recognise": 0.0},
        {"type": "text", "text": "this is boring"},
        {"type": "outcome", "correct": True, "seconds": 3.5, "level": 3},
        {"type": "override", "change": -1},
        {"type": "override", "change": None},
        {"type": "adapt", "on": False},
    ]
    with LiveServer(model, words=("faces.kind=whole",)) as server, Plain(server, hello=False) as player:
        for message in said:
            player.say(message)
        player.say(jpeg())
        player.wait("faces")
        player.say("{")
        player.wait("notice")
    assert {message["type"] for message in player.heard} == {"welcome", "difficulty", "state", "faces", "notice"}
    for message in said:
        jsonschema.validate(message, schema | {"$ref": "#/$defs/FromClient"})
    for message in player.heard:
        jsonschema.validate(message, schema | {"$ref": "#/$defs/FromServer"})


@pytest.mark.parametrize(
    "message",
    [{"type": "hello"}, {"type": "text", "text": "x" * 501}, {"type": "consent", "camera": True, "more": 1}, {}, []],
    ids=str,
)
def test_the_schema_refuses_what_the_server_refuses(schema, message):
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(message, schema | {"$ref": "#/$defs/FromClient"})
    with pytest.raises(ValueError, match="validation error"):
        protocol.from_client.validate_json(json.dumps(message))


def test_the_examples_of_the_documentation_are_messages():
    blocks = (ROOT / "docs" / "protocol.md").read_text().split("```json\n")[1:]
    examples = [json.loads(line) for block in blocks for line in block.partition("```")[0].splitlines()]
    kinds = {example["type"] for example in examples}
    assert kinds == set(CLIENT) | {"welcome", "faces", "state", "difficulty", "notice"}
    for example in examples:
        client = example["type"] in CLIENT
        (protocol.from_client if client else protocol.from_server).validate_json(json.dumps(example))


@pytest.mark.slow
def test_the_python_example_of_the_documentation_runs(model):
    example = (ROOT / "docs" / "protocol.md").read_text().partition("```python\n")[2].partition("```")[0]
    with LiveServer(model, words=("faces.kind=whole",)) as server:
        exec(example.replace("http://127.0.0.1:8767/?token=...", server.address), {})


class Lost:
    """A client whose connection was lost while the player was thinking; `back` comes with the second attempt."""

    def __init__(self, answers: list) -> None:
        self.answers, self.outcomes, self.connected = answers, [], False

    def outcome(self, **outcome) -> bool:
        if self.connected:
            self.outcomes.append(outcome)
        return self.connected

    def receive(self, timeout: float):
        message = self.answers.pop(0)
        self.connected = isinstance(message, protocol.State)
        return message


def test_an_outcome_is_sent_again_after_the_connection_was_lost(capsys):
    lost = protocol.Notice(level="warning", code="lost", message="The server is unreachable; trying again.")
    back = protocol.State.model_construct(type="state")
    client = Lost([lost, back])
    game_client.report(client, correct=True, seconds=40.0, level=3)
    assert client.outcomes == [{"correct": True, "seconds": 40.0, "level": 3}]
    assert "unreachable" in capsys.readouterr().out
    client = Lost([lost, None])
    game_client.report(client, correct=True, seconds=40.0, level=3)
    assert client.outcomes == []
    assert "The server does not count this task, because it is unreachable." in capsys.readouterr().out


@pytest.mark.long
def test_a_player_may_think_for_half_a_minute(model):
    with (
        LiveServer(model, words=("faces.kind=whole",)) as server,
        GameClient(server.address, name="test 1.0") as client,
    ):
        time.sleep(35)
        assert client.outcome(correct=True, seconds=35.0, level=3)
        codes = [message.code for message in messages(client, 0.3) if isinstance(message, protocol.Notice)]
        assert "lost" not in codes


def messages(client: GameClient, seconds: float) -> list:
    """Return what the client has received, until nothing comes for this time."""
    return list(iter(lambda: client.receive(timeout=seconds), None))
