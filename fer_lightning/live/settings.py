"""Settings of the live server and the game."""

from dataclasses import dataclass
from typing import Literal

from fer_lightning.config.settings import Settings, nested, setting
from fer_lightning.difficulty.policy import Policy
from fer_lightning.difficulty.settings import DifficultySettings
from fer_lightning.faces.settings import DetectorSettings, FaceRules, LabelSettings
from fer_lightning.faces.shipped import SHIPPED
from fer_lightning.live.limits import Caps
from fer_lightning.player.settings import StateSettings


@dataclass(frozen=True, kw_only=True)
class FrameSettings(Settings):
    """Settings of the engine."""

    long_side: int = setting(
        320,
        "pixels of the longer side of a frame for detection; faces are cropped from the full frame; "
        "320 takes a sixth of the time of 640",
        minimum=64,
    )
    whole_every: int = setting(
        10,
        "frames from one search of the whole frame to the next while a browser follows the only face; "
        "1: the whole frame is always searched",
        minimum=1,
    )
    most: int = setting(8, "maximum number of faces per frame; the largest are kept", minimum=1)


@dataclass(frozen=True, kw_only=True)
class LiveFaces(FrameSettings, FaceRules, DetectorSettings):
    """Settings of the face detection."""


@dataclass(frozen=True, kw_only=True)
class LiveSettings(LabelSettings):
    """Settings of `python -m fer_lightning.live` and `python -m fer_lightning.game`."""

    policy: Policy = setting(comment="difficulty policy", group="live/policy")
    model: str | None = setting(
        SHIPPED,
        "exported file of python -m fer_lightning.export; shipped: the network of the package, if it has one; "
        "null: no camera, the game uses only texts and solved tasks",
        path=True,
    )
    page: Literal["live", "game"] = setting("live", "page that the printed address opens; both are served")
    inference: Literal["browser", "server"] = setting(
        "browser",
        "machine that finds and labels the faces of the browser's camera; "
        "browser: pages send no image, and a browser that cannot do it uses the server; server: pages send images",
    )
    source: str | None = setting(
        None,
        "camera of the frames; null: the browser's; 0, 1, ...: a camera of this machine; a video file, which repeats",
        path=True,
    )
    host: str = setting(
        "127.0.0.1",
        "address at which the server listens; "
        "any other address than 127.0.0.1 lets other machines connect, without encryption",
    )
    port: int = setting(8767, "port; 0: a free port", minimum=0, maximum=65535)
    folder: str = setting(
        "data/live", "folder of the token in the address, with which an open page finds a restarted server", path=True
    )
    threads: int | None = setting(None, "worker threads for face detection; null: one per core", minimum=1)
    faces: LiveFaces = nested(LiveFaces, without=("max_roll_deg",))
    state: StateSettings = nested(StateSettings)
    difficulty: DifficultySettings = nested(DifficultySettings)
    caps: Caps = nested(Caps)
