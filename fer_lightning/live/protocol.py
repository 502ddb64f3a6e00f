"""Version 1 of what a game and the server say to each other over one WebSocket, as JSON texts and JPEG pictures.

A client sends `Hello` first and, once the player has agreed, `Consent`; then frames of the camera as binary messages,
one JPEG file each, with no header: the first is frame 1, the next frame 2, whether it is looked at or not. Texts,
outcomes, overrides and the switch may come at any time. The server answers with the messages below whenever it has
something to say. It keeps nothing of a connection that has ended: a client that reconnects says in `Hello` at which
level its game is, and goes on.

Where the camera is the server's own, each of its frames that was looked at comes as one binary message, a JPEG file,
and `Faces` right behind it; frames of the client are refused.

Every message is checked against these classes, unknown keys are refused, and `docs/protocol.json` is their JSON
Schema. Numbers are finite, positions are shares of the frame's width and height, times are milliseconds unless named.
"""

import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from fer_lightning.files import write_atomically
from fer_lightning.paths import DOCS

VERSION = 1
SCHEMA = DOCS / "protocol.json"
TEXT = 500  # letters of one text of the player
Share = Annotated[float, Field(ge=0, le=1)]
Level = Annotated[int, Field(ge=1, le=100)]


class Message(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, strict=True)


# What a client says.


class Hello(Message):
    """The first message: who is there. `level`: where the game stands; null lets the server choose."""

    type: Literal["hello"] = "hello"
    protocol: Literal[1]
    client: Annotated[str, Field(min_length=1, max_length=80)]
    level: Level | None = None
    adapt: bool = True


class Consent(Message):
    """Whether the player agrees that frames of the camera are looked at; without it they are refused."""

    type: Literal["consent"] = "consent"
    camera: bool


class Text(Message):
    """What the player typed in the game."""

    type: Literal["text"] = "text"
    text: Annotated[str, Field(max_length=TEXT)]


class Outcome(Message):
    """How a task of the game went."""

    type: Literal["outcome"] = "outcome"
    correct: bool
    seconds: Annotated[float, Field(ge=0, le=86_400)]
    level: Level


class Override(Message):
    """The player's own word: one level down (-1) or up (1), or stay (0), and held there; null gives it back."""

    type: Literal["override"] = "override"
    change: Literal[-1, 0, 1] | None


class Adapt(Message):
    """The one switch: whether difficulty is adapted at all."""

    type: Literal["adapt"] = "adapt"
    on: bool


FromClient = Annotated[Hello | Consent | Text | Outcome | Override | Adapt, Field(discriminator="type")]


# What the server says.


class ClassOfFace(Message):
    name: str
    color: str


class ModelWords(Message):
    """What the page shows about the model before anybody agrees. `accuracy` and `recall`: measured on test rows.

    `data`: what it learnt from: fer2013, or learning_game and learning_game_distracted, which are FER2013 and faces of
    one's own; synthetic: faces that a program drew.
    """

    name: str
    data: str
    taxonomy: str
    classes: list[ClassOfFace]
    accuracy: Share | None
    recall: dict[str, Share | None]


class Limits(Message):
    """What goes beyond is refused. Frames that come faster than they are looked at are dropped; the newest is kept."""

    message_bytes: int
    frame_bytes: int
    frame_side: int
    frames_per_second: float
    texts_per_second: float


class Welcome(Message):
    """The answer to Hello. `camera`: whose frames are looked at; none: there is no model."""

    type: Literal["welcome"] = "welcome"
    protocol: Literal[1]
    model: ModelWords | None
    camera: Literal["client", "server", "none"]
    policy: str
    level: Level
    levels: Level
    adapt: bool
    limits: Limits


class FaceSeen(Message):
    """One face. `id`: kept by position alone; `doubt`: why it does not count as a good look, in words.

    box            x, y, width, height as shares of the frame's width and height; may reach outside
    probabilities  of this frame; `smoothed` over about a second
    """

    id: int
    box: tuple[float, float, float, float]
    score: Share
    doubt: str | None
    probabilities: dict[str, Share]
    smoothed: dict[str, Share]


class Milliseconds(Message):
    """From the frame's arrival: waiting for its turn, decoding, finding faces, recognising, all of it."""

    waiting: float
    decode: float
    detect: float
    recognise: float
    total: float


class Faces(Message):
    """What was seen in a frame. `dropped`: frames of this connection never looked at, so far."""

    type: Literal["faces"] = "faces"
    frame: int
    width: int
    height: int
    faces: list[FaceSeen]
    dropped: int
    milliseconds: Milliseconds


class State(Message):
    """What the player seems to be. `probabilities`: of the three states; `channels`: weight of each, 0 is silent."""

    type: Literal["state"] = "state"
    seconds: float
    state: Literal["frustrated", "bored", "engaged", "unknown"]
    confidence: Share
    probabilities: dict[str, Share]
    channels: dict[str, Share]
    reasons: list[str]


class Difficulty(Message):
    """The level of the next task, and why. `held`: the player's own word stands; `adapt`: the switch."""

    type: Literal["difficulty"] = "difficulty"
    level: Level
    change: int
    by: Literal["start", "policy", "player"]
    reason: str
    held: bool
    adapt: bool


class Notice(Message):
    """Something the user should know: `code` for programs, `message` in words. After an error the connection ends."""

    type: Literal["notice"] = "notice"
    level: Literal["info", "warning", "error"]
    code: str
    message: str


FromServer = Annotated[Welcome | Faces | State | Difficulty | Notice, Field(discriminator="type")]

from_client: TypeAdapter[FromClient] = TypeAdapter(FromClient)
from_server: TypeAdapter[FromServer] = TypeAdapter(FromServer)


def schema() -> dict[str, Any]:
    """The JSON Schema of all messages: `$defs` has FromClient, FromServer and each message by its name."""
    parts = {"FromClient": from_client, "FromServer": from_server}
    _, found = TypeAdapter.json_schemas([(name, "validation", part) for name, part in parts.items()])
    definitions = found["$defs"]
    for definition in definitions.values():
        kind = definition["properties"].get("type", {})
        if kind.pop("default", None):  # for Python's convenience: on the line it is always there
            definition["required"] = ["type", *definition.get("required", [])]
    for name, part in parts.items():
        union = part.json_schema()
        definitions[name] = {"title": name, "oneOf": union["oneOf"], "discriminator": union["discriminator"]}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"fer_lightning's live protocol, version {VERSION}",
        "description": "Texts of one WebSocket: from the client FromClient, from the server FromServer.",
        "$defs": definitions,
    }


def main() -> None:
    """Write docs/protocol.json."""
    write_atomically(SCHEMA, json.dumps(schema(), indent=2, ensure_ascii=False) + "\n")
    print(f"{SCHEMA.name}: {len(schema()['$defs'])} definitions")


if __name__ == "__main__":
    main()
