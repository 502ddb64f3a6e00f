"""Sampler of every row once per epoch, in random order."""

import torch
from torch import Tensor

from fer_lightning.samplers.base import GlobalSampler


class Shuffle(GlobalSampler):
    """Random permutation of all rows."""

    def draw(self, generator: torch.Generator) -> Tensor:
        return torch.randperm(len(self.labels), generator=generator)
