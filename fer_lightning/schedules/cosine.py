"""Schedule of one half cosine from the base learning rate down to the end of the run."""

from fer_lightning.schedules.base import Schedule, check_fraction, cosine


class Cosine(Schedule):
    """Half a cosine from 1 after warm-up to `final` at the end of the run (Loshchilov and Hutter 2017, eq. 5)."""

    def __init__(self, warmup: float = 0.05, final: float = 0.0):
        super().__init__(warmup)
        check_fraction("final", final)
        self.final = final

    def after_warmup(self, step: int) -> float:
        length = max(self.total_steps - self.warmup_steps, 1)
        return cosine(1.0, self.final, (step - self.warmup_steps) / length)
