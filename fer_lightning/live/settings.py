"""The keys of the live server and of the game, typed: a wrong key or type is refused while the config is composed."""

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from omegaconf import MISSING

from fer_lightning.faces.settings import DetectorKind


class Page(Enum):
    """What the printed address opens."""

    live = "live"
    game = "game"


@dataclass
class LiveFaceSettings:
    kind: DetectorKind = MISSING  # what finds faces
    model: str | None = MISSING  # YuNet's file
    min_score: float = MISSING  # detector's confidence, 0 to 1
    min_face_px: float = MISSING  # side of the crop in the frame; a smaller face is in doubt
    ambiguous_area: float = MISSING  # share of the largest face's area from which a second one makes it doubtful whose
    long_side: int = MISSING  # pixels of the frame in which faces are sought
    most: int = MISSING  # faces of a frame, the largest


@dataclass
class StateSettings:
    """See state.py."""

    face_seconds: float = MISSING
    text_seconds: float = MISSING
    face_weight: float = MISSING
    text_weight: float = MISSING
    unknown_below: float = MISSING


@dataclass
class DifficultySettings:
    """See difficulty/controller.py."""

    levels: int = MISSING
    start: int = MISSING
    cooldown_seconds: float = MISSING
    min_tasks: int = MISSING
    stand_seconds: float = MISSING
    reversal: float = MISSING
    state_seconds: float = MISSING


@dataclass
class CapSettings:
    """See limits.py."""

    connections: int = MISSING
    connections_per_second: float = MISSING
    message_bytes: int = MISSING
    frame_bytes: int = MISSING
    frame_side: int = MISSING
    frames_per_second: float = MISSING
    texts_per_second: float = MISSING
    mistakes: int = MISSING
    hello_seconds: float = MISSING
    idle_seconds: float = MISSING
    send_seconds: float = MISSING


@dataclass
class LiveSettings:
    """What `python -m fer_lightning.live` and `python -m fer_lightning.game` take."""

    policy: Any = MISSING  # by what difficulty is adapted
    model: str | None = MISSING  # an exported file
    page: Page = MISSING  # what the printed address opens
    source: str | None = MISSING  # a camera or video of the server
    host: str = MISSING  # where it listens
    port: int = MISSING
    folder: str = MISSING  # of the secret in the address
    threads: int | None = MISSING  # that look at frames
    faces: LiveFaceSettings = field(default_factory=LiveFaceSettings)
    state: StateSettings = field(default_factory=StateSettings)
    difficulty: DifficultySettings = field(default_factory=DifficultySettings)
    caps: CapSettings = field(default_factory=CapSettings)
