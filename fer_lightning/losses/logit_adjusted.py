"""Cross-entropy whose logits are adjusted by class frequency, so that the network answers rare classes more often."""

from torch import Tensor, nn

from fer_lightning.errors import UserError
from fer_lightning.losses.label_smoothing import check_smoothing
from fer_lightning.losses.soft import positive_counts, soft_cross_entropy


class LogitAdjusted(nn.Module):
    """Cross-entropy of logits + tau log(n_k / N), against smoothed targets (Menon et al. 2021, eq. 10).

    n_k is the number of training rows of class k, at least 1 (arXiv:2007.07314). The network's own logits become those
    of log p_k - tau log(n_k / N). With tau=1, its probabilities are those of a data set in which all classes are
    equally frequent. Every row has the same weight.

    tau        strength, at least 0; 0: label smoothing
    smoothing  share of the target that is spread evenly over all classes
    """

    def __init__(self, class_counts: list[int], tau: float = 0.5, smoothing: float = 0.1):
        super().__init__()
        check_smoothing(smoothing)
        if not tau >= 0:
            raise UserError(f"loss.tau={tau}: must be at least 0. Use loss.tau=0.5.")
        counts = positive_counts("logit_adjusted", class_counts)
        self.register_buffer("offset", (tau * (counts / counts.sum()).log()).float(), persistent=False)
        self.smoothing = smoothing

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        return soft_cross_entropy(logits + self.offset, target, smoothing=self.smoothing)
