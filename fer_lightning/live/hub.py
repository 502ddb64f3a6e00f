"""Objects that all connections of a server share: engine, caps, settings of a player's session, and statistics."""

from collections import deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from fer_lightning.difficulty.controller import Controller
from fer_lightning.difficulty.policy import Policy
from fer_lightning.difficulty.settings import DifficultySettings
from fer_lightning.faces.metadata import Metadata
from fer_lightning.labels import COLORS
from fer_lightning.live import protocol
from fer_lightning.live.engine import Engine
from fer_lightning.live.limits import Bucket, Caps
from fer_lightning.live.session import PlayerSession
from fer_lightning.player.settings import StateSettings
from fer_lightning.player.state import StateEstimator

if TYPE_CHECKING:
    from fer_lightning.live.connection import Connection

LOOK_BYTES, FACE_BYTES, CLASS_BYTES = 256, 160, 10  # of a look, of each face in it, and of each of its probabilities
LATENCIES = 2000  # number of last latencies for the statistics


@dataclass
class Hub:
    """Shared objects of one server.

    engine       engine with the model; None: no model, and no camera is used
    camera       source of the frames: the client, the server or none
    policy       difficulty policy; it stores nothing about a player
    policy_name  name of the policy, for the welcome
    difficulty   limits of the controller of each player
    state        settings of the estimator of each player's state
    min_confidence  lowest probability of a label
    networks     files of the detector and the model for the browser, by name; empty: pages send their frames
    watching     connections of players who have agreed to the camera
    standing     notices that new connections also receive, by code
    looks        number of frames that clients processed themselves
    """

    engine: Engine | None
    caps: Caps
    camera: Literal["client", "server", "none"]
    policy: Policy
    policy_name: str
    difficulty: DifficultySettings = field(default_factory=DifficultySettings)
    state: StateSettings = field(default_factory=StateSettings)
    min_confidence: float = 0.0
    networks: Mapping[str, bytes] = field(default_factory=dict)
    connections: set["Connection"] = field(default_factory=set)
    watching: set["Connection"] = field(default_factory=set)
    latencies: deque[float] = field(default_factory=lambda: deque(maxlen=LATENCIES))
    standing: dict[str, protocol.Notice] = field(default_factory=dict)
    looks: int = 0
    arrivals: Bucket = field(init=False)

    def __post_init__(self) -> None:
        self.arrivals = Bucket(self.caps.connections_per_second, max(self.caps.connections, 1))

    @property
    def metadata(self) -> Metadata | None:
        return self.engine.model.metadata if self.engine else None

    def full(self, now: float) -> bool:
        """Return True if no further connection is accepted now."""
        return len(self.connections) >= self.caps.connections or not self.arrivals.take(now)

    def session(self, hello: protocol.Hello, now: float) -> PlayerSession:
        metadata = self.metadata
        classes = metadata.classes if metadata else ()
        shares = [sum(row) for row in metadata.confusion] if metadata and metadata.confusion else None
        start = self.difficulty.start if hello.level is None else hello.level
        return PlayerSession(
            classes=classes,
            estimator=StateEstimator(classes or None, class_shares=shares, **asdict(self.state)),
            controller=Controller(self.policy, adapt=hello.adapt, **asdict(self.difficulty) | {"start": start}),
            now=now,
        )

    @property
    def message_bytes(self) -> int:
        """Maximum size of a JSON message: caps.message_bytes, or more if that is too little for a look."""
        if self.engine is None:
            return self.caps.message_bytes
        face = FACE_BYTES + CLASS_BYTES * len(self.metadata.classes)
        return max(self.caps.message_bytes, LOOK_BYTES + self.engine.frames.most * face)

    def welcome(self, controller: Controller, version: protocol.Version = protocol.VERSION) -> protocol.Welcome:
        caps = self.caps
        return protocol.Welcome(
            protocol=version,
            model=model_words(self.metadata) if self.metadata else None,
            camera=self.camera,
            policy=self.policy_name,
            level=controller.level,
            levels=controller.levels,
            adapt=controller.adapt,
            limits=protocol.Limits(
                message_bytes=self.message_bytes,
                frame_bytes=caps.frame_bytes,
                frame_side=caps.frame_side,
                frames_per_second=caps.frames_per_second,
                texts_per_second=caps.texts_per_second,
            ),
            inference="browser" if self.networks else "server",
            detection=self._detection(),
            min_confidence=self.min_confidence,
        )

    def _detection(self) -> protocol.Detection | None:
        if (engine := self.engine) is None:
            return None
        return protocol.Detection(min_score=engine.rules.min_score, **asdict(engine.frames))

    def notify(self, notice: protocol.Notice, *, lasting: bool = False) -> None:
        """Send a notice to all connections; with `lasting`, also to later ones until it is removed from `standing`."""
        if lasting:
            self.standing[notice.code] = notice
        for connection in tuple(self.connections):
            connection.tell(notice)

    def health(self) -> dict[str, Any]:
        """Return the answer of `/health`. Latencies: milliseconds from the arrival of a frame to sending its faces."""
        took = np.array(self.latencies or [np.nan]) * 1000
        p50, p95 = (None if np.isnan(took).any() else round(float(np.percentile(took, q)), 1) for q in (50, 95))
        engine = self.engine
        return {
            "status": "ok",
            "protocol": protocol.VERSION,
            "model": self.metadata.name if self.metadata else None,
            "players": len(self.connections),
            "watching": len(self.watching),
            "frames": engine.looks if engine else 0,
            "looks": self.looks,
            "frames_per_call": round(engine.looks / engine.calls, 2) if engine and engine.calls else None,
            "latency_ms": {"p50": p50, "p95": p95},
        }


def model_words(metadata: Metadata) -> protocol.ModelWords:
    return protocol.ModelWords(
        name=metadata.name,
        data=str(metadata.data.get("name", "unknown")),
        taxonomy=metadata.taxonomy,
        classes=[protocol.ClassOfFace(name=name, color=COLORS.get(name, "#777777")) for name in metadata.classes],
        accuracy=metadata.metrics.get("test", {}).get("acc"),
        recall=dict(metadata.recall),
    )
