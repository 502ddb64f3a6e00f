"""Difficulty by success and by what the player seems to feel."""

from collections.abc import Sequence

from fer_lightning.difficulty.performance import Performance, consequence
from fer_lightning.difficulty.policy import Outcome, Proposal
from fer_lightning.player.state import STATES, PlayerState

EVEN = 1 / len(STATES)


class Affect:
    """Success and state push together; engagement holds the level.

        drive = performance.drive + state_weight (p(bored) - p(frustrated))
        act where |drive| >= 1 + hold (p(engaged) - 1/3) / (2/3), the bracket at least 0

    A state of which nothing is known has even probabilities and pushes nowhere: `Performance` is left. What success and
    state say against each other cancels: who is bored and fails goes neither up nor down.

    tasks, target, margin  as for `Performance`
    state_weight           what a sure state weighs, in margins of success
    hold                   how much more it takes to change the level of somebody who is surely engaged
    """

    def __init__(
        self,
        tasks: int = 10,
        target: float = 0.75,
        margin: float = 0.15,
        state_weight: float = 1.5,
        hold: float = 1.0,
    ) -> None:
        if state_weight < 0 or hold < 0:
            raise ValueError(f"state_weight={state_weight}, hold={hold}: expected 0 or more")
        self.performance = Performance(tasks, target, margin)
        self.state_weight, self.hold = state_weight, hold

    def propose(self, now: float, state: PlayerState, outcomes: Sequence[Outcome]) -> Proposal:
        frustrated, bored, engaged = state.probabilities
        by_success = self.performance.drive(outcomes)
        by_state = self.state_weight * (bored - frustrated)
        drive = by_success + by_state
        if abs(drive) < 1 + self.hold * max(engaged - EVEN, 0.0) / (1 - EVEN):
            return Proposal(0, "The level seems to fit.")
        return Proposal(1 if drive > 0 else -1, self._reason(by_success, by_state, outcomes))

    def _reason(self, by_success: float, by_state: float, outcomes: Sequence[Outcome]) -> str:
        """In a sentence that says no more about feelings than is known: an impression, and a way to answer it."""
        drive = by_success + by_state
        if by_success * drive > 0 and abs(by_success) >= abs(by_state):
            return f"{self.performance.so_far(outcomes)}, {consequence(drive)}."
        impression = "I had the impression that you could do with more" if drive > 0 else "This seemed to be hard going"
        return f"{impression}, {consequence(drive)}. Say so if I got that wrong."
