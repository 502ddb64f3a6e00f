"""Cross-entropy against smoothed targets: certainty does not pay where labels are often wrong."""

from torch import Tensor, nn

from fer_lightning.errors import UserError
from fer_lightning.losses.soft import soft_cross_entropy


class LabelSmoothing(nn.Module):
    """Targets (1 - smoothing) q + smoothing / K (Szegedy et al. 2016, section 7); EmoNeXt uses 0.2."""

    def __init__(self, smoothing: float = 0.2):
        super().__init__()
        if not 0 <= smoothing < 1:
            raise UserError(f"loss.smoothing={smoothing}: must be at least 0 and below 1; try loss.smoothing=0.1.")
        self.smoothing = smoothing

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        return soft_cross_entropy(logits, target, smoothing=self.smoothing)
