"""Base of learning-rate schedules: warm-up and a factor that depends on the step."""

import math

from fer_lightning.errors import UserError


class Schedule:
    """Learning-rate schedule: `factor(step)` multiplies the optimiser's base learning rates.

    Call `bind` with the length of the run first. Steps are optimiser steps, counted from 0. Durations are fractions of
    the run, so that they hold for any number of epochs. Warm-up is linear over the first `warmup` of the run; the
    factor is 1 at the step after it.
    """

    def __init__(self, warmup: float = 0.0):
        check_fraction("warmup", warmup)
        self.warmup = warmup

    def bind(self, total_steps: int, steps_per_epoch: int) -> None:
        """Set the length of the run (at least 1 step) before the first call of `factor`."""
        self.total_steps = total_steps
        self.steps_per_epoch = steps_per_epoch
        self.warmup_steps = round(self.warmup * total_steps)

    def factor(self, step: int) -> float:
        """Return the factor of the learning rates at an optimiser step."""
        if step < self.warmup_steps:
            return (step + 1) / (self.warmup_steps + 1)
        return self.after_warmup(min(step, self.total_steps))

    def after_warmup(self, step: int) -> float:
        """Return the factor at a step from `warmup_steps` to `total_steps`."""
        raise NotImplementedError

    def observe(self, value: float) -> None:
        """Take the accuracy on validation rows after each epoch; most schedules ignore it."""

    def state_dict(self) -> dict:
        """Return the state that cannot be computed from the step, as plain Python values."""
        return {}

    def load_state_dict(self, state: dict) -> None:
        """Restore what `state_dict` returned."""


def cosine(start: float, end: float, progress: float) -> float:
    """Return half a cosine from `start` at progress 0 to `end` at progress 1 (Loshchilov and Hutter 2017, eq. 5)."""
    progress = min(max(progress, 0.0), 1.0)
    return end + (start - end) * (1 + math.cos(math.pi * progress)) / 2


def check_fraction(key: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise UserError(
            f"schedule.{key}={value}: must be between 0 and 1, because it is a fraction. Use schedule.{key}=0.1."
        )
