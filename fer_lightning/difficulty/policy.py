"""What a difficulty policy is: it proposes a step; the controller (`controller.py`) bounds what becomes of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from fer_lightning.player.state import PlayerState


@dataclass(frozen=True)
class Outcome:
    """One finished task: when it ended (seconds on the session's clock), how long it took, at which level."""

    time: float
    correct: bool
    seconds: float
    level: int


@dataclass(frozen=True)
class Proposal:
    """One level down, none, or up, and why, in words that can be said to the player."""

    change: Literal[-1, 0, 1]
    reason: str


class Policy(Protocol):
    """Keeps nothing from one call to the next, so that all players can share one."""

    def propose(self, now: float, state: PlayerState, outcomes: Sequence[Outcome]) -> Proposal:
        """Both tell of this level alone.

        now       in seconds
        state     the player's, its `probabilities` averaged since the last change of level
        outcomes  the tasks since then, oldest first
        """
