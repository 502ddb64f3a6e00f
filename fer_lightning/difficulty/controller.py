"""What becomes of a policy's proposals: the level of the game, with safeguards that hold for any policy."""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from fer_lightning.difficulty.policy import Outcome, Policy
from fer_lightning.player.state import PlayerState

KEPT = 50  # outcomes; no policy looks further back
UNKNOWN = (1 / 3, 1 / 3, 1 / 3)  # probabilities of a state of which nothing is known


@dataclass(frozen=True)
class Decision:
    """A new level, or a word of the player: `change` is what came of it, 0 at the end of the scale."""

    level: int
    change: Literal[-1, 0, 1]
    by: Literal["policy", "player"]
    reason: str


class Controller:
    """The level of one player's game.

    levels            1 (easiest) to this
    start             held within them
    cooldown_seconds  from one change of level to the policy's next
    min_tasks         finished on a level before the policy may leave it
    stand_seconds     for which the policy must have proposed the same step, at each `update`, before it is taken
    reversal          how many times the cooldown and the tasks it takes to turn round: hysteresis against going to and
                      fro between a level that is too easy and one that is too hard
    state_seconds     time constant with which the state that the policy is shown follows the player's, from unknown on
                      each new level: a moment says little about a level
    adapt             the switch: False, and the policy is not even asked

    The policy moves one level at a time. The player's own word (`override`) counts at once, and holds until they give
    it back. Times are seconds on any clock; where it goes back, the waiting begins anew.
    """

    def __init__(
        self,
        policy: Policy,
        *,
        levels: int = 10,
        start: int = 3,
        cooldown_seconds: float = 20.0,
        min_tasks: int = 3,
        stand_seconds: float = 2.0,
        reversal: float = 2.0,
        state_seconds: float = 20.0,
        adapt: bool = True,
    ) -> None:
        for name, value, least in (
            ("levels", levels, 1),
            ("cooldown_seconds", cooldown_seconds, 0),
            ("min_tasks", min_tasks, 0),
            ("stand_seconds", stand_seconds, 0),
            ("reversal", reversal, 1),
            ("state_seconds", state_seconds, 0),
        ):
            if not value >= least:
                raise ValueError(f"{name}={value}: expected {least} or more")
        self._policy, self.levels = policy, levels
        self._cooldown, self._min_tasks = cooldown_seconds, min_tasks
        self._stand, self._reversal, self._state_seconds = stand_seconds, reversal, state_seconds
        self._adapt, self._held = adapt, False
        self._level = min(max(start, 1), levels)
        self._outcomes: deque[Outcome] = deque(maxlen=KEPT)
        self._tasks = 0
        self._direction = 0
        self._since: float | None = None  # the last change; None: the first update sets it
        self._standing: tuple[int, float] = (0, 0.0)
        self._felt, self._felt_at = UNKNOWN, math.inf

    @property
    def level(self) -> int:
        return self._level

    @property
    def held(self) -> bool:
        """The player's own word stands."""
        return self._held

    @property
    def adapt(self) -> bool:
        return self._adapt

    @adapt.setter
    def adapt(self, on: bool) -> None:
        if on and not self._adapt:
            self._begin_anew()
        self._adapt = on

    @property
    def outcomes(self) -> Sequence[Outcome]:
        """Since the last change, oldest first."""
        return self._outcomes

    def outcome(self, outcome: Outcome) -> None:
        """A finished task; one of another level says nothing about this one."""
        if outcome.level == self._level:
            self._outcomes.append(outcome)
            self._tasks += 1

    def update(self, now: float, state: PlayerState) -> Decision | None:
        """Ask the policy, about once a second or more often; the decision where the level changes, else None."""
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
        return Decision(self._level, change, "policy", proposal.reason)

    def override(self, change: Literal[-1, 0, 1] | None) -> Decision:
        """The player's word: easier, stay, harder; None gives the level back to the policy, which waits anew."""
        if change is None:
            self._held = False
            self._begin_anew()
            return Decision(self._level, 0, "player", "From now on I look after the level again.")
        step = (change > 0) - (change < 0)
        moved = min(max(self._level + step, 1), self.levels) - self._level
        self._held = True
        if moved:
            self._move(moved)
        return Decision(self._level, moved, "player", _own_word(step, moved))

    def forget_state(self) -> None:
        """What the player has seemed to feel on this level no longer counts; the tasks still do."""
        self._felt, self._felt_at, self._standing = UNKNOWN, math.inf, (0, math.inf)

    def _feel(self, now: float, state: PlayerState) -> None:
        passed = max(now - self._felt_at, 0.0)
        new = -math.expm1(-passed / self._state_seconds) if self._state_seconds else 1.0
        self._felt = tuple(old + new * (one - old) for old, one in zip(self._felt, state.probabilities, strict=True))
        self._felt_at = now

    def _may(self, change: int, now: float) -> bool:
        """Whether a step that the policy proposes may be taken."""
        factor = self._reversal if change == -self._direction else 1.0
        return (
            1 <= self._level + change <= self.levels
            and self._tasks >= factor * self._min_tasks
            and now - self._since >= factor * self._cooldown
            and now - self._standing[1] >= self._stand
        )

    def _move(self, change: int) -> None:
        self._level += change
        self._begin_anew()

    def _begin_anew(self) -> None:
        """Nothing that was seen before counts from here on."""
        self._outcomes.clear()
        self._tasks, self._since, self._standing, self._direction = 0, None, (0, 0.0), 0
        self._felt, self._felt_at = UNKNOWN, math.inf


def _own_word(wanted: int, moved: int) -> str:
    if wanted and not moved:
        return "This is the hardest level already." if wanted > 0 else "This is the easiest level already."
    return {-1: "Easier, as you asked.", 0: "The level stays, as you asked.", 1: "Harder, as you asked."}[wanted]
