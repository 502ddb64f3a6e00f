"""Private parts of torchmetrics."""

from collections.abc import Mapping

import torch
from torch import Tensor
from torchmetrics import Metric


def restore(metric: Metric, state: Mapping[str, Tensor], device: torch.device) -> None:
    """Set a metric's accumulated state. torchmetrics would otherwise warn that the metric was never updated."""
    for key, value in state.items():
        setattr(metric, key, value.to(device))
    metric._update_count = 1
