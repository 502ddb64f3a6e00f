"""Protocol version 2 between a game and the server: one WebSocket with JSON texts and JPEG images.

A client first sends `Hello`. After the player has agreed, it sends `Consent`, and then the frames of the camera as
binary messages. Each is one JPEG file without a header. The first one is frame 1, the next one frame 2, whether it is
processed or not. `Text`, `Outcome`, `Override` and `Adapt` may come at any time.

A client of version 2 may process the frames itself and send a `ClientLook` instead of each frame, so that no image is
sent. A client of version 1 receives exactly the messages of version 1.

The server sends the messages below at any time. It stores nothing about a connection that has ended. A client that
reconnects sends the current level of its game in `Hello` and continues.

If the server uses its own camera, it sends each processed frame as a binary message, a JPEG file, directly followed by
`Faces`. It then refuses frames of the client.

Every message is checked against these classes, and unknown keys are refused. `docs/protocol.json` is their JSON Schema.
Numbers are finite. Positions are shares of the width and the height of the frame. Times are in milliseconds, except for
the keys named `seconds`.
"""

import json
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    TypeAdapter,
    model_serializer,
)

from fer_lightning.difficulty.settings import MOST_LEVELS
from fer_lightning.files import write_atomically
from fer_lightning.paths import DOCS

VERSION = 2
SCHEMA = DOCS / "protocol.json"
TEXT = 500  # maximum number of characters of one text of the player
Share = Annotated[float, Field(ge=0, le=1)]
Level = Annotated[int, Field(ge=1, le=MOST_LEVELS)]
Version = Literal[1, 2]
Coordinate = Annotated[float, Field(ge=-16, le=16)]  # share of the frame's side; a face may extend beyond the frame
Side = Annotated[float, Field(gt=0, le=16)]
Duration = Annotated[float, Field(ge=0, le=60_000)]


class Message(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, strict=True)


# Messages of the client.


class Hello(Message):
    """First message: `client` is the name and version of the game, `level` its level. null: the server chooses."""

    type: Literal["hello"] = "hello"
    protocol: Version
    client: Annotated[str, Field(min_length=1, max_length=80)]
    level: Level | None = None
    adapt: bool = True


class Consent(Message):
    """Consent of the player to the camera, or its withdrawal. Without consent the server refuses frames and looks."""

    type: Literal["consent"] = "consent"
    camera: bool


class FaceFound(Message):
    """One face that the client found: box as in `FaceSeen`; probabilities in the order of the model's classes."""

    box: tuple[Coordinate, Coordinate, Side, Side]
    score: Share
    probabilities: list[Share]


class ClientLook(Message):
    """Faces of one frame that the client processed itself, instead of the frame; since version 2.

    width, height      size of the frame, in pixels
    detect, recognise  durations in the client, in milliseconds
    """

    type: Literal["look"] = "look"
    width: Annotated[int, Field(ge=16, le=16_384)]
    height: Annotated[int, Field(ge=16, le=16_384)]
    faces: list[FaceFound]
    detect: Duration
    recognise: Duration


class Text(Message):
    """Text that the player typed in the game."""

    type: Literal["text"] = "text"
    text: Annotated[str, Field(max_length=TEXT)]


class Outcome(Message):
    """Result of one task of the game: solved or not, its duration in seconds, and its level."""

    type: Literal["outcome"] = "outcome"
    correct: bool
    seconds: Annotated[float, Field(ge=0, le=86_400)]
    level: Level


class Override(Message):
    """Player's own choice: one level down (-1), stay (0) or up (1). The level is then fixed; null releases it."""

    type: Literal["override"] = "override"
    change: Literal[-1, 0, 1] | None


class Adapt(Message):
    """Switch of the adaptation: with `on` false the level is not adapted."""

    type: Literal["adapt"] = "adapt"
    on: bool


FromClient = Annotated[Hello | Consent | ClientLook | Text | Outcome | Override | Adapt, Field(discriminator="type")]


# Messages of the server.


class ClassOfFace(Message):
    """Class of the face model, with the colour in which pages show it."""

    name: str
    color: str


class ModelWords(Message):
    """Facts about the model that a page shows before the player agrees.

    accuracy, recall  measured on test rows; null: not measured
    data              training data: a taxonomy, such as fer2013 or learning_game (FER2013 and own faces);
                      own (other faces than FER2013's); synthetic (faces drawn by a program)
    """

    name: str
    data: str
    taxonomy: str
    classes: list[ClassOfFace]
    accuracy: Share | None
    recall: dict[str, Share | None]


class Limits(Message):
    """Maximum values; larger messages are refused. Frames that come too fast are dropped, except for the newest."""

    message_bytes: int
    frame_bytes: int
    frame_side: int
    frames_per_second: float
    texts_per_second: float


