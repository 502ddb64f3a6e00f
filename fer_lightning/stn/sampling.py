"""Last step of every spatial transformer: resample an image through theta."""

import torch
from torch import Tensor
from torch.nn import functional as F


def resample(x: Tensor, theta: Tensor, align_corners: bool) -> Tensor:
    """Return x (B, C, H, W) resampled bilinearly at theta (B, 2, 3), which maps output to input coordinates in [-1, 1].

    Points outside the image are zero. The computation is always in float32 and without a matrix product, because bf16
    or TF32 coordinates are wrong by whole pixels. So the identity returns the image unchanged, also under autocast.
    The result has x's dtype.
    """
    height, width = x.shape[-2:]
    with torch.autocast(x.device.type, enabled=False):
        theta = theta.float()[:, :, None, None, :]
        across = _centres(width, align_corners, x.device)[None, None, None, :]
        down = _centres(height, align_corners, x.device)[None, None, :, None]
        grid = theta[..., 0] * across + theta[..., 1] * down + theta[..., 2]
        warped = F.grid_sample(x.float(), grid.permute(0, 2, 3, 1), align_corners=align_corners)
    return warped.to(x.dtype)


def _centres(length: int, align_corners: bool, device: torch.device) -> Tensor:
    """Return the coordinates of `length` pixels.

    -1 and 1 are the centres of the outer pixels (align_corners=True) or their outer edges.
    """
    end = 1.0 if align_corners else 1.0 - 1.0 / length
    return torch.linspace(-end, end, length, device=device)
