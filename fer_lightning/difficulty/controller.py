"""Controller of the game's level: it applies the proposals of a policy, with limits that hold for every policy."""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from fer_lightning.difficulty.policy import Policy, TaskResult
from fer_lightning.difficulty.settings import DifficultySettings
from fer_lightning.player.state import PlayerState

KEPT = 50  # outcomes; no policy uses older ones
UNKNOWN = (1 / 3, 1 / 3, 1 / 3)  # probabilities of an unknown state


@dataclass(frozen=True)
class LevelChange:
    """New level of the policy, or a choice of the player. `change` is the real change: 0 at either end of the scale."""

    level: int
    change: Literal[-1, 0, 1]
    by: Literal["policy", "player"]
    reason: str


class Controller:
    """Level of one player's game.

    adapt     False: adaptation is off, and the policy is not called
    settings  fields of DifficultySettings

    The factor `reversal` prevents switching back and forth between a level that is too easy and one that is too hard.
    The average state that the policy sees starts at unknown on every level: one moment says little about a level.
    The policy changes the level by one step at a time. The player's own choice (`override`) is applied at once and
    holds until the player gives the level back. Times are seconds of any clock; if it goes back, all waits start again.
    """

    def __init__(
        self,
        policy: Policy,
        *,
        adapt: bool = True,
        **settings: float,
    ) -> None:
        self._policy, self._settings = policy, DifficultySettings(**settings)
        self._adapt, self._held = adapt, False
        self._level = min(max(self._settings.start, 1), self.levels)
        self._outcomes: deque[TaskResult] = deque(maxlen=KEPT)
        self._tasks = 0
        self._direction = 0
        self._since: float | None = None  # time of the last change; None: the first update sets it
        self._standing: tuple[int, float] = (0, 0.0)
        self._felt, self._felt_at = UNKNOWN, math.inf

    @property
    def levels(self) -> int:
        return self._settings.levels

    @property
    def level(self) -> int:
        return self._level

    @property
    def held(self) -> bool:
        """True while the player's own choice fixes the level."""
        return self._held

    @property
    def adapt(self) -> bool:
        return self._adapt

    @adapt.setter
    def adapt(self, on: bool) -> None:
        if on and not self._adapt:
            self._restart()
        self._adapt = on

    @property
    def outcomes(self) -> Sequence[TaskResult]:
        """Tasks since the last change of level, oldest first."""
        return self._outcomes

    def outcome(self, outcome: TaskResult) -> None:
        """Record a finished task; a task of another level is ignored."""
        if outcome.level == self._level:
            self._outcomes.append(outcome)
            self._tasks += 1

    def update(self, now: float, state: PlayerState) -> LevelChange | None:
        """Ask the policy, once a second or more often. Return the decision if the level changes, else None."""
        if not math.isfinite(now) or not self._adapt or self._held:
            return None
        if self._since is None or now < self._since:
            self._since, self._standing = now, (0, now)
        self._feel(now, state)
        proposal = self._policy.propose(now, replace(state, probabilities=self._felt), tuple(self._outcomes))
        change = (proposal.change > 0) - (proposal.change < 0)
        if change != self._standing[0] or now < self._standing[1]:
            self._standing = (change, now)
        if not change or not self._may(change, now):
            return None
        self._move(change)
        self._direction, self._since = change, now
        return LevelChange(self._level, change, "policy", proposal.reason)

    def override(self, change: Literal[-1, 0, 1] | None) -> LevelChange:
        """Apply the player's choice: easier (-1), stay (0), harder (1). None returns the level to the policy."""
        if change is None:
            self._held = False
            self._restart()
            return LevelChange(self._level, 0, "player", "From now on I choose the level again.")
        step = (change > 0) - (change < 0)
        moved = min(max(self._level + step, 1), self.levels) - self._level
        self._held = True
        if moved:
            self._move(moved)
        return LevelChange(self._level, moved, "player", _own_word(step, moved))

    def forget_state(self) -> None:
        """Forget the estimated states of this level; its tasks still count."""
        self._felt, self._felt_at, self._standing = UNKNOWN, math.inf, (0, math.inf)

    def _feel(self, now: float, state: PlayerState) -> None:
        passed = max(now - self._felt_at, 0.0)
        new = -math.expm1(-passed / seconds) if (seconds := self._settings.state_seconds) else 1.0
        self._felt = tuple(old + new * (one - old) for old, one in zip(self._felt, state.probabilities, strict=True))
        self._felt_at = now

    def _may(self, change: int, now: float) -> bool:
        """Return True if a step that the policy proposes may be applied now."""
        factor = self._settings.reversal if change == -self._direction else 1.0
        return (
            1 <= self._level + change <= self.levels
            and self._tasks >= factor * self._settings.min_tasks
            and now - self._since >= factor * self._settings.cooldown_seconds
            and now - self._standing[1] >= self._settings.stand_seconds
        )

    def _move(self, change: int) -> None:
        self._level += change
        self._restart()

    def _restart(self) -> None:
        """Forget tasks, state and waits, as at the start of a level."""
        self._outcomes.clear()
        self._tasks, self._since, self._standing, self._direction = 0, None, (0, 0.0), 0
        self._felt, self._felt_at = UNKNOWN, math.inf


def _own_word(wanted: int, moved: int) -> str:
    if wanted and not moved:
        return "This is already the hardest level." if wanted > 0 else "This is already the easiest level."
    return {-1: "Easier, as you asked.", 0: "The level stays, as you asked.", 1: "Harder, as you asked."}[wanted]
