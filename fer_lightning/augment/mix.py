"""Mixing augmentations: each image is blended with another image of its batch, and so is its label.

Labels (B,) become probabilities (B, K).
"""

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from fer_lightning.augment.geometric import chance, require
from fer_lightning.augment.pixel import box_mask
from fer_lightning.data.transfer import send


class Mixing:
    """Base of mixing augmentations: draws the share that each image keeps of its own pixels.

    `shares(n, side, generator)` returns float (n, 1, 1, 1) or (n, 1, side, side) in [0, 1]. The share of the image's
    own label is the mean over its pixels, so that label and image always agree.
    """

    def shares(self, n: int, side: int, generator: Generator) -> Tensor:
        raise NotImplementedError

    def __call__(self, x: Tensor, target: Tensor, num_classes: int, generator: Generator) -> tuple[Tensor, Tensor]:
        """Return mixed x (B, C, S, S) and float target (B, num_classes), each row of which sums to 1.

        target  int64 (B,) or float (B, num_classes)
        """
        n = len(x)
        own = send(self.shares(n, x.shape[-1], generator), x.device)
        partner = send(torch.randperm(n, generator=generator), x.device)
        share = own.mean(dim=(1, 2, 3))[:, None]
        target = F.one_hot(target, num_classes).float() if target.ndim == 1 else target
        return torch.lerp(x[partner], x, own), torch.lerp(target[partner], target, share)


def beta(n: int, alpha: float, generator: Generator) -> Tensor:
    """Return n draws from Beta(alpha, alpha); torch has no Beta distribution that takes a generator."""
    seed = torch.randint(2**63 - 1, (), generator=generator).item()
    return torch.from_numpy(np.random.default_rng(seed).beta(alpha, alpha, n)).float()


def require_alpha(alpha: float, name: str) -> None:
    """Raise UserError if Beta(alpha, alpha) does not exist."""
    require(0 < alpha < math.inf, name, alpha, "a finite number greater than 0")


class Mixup(Mixing):
    """Weighted mean of two images; the weight is drawn from Beta(alpha, alpha) (Zhang et al. 2018)."""

    def __init__(self, alpha: float):
        require_alpha(alpha, "mixup.alpha")
        self.alpha = alpha

    def shares(self, n: int, side: int, generator: Generator) -> Tensor:
        return beta(n, self.alpha, generator)[:, None, None, None]


class CutMix(Mixing):
    """A box of another image, pasted over this one (Yun et al. 2019, equation 2).

    Its area is 1 - Beta(alpha, alpha) of the image. Its centre is anywhere in the image; the part outside is cut off.
    """

    def __init__(self, alpha: float):
        require_alpha(alpha, "cutmix.alpha")
        self.alpha = alpha

    def shares(self, n: int, side: int, generator: Generator) -> Tensor:
        box = side * (1 - beta(n, self.alpha, generator)).sqrt()
        top = (torch.rand(n, generator=generator) * side - box / 2).round()
        left = (torch.rand(n, generator=generator) * side - box / 2).round()
        return 1 - box_mask(side, top, left, box.round(), box.round()).float()


class Mix(Mixing):
    """CutMix or Mixup, chosen for each image.

    p       probability that an image is mixed at all
    cutmix  probability that a mixed image gets CutMix; otherwise it gets Mixup
    """

    def __init__(self, p: float, cutmix: float, mixup_alpha: float, cutmix_alpha: float):
        require(0 <= p <= 1, "mix.p", p, "from 0 to 1")
        require(0 <= cutmix <= 1, "mix.cutmix", cutmix, "from 0 to 1")
        require_alpha(mixup_alpha, "mix.mixup_alpha")
        require_alpha(cutmix_alpha, "mix.cutmix_alpha")
        self.p = p
        self.cutmix = cutmix
        self.by_mixup = Mixup(mixup_alpha)
        self.by_cutmix = CutMix(cutmix_alpha)

    def shares(self, n: int, side: int, generator: Generator) -> Tensor:
        pasted = self.by_cutmix.shares(n, side, generator)
        blended = self.by_mixup.shares(n, side, generator)
        use_cutmix = chance(n, self.cutmix, generator)[:, None, None, None]
        mixed = chance(n, self.p, generator)[:, None, None, None]
        return torch.where(mixed, torch.where(use_cutmix, pasted, blended), 1.0)
