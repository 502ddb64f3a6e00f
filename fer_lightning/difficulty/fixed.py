"""Policy without adaptation, with which every other policy is compared."""

from collections.abc import Sequence
from dataclasses import dataclass

from fer_lightning.difficulty.policy import Policy, Proposal, TaskResult
from fer_lightning.player.state import PlayerState


@dataclass(frozen=True, kw_only=True)
class Fixed(Policy):
    """Policy that never proposes a change."""

    def propose(self, now: float, state: PlayerState, outcomes: Sequence[TaskResult]) -> Proposal:
        return Proposal(0, "The level stays as it is.")
