"""Sampler that draws all classes equally often; rows of a rare class occur several times per epoch."""

import numpy as np
import torch
from torch import Tensor

from fer_lightning.samplers.base import GlobalSampler


class Weighted(GlobalSampler):
    """N rows drawn with replacement, each with a probability inverse to the frequency of its class.

    A class without rows is never drawn. Two ranks never share a position of the draw, but they may share rows.
    """

    corrects_imbalance = True

    def draw(self, generator: torch.Generator) -> Tensor:
        chance = torch.from_numpy(1 / np.bincount(self.labels)[self.labels])
        return torch.multinomial(chance, len(self.labels), replacement=True, generator=generator)
