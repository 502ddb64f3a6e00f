"""Schedule of several half cosines in a row; each restart lets the network leave its current minimum."""

from bisect import bisect_right
from itertools import accumulate

from fer_lightning.errors import UserError
from fer_lightning.schedules.base import Schedule, check_fraction, cosine

MOST = 100  # cycles, and largest growth of a cycle


class WarmRestarts(Schedule):
    """`cycles` half cosines from 1 to `final`, each `growth` times as long as the one before.

    SGDR (Loshchilov and Hutter 2017). The cycles fill the run and end with whole epochs, so that the last weights of
    each cycle are evaluated. If the run has too few epochs for that, the shortest cycles are omitted.
    """

    def __init__(self, cycles: int = 3, growth: float = 2.0, warmup: float = 0.0, final: float = 0.0):
        super().__init__(warmup)
        check_fraction("final", final)
        if not 1 <= cycles <= MOST:
            raise UserError(f"schedule.cycles={cycles}: must be from 1 to {MOST}. Use schedule.cycles=3.")
        if not 1 / MOST <= growth <= MOST:
            raise UserError(
                f"schedule.growth={growth}: must be from {1 / MOST} to {MOST} (1: equal cycles). Use schedule.growth=2."
            )
        self.cycles = cycles
        self.growth = growth
        self.final = final

    def bind(self, total_steps: int, steps_per_epoch: int) -> None:
        super().bind(total_steps, steps_per_epoch)
        ends = list(accumulate(self.growth**cycle for cycle in range(self.cycles)))
        epochs = [round(end / ends[-1] * total_steps / steps_per_epoch) for end in ends[:-1]]
        inner = (epoch * steps_per_epoch for epoch in epochs)
        inside = sorted({step for step in inner if self.warmup_steps < step < total_steps})
        self.bounds = [self.warmup_steps, *inside, total_steps]

    def after_warmup(self, step: int) -> float:
        cycle = min(bisect_right(self.bounds, step), len(self.bounds) - 1)
        start, end = self.bounds[cycle - 1], self.bounds[cycle]
        return cosine(1.0, self.final, (step - start) / max(end - start, 1))
