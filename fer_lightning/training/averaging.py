"""Exponential moving average of a network's weights and statistics."""

import copy
from itertools import chain

import torch
from torch import nn

from fer_lightning.compat.torch import move_towards


class AveragedWeights(nn.Module):
    """Averaged copy of a network, in `module`, whose weights are evaluated instead of the network's.

    decay  share of itself that the average keeps per step t: min(decay, (1 + t) / (10 + t)), so that it follows the
           network faster in the first steps

    Like torch.optim.swa_utils.AveragedModel, but the host counts the steps. The counter of AveragedModel is on the
    device, and reading it makes the host wait for a GPU twice per step.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        super().__init__()
        self.module = copy.deepcopy(network).requires_grad_(False)
        self.decay = decay

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Update the average after step number `step`, counted from 0. At step 0 it becomes a copy of the network."""
        kept = min(self.decay, (1 + step) / (10 + step)) if step else 0.0
        averages, values = [], []
        for average, value in zip(_tensors(self.module), _tensors(network), strict=True):
            if average.is_floating_point():
                averages.append(average)
                values.append(value)
            else:
                average.copy_(value)
        move_towards(averages, values, 1 - kept)


def _tensors(module: nn.Module) -> chain:
    return chain(module.parameters(), module.buffers())
