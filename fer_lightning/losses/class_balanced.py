"""Cross-entropy weighted by the effective number of rows, between no weights and inverse frequency."""

from torch import Tensor, nn

from fer_lightning.errors import UserError
from fer_lightning.losses.soft import positive_counts, soft_cross_entropy


class ClassBalanced(nn.Module):
    """Class weights (1 - beta) / (1 - beta^n_k), scaled to sum to K (Cui et al. 2019, eq. 2 and section 4).

    n_k is the number of training rows of class k, at least 1.
    """

    def __init__(self, class_counts: list[int], beta: float = 0.9999):
        super().__init__()
        if not 0 <= beta < 1:
            raise UserError(f"loss.beta={beta}: must be at least 0 and less than 1. Use loss.beta=0.9999.")
        weight = (1 - beta) / (1 - beta ** positive_counts("class_balanced", class_counts))
        self.register_buffer("weight", (weight / weight.mean()).float(), persistent=False)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        return soft_cross_entropy(logits, target, self.weight)
