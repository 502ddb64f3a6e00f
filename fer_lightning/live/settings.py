"""Types of the settings of the live server and the game. Hydra refuses an unknown key or a wrong type."""

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from omegaconf import MISSING

from fer_lightning.faces.settings import DetectorKind


class PageSettings(Enum):
    """Page that the printed address opens."""

    live = "live"
    game = "game"


@dataclass
class LiveFaceSettings:
    """Settings of the face detection."""

    kind: DetectorKind = MISSING  # face detector
    model: str | None = MISSING  # file of YuNet
    min_score: float = MISSING  # minimum confidence of the detector, 0 to 1
    min_face_px: float = MISSING  # minimum side of the face crop, in pixels of the frame
    ambiguous_area: float = MISSING  # share of the largest face's area from which a second face makes both uncertain
    long_side: int = MISSING  # pixels of the longer side of the frame for detection
    most: int = MISSING  # maximum number of faces per frame


@dataclass
class StateSettings:
    """Settings of the player's state; see player/state.py."""

    face_seconds: float = MISSING
    text_seconds: float = MISSING
    face_weight: float = MISSING
    text_weight: float = MISSING
    unknown_below: float = MISSING


@dataclass
class DifficultySettings:
    """Settings of the difficulty; see difficulty/controller.py."""

    levels: int = MISSING
    start: int = MISSING
    cooldown_seconds: float = MISSING
    min_tasks: int = MISSING
    stand_seconds: float = MISSING
    reversal: float = MISSING
    state_seconds: float = MISSING


@dataclass
class CapSettings:
    """Maximum values; see limits.py."""

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
    """Settings of `python -m fer_lightning.live` and `python -m fer_lightning.game`."""

    policy: Any = MISSING  # difficulty policy
    model: str | None = MISSING  # exported file
    page: PageSettings = MISSING  # page that the printed address opens
    source: str | None = MISSING  # camera or video of the server
    host: str = MISSING  # address at which the server listens
    port: int = MISSING
    folder: str = MISSING  # folder of the token
    threads: int | None = MISSING  # worker threads for face detection
    faces: LiveFaceSettings = field(default_factory=LiveFaceSettings)
    state: StateSettings = field(default_factory=StateSettings)
    difficulty: DifficultySettings = field(default_factory=DifficultySettings)
    caps: CapSettings = field(default_factory=CapSettings)
