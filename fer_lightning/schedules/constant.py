"""Schedule that keeps the optimiser's learning rate constant after an optional warm-up."""

from fer_lightning.schedules.base import Schedule


class Constant(Schedule):
    """Factor 1 after warm-up."""

    def __init__(self, warmup: float = 0.0):
        super().__init__(warmup)

    def after_warmup(self, step: int) -> float:
        return 1.0
