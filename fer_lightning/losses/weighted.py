"""Cross-entropy in which every class has the same total weight, however rare it is."""

from torch import Tensor, nn

from fer_lightning.losses.soft import positive_counts, soft_cross_entropy


class WeightedCrossEntropy(nn.Module):
    """Class weights N / (K n_k), scikit-learn's "balanced", for n_k >= 1 training rows of class k."""

    def __init__(self, class_counts: list[int]):
        super().__init__()
        counts = positive_counts("weighted", class_counts)
        self.register_buffer("weight", (counts.mean() / counts).float(), persistent=False)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        return soft_cross_entropy(logits, target, self.weight)
