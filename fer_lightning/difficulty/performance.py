"""Difficulty by success alone: towards a wanted share of solved tasks."""

from collections.abc import Sequence

from fer_lightning.difficulty.policy import Outcome, Proposal
from fer_lightning.player.state import PlayerState

PRIOR = 4.0  # tasks at the wanted rate that every estimate starts from, so that one task decides nothing


class Performance:
    """Up where more of the last tasks are solved than wanted, down where fewer are.

    tasks   how many of the last tasks count
    target  the wanted share of solved ones, 0 to 1. Wilson et al. (2019, Nature Communications 10:4646) derive 85 % for
            learning to tell two classes apart; a game's tasks are other ones, so the figure is a choice
    margin  how far the estimated rate may be from the target before the level changes
    """

    def __init__(self, tasks: int = 10, target: float = 0.75, margin: float = 0.15) -> None:
        if tasks < 1 or not 0 < target < 1 or not margin > 0:
            raise ValueError(
                f"tasks={tasks}, target={target}, margin={margin}: expected tasks of 1 or more, a target between 0 "
                "and 1, a margin above 0"
            )
        self.tasks, self.target, self.margin = tasks, target, margin

    def propose(self, now: float, state: PlayerState, outcomes: Sequence[Outcome]) -> Proposal:
        drive = self.drive(outcomes)
        if abs(drive) < 1:
            return Proposal(0, "The level seems to fit.")
        return Proposal(1 if drive > 0 else -1, f"{self.so_far(outcomes)}, {consequence(drive)}.")

    def drive(self, outcomes: Sequence[Outcome]) -> float:
        """Distance of the estimated rate from the target in margins: from 1 on it is time to go up, from -1 on, down.

        The rate is the mean of a beta distribution: solved tasks and all tasks, each with PRIOR tasks at the target.
        """
        last = outcomes[-self.tasks :]
        solved = sum(outcome.correct for outcome in last)
        rate = (solved + PRIOR * self.target) / (len(last) + PRIOR)
        return (rate - self.target) / self.margin

    def so_far(self, outcomes: Sequence[Outcome]) -> str:
        """`You solved 5 of the last 6`"""
        last = outcomes[-self.tasks :]
        solved = sum(outcome.correct for outcome in last)
        if solved == len(last):
            return f"You solved all of the last {len(last)}"
        return f"You solved {solved or 'none'} of the last {len(last)}"


def consequence(drive: float) -> str:
    return "so I made it a little harder" if drive > 0 else "so I made it a little easier"
