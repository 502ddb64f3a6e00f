"""Private functions and message texts of torch."""

import re

import torch
from torch import Tensor


def move_towards(averages: list[Tensor], values: list[Tensor], share: float) -> None:
    """Move each average by a share of its distance to its value, in place, with one call for all tensors."""
    torch._foreach_lerp_(averages, values, share)


def forbidden_class(error: Exception) -> str | None:
    """Return the class that torch.load refuses to unpickle, or None if the error has another reason."""
    match = re.search(r"GLOBAL (\S+)", str(error))
    return match and match[1]


def is_torchscript(error: Exception) -> bool:
    """Return True if torch.load rejects a file because it holds a TorchScript program."""
    return "TorchScript" in str(error)


def is_cut_short(error: Exception) -> bool:
    """Return True if torch.load has reached the end of a file too early."""
    return "EOF" in str(error)
