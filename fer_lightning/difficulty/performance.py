"""Difficulty policy that uses only success: it aims at a target share of solved tasks."""

from collections.abc import Sequence

from fer_lightning.difficulty.policy import Proposal, TaskResult
from fer_lightning.player.state import PlayerState

PRIOR = 4.0  # imaginary tasks at the target rate in every estimate, so that a single task decides nothing


class Performance:
    """Policy that raises the level if more of the last tasks are solved than the target, and lowers it if fewer are.

    tasks   number of last tasks that count
    target  wanted share of solved tasks, 0 to 1. Wilson et al. (2019, Nature Communications 10:4646) derive 85 % for
            learning to separate two classes. The tasks of a game are different, so this value is a choice
    margin  distance of the estimated rate from the target at which the level changes
    """

    def __init__(self, tasks: int = 10, target: float = 0.75, margin: float = 0.15) -> None:
        if tasks < 1 or not 0 < target < 1 or not margin > 0:
            raise ValueError(
                f"tasks={tasks}, target={target}, margin={margin}: tasks must be 1 or more, target must be between 0 "
                "and 1, and margin must be greater than 0"
            )
        self.tasks, self.target, self.margin = tasks, target, margin

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
        rate = (solved + PRIOR * self.target) / (len(last) + PRIOR)
        return (rate - self.target) / self.margin

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
