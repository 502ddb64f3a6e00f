"""Difficulty policy that uses only success: it aims at a target share of solved tasks."""

from collections.abc import Sequence
from dataclasses import dataclass

from fer_lightning.config.settings import setting
from fer_lightning.difficulty.policy import Policy, Proposal, TaskResult
from fer_lightning.player.state import PlayerState

PRIOR = 4.0  # imaginary tasks at the target rate in every estimate, so that a single task decides nothing
ROUNDING = 1e-9


@dataclass(frozen=True, kw_only=True)
class Performance(Policy):
    """Policy that raises the level if more of the last tasks are solved than the target, and lowers it if fewer are.

    Wilson et al. (2019, Nature Communications 10:4646) derive a target of 85 % for learning to separate two classes.
    The tasks of a game are different, so the default is a choice.
    """

    tasks: int = setting(10, "number of last tasks that count", minimum=1)
    target: float = setting(0.75, "wanted share of solved tasks", above=0, below=1)
    margin: float = setting(
        0.15,
        "distance from the target at which the level changes; smaller if a player who solves all tasks, or none, would "
        "not reach it",
        above=0,
    )

    def propose(self, now: float, state: PlayerState, outcomes: Sequence[TaskResult]) -> Proposal:
        drive = self.drive(outcomes)
        if abs(drive) < 1:
            return Proposal(0, "The level seems right for you.")
        return Proposal(1 if drive > 0 else -1, f"{self.so_far(outcomes)}, {consequence(drive)}.")

    def drive(self, outcomes: Sequence[TaskResult]) -> float:
        """Return the distance of the estimated rate from the target, in margins: 1 or more means harder, -1 easier.

        The rate is the mean of a beta distribution over the last tasks and PRIOR imaginary tasks at the target rate.
        """
        last = outcomes[-self.tasks :]
        solved = sum(outcome.correct for outcome in last)
        distance = (solved + PRIOR * self.target) / (len(last) + PRIOR) - self.target
        possible = 1 - self.target if distance > 0 else self.target
        largest = possible * self.tasks / (self.tasks + PRIOR)
        return distance / min(self.margin, (1 - ROUNDING) * largest)

    def so_far(self, outcomes: Sequence[TaskResult]) -> str:
        """Return the result so far as a clause: "You solved 5 of the last 6 tasks"."""
        last = outcomes[-self.tasks :]
        solved = sum(outcome.correct for outcome in last)
        if len(last) == 1:
            return "You solved the last task" if solved else "You did not solve the last task"
        if solved == len(last):
            return f"You solved all of the last {len(last)} tasks"
        return f"You solved {solved or 'none'} of the last {len(last)} tasks"


def consequence(drive: float) -> str:
    return "so I made it a little harder" if drive > 0 else "so I made it a little easier"
