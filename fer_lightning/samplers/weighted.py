"""Every class as often as any other: rare faces come many times an epoch, common ones are partly left out."""

import numpy as np
import torch
from torch import Tensor

from fer_lightning.samplers.base import GlobalSampler


class Weighted(GlobalSampler):
    """N rows with replacement, each with a chance inverse to its class's frequency.

    A class without rows is never drawn. Ranks share no position of the draw, though they may share rows.
    """

    def draw(self, generator: torch.Generator) -> Tensor:
        chance = torch.from_numpy(1 / np.bincount(self.labels)[self.labels])
        return torch.multinomial(chance, len(self.labels), replacement=True, generator=generator)
