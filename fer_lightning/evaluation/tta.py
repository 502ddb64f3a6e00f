"""Test-time augmentation by name: views of a face over which a network's probabilities are averaged.

    none      the face as it is
    flip      the face and its mirror image
    shift     the face and its mirror image, each moved by one pixel of the network's input to the upper left and to the
              lower right, so that a convolution with stride 2 starts at other pixels
    ten_crop  four corners and the centre of the enlarged face, and the mirror image of each, as in the published
              EmoNeXt. With input size S, the face is enlarged to round(236 / 224 S) pixels and each crop is S by S.

A view is one theta of the warp (`augment/warp.py`), the same for every image. Nothing is random. Enlarging, cropping
and mirroring together interpolate once.
"""

import torch
from torch import Tensor

from fer_lightning.augment.warp import compose, identity
from fer_lightning.errors import UserError

NAMES = ("none", "flip", "shift", "ten_crop")
ENLARGED, CROPPED = 236, 224
MIRROR = torch.tensor([[[-1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]])


def views(name: str, input_size: int) -> list[Tensor | None]:
    """Return the views as theta (1, 2, 3) from output to input coordinates; None is the plain resize."""
    if name == "none":
        return [None]
    if name == "flip":
        return [None, MIRROR]
    if name == "shift":
        pixel = 2 / input_size  # the side is 2 long in theta's coordinates
        shifts = [_part(1.0, pixel, pixel), _part(1.0, -pixel, -pixel)]
        return [*shifts, *(compose(MIRROR, shift) for shift in shifts)]
    if name == "ten_crop":
        crops = five_crops(input_size)
        return [*crops, *(compose(crop, MIRROR) for crop in crops)]
    raise UserError(f"views={name}: must be one of {', '.join(NAMES)}")


def five_crops(input_size: int) -> list[Tensor]:
    """Return the crops upper left, upper right, lower left, lower right and centre, each theta (1, 2, 3)."""
    share = input_size / round(input_size * ENLARGED / CROPPED)
    shift = 1 - share
    centres = [(-shift, -shift), (shift, -shift), (-shift, shift), (shift, shift), (0.0, 0.0)]
    return [_part(share, x, y) for x, y in centres]


def _part(share: float, x: float, y: float) -> Tensor:
    """Return theta of a square with this share of the side, whose centre is (x, y) in theta's coordinates."""
    theta = identity(1)
    theta[:, :, :2] *= share
    theta[0, :, 2] = torch.tensor([x, y])
    return theta
