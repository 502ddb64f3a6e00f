"""Difficulty policy that uses the success and the estimated state of the player."""

from collections.abc import Sequence
from dataclasses import dataclass

from fer_lightning.config.settings import setting
from fer_lightning.difficulty.performance import Performance, consequence
from fer_lightning.difficulty.policy import Proposal, TaskResult
from fer_lightning.player.state import STATES, PlayerState

EVEN = 1 / len(STATES)


@dataclass(frozen=True, kw_only=True)
class Affect(Performance):
    """Policy that adds success and state; an engaged player keeps the level longer.

        drive = performance.drive + state_weight (p(bored) - p(frustrated))
        propose a change if |drive| >= 1 + hold max(p(engaged) - 1/3, 0) / (2/3)

    An unknown state has equal probabilities and adds nothing, so that the policy then equals `Performance`. Success and
    state can cancel: the level of a player who is bored and fails does not change.
    """

    state_weight: float = setting(1.5, "weight of a certain state, in margins of success", minimum=0)
    hold: float = setting(
        1, "additional drive to change the level of a player who is certainly engaged, in margins of success", minimum=0
    )

    def propose(self, now: float, state: PlayerState, outcomes: Sequence[TaskResult]) -> Proposal:
        frustrated, bored, engaged = state.probabilities
        by_success = self.drive(outcomes)
        by_state = self.state_weight * (bored - frustrated)
        drive = by_success + by_state
        if abs(drive) < 1 + self.hold * max(engaged - EVEN, 0.0) / (1 - EVEN):
            return Proposal(0, "The level seems right for you.")
        return Proposal(1 if drive > 0 else -1, self._reason(by_success, by_state, outcomes))

    def _reason(self, by_success: float, by_state: float, outcomes: Sequence[TaskResult]) -> str:
        """Return a sentence for the player. It names an impression, never a feeling, and asks the player to object."""
        drive = by_success + by_state
        if by_success * drive > 0 and abs(by_success) >= abs(by_state):
            return f"{self.so_far(outcomes)}, {consequence(drive)}."
        impression = "I think you are ready for more" if drive > 0 else "I think this was difficult"
        return f"{impression}, {consequence(drive)}. Please tell me if I am wrong."
