"""Tensors on their way to a device."""

import torch
from torch import Tensor


def send(x: Tensor, device: torch.device) -> Tensor:
    """`x` on `device`, without a wait for what a GPU has still to do.

    A copy from ordinary memory makes the host wait for the GPU. From page-locked memory, which torch reuses only when
    the copy is over, it does not.
    """
    if device.type != "cuda" or x.device.type != "cpu":
        return x.to(device)
    return x.pin_memory().to(device, non_blocking=True)
