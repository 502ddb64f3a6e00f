"""Schedule that lowers the learning rate each time the validation accuracy stops improving."""

from fer_lightning.errors import UserError
from fer_lightning.schedules.base import Schedule, check_fraction


class Plateau(Schedule):
    """Multiply by `drop` after more than `patience` epochs in a row without a gain of over `threshold`.

    The factor is never less than `final`. An epoch whose accuracy is NaN counts as one without a gain. The rule equals
    torch's ReduceLROnPlateau(mode="max", threshold_mode="abs").
    """

    def __init__(
        self,
        drop: float = 0.5,
        patience: int = 5,
        threshold: float = 0.0,
        warmup: float = 0.0,
        final: float = 0.01,
    ):
        super().__init__(warmup)
        check_fraction("final", final)
        if not 0 < drop < 1:
            raise UserError(f"schedule.drop={drop}: must be between 0 and 1. Use schedule.drop=0.5.")
        if patience < 0:
            raise UserError(f"schedule.patience={patience}: must be at least 0 (epochs). Use schedule.patience=5.")
        if not threshold >= 0:
            raise UserError(f"schedule.threshold={threshold}: must be at least 0. Use schedule.threshold=0.")
        self.drop = drop
        self.patience = patience
        self.threshold = threshold
        self.final = final
        self.scale = 1.0
        self.best = float("-inf")
        self.bad_epochs = 0

    def after_warmup(self, step: int) -> float:
        return self.scale

    def observe(self, value: float) -> None:
        if value > self.best + self.threshold:
            self.best, self.bad_epochs = value, 0
            return
        self.bad_epochs += 1
        if self.bad_epochs > self.patience:
            self.scale, self.bad_epochs = max(self.scale * self.drop, self.final), 0

    def state_dict(self) -> dict:
        return {"scale": self.scale, "best": self.best, "bad_epochs": self.bad_epochs}

    def load_state_dict(self, state: dict) -> None:
        self.scale, self.best, self.bad_epochs = state["scale"], state["best"], state["bad_epochs"]
