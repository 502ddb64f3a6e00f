"""Plain cross-entropy, the reference for every other loss."""

from torch import Tensor, nn

from fer_lightning.losses.soft import soft_cross_entropy


class CrossEntropy(nn.Module):
    """Mean of -sum_k q_k log p_k: logits (B, K), target int64 (B,) or float (B, K)."""

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        return soft_cross_entropy(logits, target)
