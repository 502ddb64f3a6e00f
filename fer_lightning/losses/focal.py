"""Focal loss: faces that are already classified well count less, so that difficult ones set the gradient."""

import torch
from torch import Tensor, nn

from fer_lightning.errors import UserError
from fer_lightning.losses.soft import full_precision, soft_target, weighted_mean


class Focal(nn.Module):
    """Mean of -sum_k q_k (1 - p_k)^gamma log p_k (Lin et al. 2017, eq. 4); gamma=0 is cross-entropy."""

    def __init__(self, gamma: float = 2.0):
        super().__init__()
        if gamma < 0:
            raise UserError(f"loss.gamma={gamma}: must be at least 0 (0 is cross-entropy). Use loss.gamma=2.")
        self.gamma = gamma

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        logits = full_precision(logits)
        log_p = logits.log_softmax(dim=1)
        # 1 - p without cancellation, and never exactly 0, where the power has no finite slope if gamma < 1.
        miss = (-torch.expm1(log_p)).clamp_min(torch.finfo(log_p.dtype).eps)
        return weighted_mean(-(miss**self.gamma) * log_p, soft_target(target, logits))
