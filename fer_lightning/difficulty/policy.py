"""Interface of a difficulty policy: it proposes a step, and the controller (`controller.py`) limits and applies it."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from fer_lightning.config.settings import Settings
from fer_lightning.player.state import PlayerState


@dataclass(frozen=True)
class TaskResult:
    """One finished task: the time of its end (seconds of the session's clock), its result, its duration, its level."""

    time: float
    correct: bool
    seconds: float
    level: int


@dataclass(frozen=True)
class Proposal:
    """Proposed step: one level down, no change or one level up, with a reason that can be shown to the player."""

    change: Literal[-1, 0, 1]
    reason: str


@dataclass(frozen=True, kw_only=True)
class Policy(Settings, ABC):
    """Difficulty policy; its fields are its options. It stores nothing, so that all players can share one object."""

    @abstractmethod
    def propose(self, now: float, state: PlayerState, outcomes: Sequence[TaskResult]) -> Proposal:
        """Return a proposal from what happened since the last change of level.

        now       time in seconds
        state     state of the player; its `probabilities` are averaged since the last change of level
        outcomes  tasks since the last change of level, oldest first
        """
