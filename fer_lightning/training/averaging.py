"""An exponential moving average of a network's weights and statistics."""

import copy
from itertools import chain

import torch
from torch import nn


class AveragedWeights(nn.Module):
    """`module`, a copy of a network that follows it: the weights that are evaluated.

    decay  share of itself that the average keeps per step; early on it follows faster: min(decay, (1 + t) / (10 + t))

    What torch.optim.swa_utils.AveragedModel does, but the host counts the steps: the counter of that one lies on the
    device, and reading it makes the host wait for a GPU twice per step.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        super().__init__()
        self.module = copy.deepcopy(network).requires_grad_(False)
        self.decay = decay

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Move towards the network after its step number `step`, counted from 0; the first one is a copy."""
        kept = min(self.decay, (1 + step) / (10 + step)) if step else 0.0
        averages, values = [], []
        for average, value in zip(_tensors(self.module), _tensors(network), strict=True):
            if average.is_floating_point():
                averages.append(average)
                values.append(value)
            else:
                average.copy_(value)
        torch._foreach_lerp_(averages, values, 1 - kept)


def _tensors(module: nn.Module) -> chain:
    return chain(module.parameters(), module.buffers())
