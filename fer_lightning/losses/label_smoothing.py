"""Cross-entropy against smoothed targets, which do not reward certainty; useful if many labels are wrong."""

from torch import Tensor, nn

from fer_lightning.errors import UserError
from fer_lightning.losses.soft import soft_cross_entropy


class LabelSmoothing(nn.Module):
    """Cross-entropy against (1 - smoothing) q + smoothing / K (Szegedy et al. 2016, section 7); EmoNeXt uses 0.2."""

    def __init__(self, smoothing: float = 0.2):
        super().__init__()
        check_smoothing(smoothing)
        self.smoothing = smoothing

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        return soft_cross_entropy(logits, target, smoothing=self.smoothing)


def check_smoothing(smoothing: float) -> None:
    """Raise UserError unless the share can be taken from every target."""
    if not 0 <= smoothing < 1:
        raise UserError(f"loss.smoothing={smoothing}: must be at least 0 and less than 1. Use loss.smoothing=0.1.")
