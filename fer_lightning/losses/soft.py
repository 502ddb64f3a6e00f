"""Cross-entropy against hard or soft targets; every loss uses it, so that one-hot equals hard in all of them."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from fer_lightning.errors import UserError


def full_precision(logits: Tensor) -> Tensor:
    """Return half-precision logits as float32, also under autocast; float64 stays float64."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def soft_target(target: Tensor, logits: Tensor) -> Tensor:
    """Return class indices int (B,) or probabilities float (B, K) as probabilities (B, K) in the logits' dtype."""
    if target.ndim == 1 and not target.is_floating_point():
        target = F.one_hot(target.long(), logits.shape[1])
    if target.shape != logits.shape:
        raise ValueError(
            f"target {target.dtype} {tuple(target.shape)} does not fit logits {tuple(logits.shape)}: "
            "must be class indices int64 (B,) or probabilities float (B, K)"
        )
    return target.to(logits.dtype)


def weighted_mean(losses: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
    """Return sum_ik w_k q_ik l_ik / sum_ik w_k q_ik, for losses l and targets q (B, K), class weights w (K,).

    For hard targets this is the mean of `F.cross_entropy(weight=...)`. A rank of a distributed run divides by the
    weights of its own batch, as torch does.
    """
    mass = target if weight is None else target * weight
    return (mass * losses).sum() / mass.sum()


def soft_cross_entropy(logits: Tensor, target: Tensor, weight: Tensor | None = None, smoothing: float = 0.0) -> Tensor:
    """Return the weighted mean of -log p over targets smoothed to (1 - s) q + s / K (Szegedy et al. 2016, sec. 7)."""
    logits = full_precision(logits)
    target = soft_target(target, logits)
    target = (1 - smoothing) * target + smoothing / logits.shape[1]
    return weighted_mean(-logits.log_softmax(dim=1), target, weight)


class EmptyClass(UserError):
    """Error for a weighted loss if a class has no training row.

    classes  names of the classes; None: their indices
    """

    def __init__(self, loss: str, class_counts: list[int], classes: Sequence[str] | None = None) -> None:
        self.loss = loss
        names = classes or [f"class {index}" for index in range(len(class_counts))]
        empty = [name for name, count in zip(names, class_counts, strict=True) if count < 1]
        super().__init__(
            f"loss={loss}: {', '.join(empty)} has no training row (rows of each class: {class_counts}), and its weight "
            "would be infinite. Train on rows of every class (data.taxonomy, data.train_rows), or use "
            "loss=cross_entropy."
        )


def positive_counts(loss: str, class_counts: list[int]) -> Tensor:
    """Return the training rows of each class as float64 (K,). Raise EmptyClass if a class has no row."""
    if min(class_counts) < 1:
        raise EmptyClass(loss, class_counts)
    return torch.tensor(class_counts, dtype=torch.float64)
