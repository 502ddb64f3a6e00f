"""One warp for all geometric changes of a batch and its resize to the model's input.

theta (B, 2, 3) maps output to input coordinates. Both run from -1 to 1 between the outer edges of the image
(`align_corners=False`), x to the right and y down. Two backends take the same theta: OpenCV on uint8 if the images
are on a CPU (several times faster there), `grid_sample` otherwise. They differ by OpenCV's rounding.
"""

from typing import Literal

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from fer_lightning.data.transfer import send

Padding = Literal["zeros", "border", "reflect"]

OPENCV_BORDERS = {
    "zeros": cv2.BORDER_CONSTANT,
    "border": cv2.BORDER_REPLICATE,
    "reflect": cv2.BORDER_REFLECT,
}
GRID_SAMPLE_PADDINGS = {"zeros": "zeros", "border": "border", "reflect": "reflection"}
CACHE_BYTES = 2**18


def identity(n: int) -> Tensor:
    """Return the theta (n, 2, 3) that changes nothing."""
    return torch.eye(2, 3).repeat(n, 1, 1)


def compose(first: Tensor, then: Tensor) -> Tensor:
    """Return one theta that warps by `first` and then warps the result by `then`; all are (B, 2, 3)."""
    theta = first[:, :, :2] @ then
    theta[:, :, 2] += first[:, :, 2]
    return theta


def warp(
    images: Tensor,
    theta: Tensor | None,
    size: int,
    padding: Padding = "zeros",
    mean: float = 0.0,
    std: float = 1.0,
    backend: Literal["opencv", "grid_sample"] | None = None,
) -> Tensor:
    """Warp uint8 images to float32 (B, C, size, size), bilinear, as (level / 255 - mean) / std.

    images     (B, H, H) grey, C = 1; or (B, H, H, 3) RGB, C = 3
    theta      (B, 2, 3), or None for a plain resize; with None and size = H nothing is interpolated
    padding    content outside the image: black (zeros), nearest edge pixel (border), mirrored image (reflect)
    mean, std  mean and standard deviation of levels in [0, 1], of all channels; the defaults give a result in [0, 1]
    backend    None: chosen by the device of `images`
    """
    if theta is None and size == images.shape[1]:
        return _normalise(images, mean, std)
    if theta is None:
        theta, padding = identity(len(images)), "border"
    if backend is None:
        backend = "opencv" if images.device.type == "cpu" else "grid_sample"
    if backend == "opencv":
        return _warp_opencv(images, theta, size, padding, grey_table(mean, std))
    return _warp_grid_sample(images, theta, size, padding).sub_(255 * mean).div_(255 * std)


def pixel_matrices(theta: Tensor, side: int, size: int) -> np.ndarray:
    """Return theta in pixels: float64 (B, 2, 3) from output pixel centres (x, y, 1) to input pixel centres.

    Pixel p of S has its centre at (2p + 1) / S - 1, in input and output coordinates.
    """
    theta = theta.numpy().astype(np.float64)
    linear, shift = theta[:, :, :2], theta[:, :, 2]
    shift = (linear.sum(axis=2) * (1 / size - 1) + shift + 1) * side / 2 - 0.5
    return np.concatenate([linear * (side / size), shift[:, :, None]], axis=2)


def grey_table(mean: float, std: float) -> np.ndarray:
    """Return float32 (256,): the normalised value of each grey level."""
    return ((np.arange(256) / 255 - mean) / std).astype(np.float32)


def _warp_opencv(images: Tensor, theta: Tensor, size: int, padding: Padding, table: np.ndarray) -> Tensor:
    sources = images.numpy()
    matrices = pixel_matrices(theta, images.shape[1], size)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    border = OPENCV_BORDERS[padding]
    channels = tuple(images.shape[3:])
    out = torch.empty(len(images), *(channels or (1,)), size, size)
    # A few images at a time, so that their levels are still in the cache when they become floats.
    levels = np.empty((max(1, CACHE_BYTES // (size**2 * out.shape[1])), size, size, *channels), np.uint8)
    for start in range(0, len(images), len(levels)):
        part = slice(start, start + len(levels))
        for image, matrix, warped in zip(sources[part], matrices[part], levels, strict=False):
            cv2.warpAffine(image, matrix, (size, size), warped, flags, border)
        _look_up(levels[: len(out[part])], table, out[part])
    return out


def _warp_grid_sample(images: Tensor, theta: Tensor, size: int, padding: Padding) -> Tensor:
    theta = send(theta, images.device)
    images = _channels_first(images)
    grid = F.affine_grid(theta, [len(theta), 1, size, size], align_corners=False)
    return F.grid_sample(
        images.float(),
        grid,
        mode="bilinear",
        padding_mode=GRID_SAMPLE_PADDINGS[padding],
        align_corners=False,
    )


def _normalise(images: Tensor, mean: float, std: float) -> Tensor:
    if images.device.type != "cpu":
        return _channels_first(images).float().sub_(255 * mean).div_(255 * std)
    out = torch.empty(_channels_first(images).shape)
    if len(images):
        _look_up(images.numpy(), grey_table(mean, std), out)
    return out


def _channels_first(images: Tensor) -> Tensor:
    """Return images (B, H, W) as (B, 1, H, W), or (B, H, W, 3) as (B, 3, H, W), without a copy."""
    return images[:, None] if images.ndim == 3 else images.permute(0, 3, 1, 2)


def _look_up(levels: np.ndarray, table: np.ndarray, out: Tensor) -> None:
    """Write table[levels] for uint8 levels (B, S, S) or (B, S, S, 3) to out (B, C, S, S)."""
    if levels.ndim == 4:
        out.copy_(torch.from_numpy(table[levels]).permute(0, 3, 1, 2))
        return
    side = levels.shape[-1]
    cv2.LUT(levels.reshape(-1, side), table, out.numpy().reshape(-1, side))
