"""Session of one player: faces and messages go in, messages come out. It uses neither sockets nor threads."""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from fer_lightning.difficulty.controller import Controller, LevelChange
from fer_lightning.difficulty.policy import TaskResult
from fer_lightning.faces.find import FaceResult
from fer_lightning.faces.tracks import Track, Tracks
from fer_lightning.live import protocol
from fer_lightning.live.engine import SeenFrame
from fer_lightning.player.state import STATES, PlayerState, StateEstimator

WHOSE = "two faces of similar size"
LEAST_SECONDS = 0.1  # minimum time between two states
MOST_SECONDS = 1.0  # maximum time between two states


class PlayerSession:
    """Session of one player, from the welcome to the end. Each method returns the resulting messages for the client.

    classes     classes of the model, in the order of its probabilities; empty without a model
    estimator   estimator of the player's state
    controller  controller of the level
    now         seconds of a monotonic clock, here and in every method
    """

    def __init__(
        self, *, classes: Sequence[str], estimator: StateEstimator, controller: Controller, now: float
    ) -> None:
        self._classes = tuple(classes)
        self._estimator, self.controller = estimator, controller
        self._tracks = Tracks()
        self._began, self._sent, self._due = now, -np.inf, True

    def begin(self) -> protocol.Difficulty:
        """Return the first level of the game."""
        reason = "This is where we start." if self.controller.adapt else "The level stays as it is."
        return self._difficulty(self._unchanged(reason), by="start")

    def hear(
        self, now: float, message: protocol.Text | protocol.Outcome | protocol.Override | protocol.Adapt
    ) -> list[protocol.Message]:
        """Return the answers to one message of the client."""
        answers: list[protocol.Message] = []
        match message:
            case protocol.Text():
                self._estimator.read(now, message.text)
            case protocol.Outcome():
                self.controller.outcome(TaskResult(now, message.correct, message.seconds, message.level))
            case protocol.Override():
                answers.append(self._difficulty(self.controller.override(message.change)))
            case protocol.Adapt():
                self.controller.adapt = message.on
                words = "I adapt the level again." if message.on else "I no longer change the level."
                answers.append(self._difficulty(self._unchanged(words)))
        self._due = True
        return answers + self.tick(now)

    def look(self, now: float, look: SeenFrame, *, dropped: int) -> list[protocol.Message]:
        """Return the faces of one frame. `dropped` counts the frames that were never processed so far."""
        rows = np.clip(look.probabilities, 0.0, 1.0)
        doubts = _doubts(look.faces)
        tracks = self._tracks.update(now, [face.face.box for face in look.faces], rows)
        clear = bool(doubts) and doubts[0] is None
        self._estimator.see(now, rows[0] if clear else None)
        self._due = True
        milliseconds = {part: 1000 * seconds for part, seconds in look.seconds.items()}
        milliseconds["total"] = 1000 * (now - look.arrived)
        faces = protocol.Faces(
            frame=look.number,
            width=look.width,
            height=look.height,
            faces=[
                self._face(look, face, doubt, track, row)
                for face, doubt, track, row in zip(look.faces, doubts, tracks, rows, strict=True)
            ],
            dropped=dropped,
            milliseconds=protocol.Milliseconds(**{part: round(value, 2) for part, value in milliseconds.items()}),
        )
        return [faces, *self.tick(now)]

    def forget_faces(self, now: float) -> list[protocol.Message]:
        """Forget all faces, because the player has withdrawn the consent to the camera."""
        self._estimator.forget_faces()
        self.controller.forget_state()
        self._tracks = Tracks()
        self._due = True
        return self.tick(now)

    def tick(self, now: float) -> list[protocol.Message]:
        """Return the state if it is due: after news, but not too often, and at least every MOST_SECONDS."""
        if now - self._sent < (LEAST_SECONDS if self._due else MOST_SECONDS):
            return []
        self._sent, self._due = now, False
        state = self._estimator.estimate(now)
        decision = self.controller.update(now, state)
        return [self._state(now, state), *([self._difficulty(decision)] if decision else [])]

    def _state(self, now: float, state: PlayerState) -> protocol.State:
        return protocol.State(
            seconds=round(now - self._began, 3),
            state=state.name,
            confidence=round(state.confidence, 4),
            probabilities=_rounded(STATES, state.probabilities),
            channels=_rounded(tuple(state.channels), tuple(state.channels.values())),
            reasons=list(state.reasons),
        )

    def _unchanged(self, reason: str) -> LevelChange:
        return LevelChange(self.controller.level, 0, "player", reason)

    def _difficulty(self, decision: LevelChange, *, by: Literal["start"] | None = None) -> protocol.Difficulty:
        return protocol.Difficulty(
            level=decision.level,
            change=decision.change,
            by=by or decision.by,
            reason=decision.reason,
            held=self.controller.held,
            adapt=self.controller.adapt,
        )

    def _face(
        self, look: SeenFrame, face: FaceResult, doubt: str | None, track: Track, row: np.ndarray
    ) -> protocol.FaceSeen:
        x, y, width, height = face.face.box
        box = x / look.width, y / look.height, width / look.width, height / look.height
        return protocol.FaceSeen(
            id=track.id,
            box=tuple(round(share, 5) for share in box),
            score=round(min(max(face.face.score, 0.0), 1.0), 4),
            doubt=doubt,
            probabilities=_rounded(self._classes, row),
            smoothed=_rounded(self._classes, track.smoothed),
        )


def _doubts(faces: Sequence[FaceResult]) -> list[str | None]:
    """Return the doubt about each face, or None. The first face is the player's, unless another one is as large."""
    whose = faces[0].ambiguous if faces else False
    return [face.reason or (WHOSE if whose and face.ambiguous else None) for face in faces]


def _rounded(names: Sequence[str], shares: Sequence[float] | np.ndarray) -> dict[str, float]:
    return {name: round(min(max(float(share), 0.0), 1.0), 4) for name, share in zip(names, shares, strict=True)}