class Detection(Message):
    """Settings with which a client that processes frames itself finds the same faces as the server.

    min_score    lowest score of a face
    long_side    pixels of the frame's longer side for detection; faces are cropped from the full frame
    whole_every  frames from one search of the whole frame to the next while one face is followed; 1: each is whole
    most         maximum number of faces in a look
    """

    min_score: Share
    long_side: int
    whole_every: int
    most: int


_SINCE_2 = ("inference", "detection", "min_confidence")


class Welcome(Message):
    """Answer to `Hello`. `camera` is the source of the frames: the client, the server, or none without a model.

    inference  browser: a page of the server should process the frames itself; server: it should send them
    detection  needed to process frames; null without a model
    min_confidence  lowest probability of a label; a page labels a face below it "not sure"

    Version 1 has no `inference`, no `detection` and no `min_confidence`.
    """

    type: Literal["welcome"] = "welcome"
    protocol: Version
    model: ModelWords | None
    camera: Literal["client", "server", "none"]
    policy: str
    level: Level
    levels: Level
    adapt: bool
    limits: Limits
    inference: Literal["browser", "server"] = "server"
    detection: Detection | None = None
    min_confidence: Share = 0.0

    @model_serializer(mode="wrap")
    def _of_version(self, serialise: SerializerFunctionWrapHandler) -> dict[str, Any]:
        words = serialise(self)
        return words if self.protocol > 1 else {key: value for key, value in words.items() if key not in _SINCE_2}


class FaceSeen(Message):
    """One face of a frame.

    id             number that follows a face by its position only
    box            x, y, width, height as shares of the frame's width and height; may extend beyond the frame
    doubt          reason why the face does not count, as text; null: it counts
    probabilities  probabilities in this frame
    smoothed       probabilities, averaged over about one second
    """

    id: int
    box: tuple[float, float, float, float]
    score: Share
    doubt: str | None
    probabilities: dict[str, Share]
    smoothed: dict[str, Share]


class Milliseconds(Message):
    """Durations for one frame: waiting, decoding, detection of faces, recognition, and the total since its arrival."""

    waiting: float
    decode: float
    detect: float
    recognise: float
    total: float


class Faces(Message):
    """Faces of one frame. `dropped` counts the frames of this connection that were never processed."""

    type: Literal["faces"] = "faces"
    frame: int
    width: int
    height: int
    faces: list[FaceSeen]
    dropped: int
    milliseconds: Milliseconds


class State(Message):
    """Estimated state of the player.

    seconds        time since the start of the connection
    probabilities  probabilities of the three states
    channels       weight of each channel, face and text; 0: no evidence
    reasons        phrases for the player, the strongest reason first
    """

    type: Literal["state"] = "state"
    seconds: float
    state: Literal["frustrated", "bored", "engaged", "unknown"]
    confidence: Share
    probabilities: dict[str, Share]
    channels: dict[str, Share]
    reasons: list[str]


class Difficulty(Message):
    """Level of the next task, with a reason. `held`: the player's own choice fixes it. `adapt`: adaptation is on."""

    type: Literal["difficulty"] = "difficulty"
    level: Level
    change: int
    by: Literal["start", "policy", "player"]
    reason: str
    held: bool
    adapt: bool


class Notice(Message):
    """Notice for the user: `code` for programs, `message` as text. After level `error` the connection ends."""

    type: Literal["notice"] = "notice"
    level: Literal["info", "warning", "error"]
    code: str
    message: str


FromServer = Annotated[Welcome | Faces | State | Difficulty | Notice, Field(discriminator="type")]

from_client: TypeAdapter[FromClient] = TypeAdapter(FromClient)
from_server: TypeAdapter[FromServer] = TypeAdapter(FromServer)


def schema() -> dict[str, Any]:
    """Return the JSON Schema of all messages. `$defs` has FromClient, FromServer and each message by its name."""
    parts = {"FromClient": from_client, "FromServer": from_server}
    _, schemas = TypeAdapter.json_schemas([(name, "validation", part) for name, part in parts.items()])
    definitions = schemas["$defs"]
    for definition in definitions.values():
        kind = definition["properties"].get("type", {})
        if kind.pop("default", None):  # a default only in Python; a sent message always has a type
            definition["required"] = ["type", *definition.get("required", [])]
    for name, part in parts.items():
        union = part.json_schema()
        definitions[name] = {"title": name, "oneOf": union["oneOf"], "discriminator": union["discriminator"]}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"fer_lightning's live protocol, version {VERSION}",
        "description": "Messages of one WebSocket: the client sends FromClient, the server sends FromServer.",
        "$defs": definitions,
    }


def main() -> None:
    """Write docs/protocol.json."""
    write_atomically(SCHEMA, json.dumps(schema(), indent=2, ensure_ascii=False) + "\n")
    print(f"{SCHEMA.name}: {len(schema()['$defs'])} definitions")


if __name__ == "__main__":
    main()
