"""Schedule that rises once and falls once: high learning rates regularise, low ones at the end converge."""

from fer_lightning.schedules.base import Schedule, check_fraction, cosine


class OneCycle(Schedule):
    """Half a cosine up from `start` to 1 over the first `warmup` of the run, then one down to `final` at its last step.

    The optimiser's lr is the highest learning rate (Smith and Topin 2018). The factors equal those of torch's
    OneCycleLR, whose defaults are start 1/25, warmup 0.3, final 4e-6.
    """

    def __init__(self, warmup: float = 0.3, start: float = 0.04, final: float = 0.0):
        super().__init__(warmup)
        check_fraction("start", start)
        check_fraction("final", final)
        self.start = start
        self.final = final

    def factor(self, step: int) -> float:
        last = self.total_steps - 1
        peak = max(self.warmup * self.total_steps - 1, 0.0)
        if step < peak:
            return cosine(self.start, 1.0, step / peak)
        return cosine(1.0, self.final, (step - peak) / max(last - peak, 1))
