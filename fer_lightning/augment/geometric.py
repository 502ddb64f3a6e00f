"""Geometric augmentations: each draws one theta per image; the pipeline composes them into one warp.

An operation never touches pixels. Its theta (n, 2, 3) maps each output point to the input point that it is taken
from. Coordinates run from -1 to 1 over the image, x to the right and y down. Angles are in degrees; shifts are
fractions of the image's side.
"""

import torch
from torch import Generator, Tensor

from fer_lightning.errors import UserError


class Geometric:
    """Base of geometric augmentations: `(n, generator) -> theta` float32 (n, 2, 3), drawn for each image separately."""

    def __call__(self, n: int, generator: Generator) -> Tensor:
        raise NotImplementedError


def uniform(n: int, low: float, high: float, generator: Generator) -> Tensor:
    """Return n numbers, uniform in [low, high)."""
    return torch.rand(n, generator=generator) * (high - low) + low


def chance(n: int, p: float, generator: Generator) -> Tensor:
    """Return n booleans; each is true with probability p."""
    return torch.rand(n, generator=generator) < p


def require(valid: bool, name: str, value: object, allowed: str) -> None:
    """Raise UserError if a parameter of an augmentation is not valid. `name` is its key in the augment group."""
    if not valid:
        raise UserError(f"augment.{name}={value}: must be {allowed}.")


def _theta(n: int, xx, xy, x0, yx, yy, y0) -> Tensor:
    """Return theta with x_in = xx x + xy y + x0 and y_in = yx x + yy y + y0; entries are numbers or (n,)."""
    theta = torch.empty(n, 2, 3)
    for i, entry in enumerate((xx, xy, x0, yx, yy, y0)):
        theta[:, i // 3, i % 3] = entry
    return theta


class Flip(Geometric):
    """Mirror left and right with probability p."""

    def __init__(self, p: float = 0.5):
        require(0 <= p <= 1, "flip.p", p, "from 0 to 1")
        self.p = p

    def __call__(self, n: int, generator: Generator) -> Tensor:
        return _theta(n, 1 - 2 * chance(n, self.p, generator).float(), 0, 0, 0, 1, 0)


class Rotate(Geometric):
    """Rotate about the centre by an angle uniform in [-degrees, degrees], with probability p.

    A positive angle turns counter-clockwise.
    """

    def __init__(self, degrees: float, p: float = 1.0):
        require(0 <= degrees <= 180, "rotate.degrees", degrees, "from 0 to 180")
        require(0 <= p <= 1, "rotate.p", p, "from 0 to 1")
        self.degrees = degrees
        self.p = p

    def __call__(self, n: int, generator: Generator) -> Tensor:
        angle = uniform(n, -self.degrees, self.degrees, generator) * chance(n, self.p, generator)
        return rotation(angle)


def rotation(degrees: Tensor) -> Tensor:
    """Return theta (n, 2, 3) that turns image i counter-clockwise by degrees[i] about its centre."""
    radians = torch.deg2rad(degrees)
    cos, sin = torch.cos(radians), torch.sin(radians)
    return _theta(len(degrees), cos, -sin, 0, sin, cos, 0)


class Affine(Geometric):
    """Scale, shear and shift about the centre, in this order; `Rotate` is a separate operation.

    scale  range of the factor on the face's size, uniform in [1 - scale, 1 + scale]; above 1 enlarges
    shift  range in fractions of the side, uniform in [-shift, shift] for each axis; positive moves right and down
    shear  range in degrees, uniform in [-shear, shear]; positive moves the lower rows to the right
    """

    def __init__(self, scale: float = 0.0, shift: float = 0.0, shear: float = 0.0):
        require(0 <= scale < 1, "affine.scale", scale, "0 or greater, and less than 1")
        require(0 <= shift <= 1, "affine.shift", shift, "from 0 to 1 (0.1 is a tenth of the side)")
        require(0 <= shear < 90, "affine.shear", shear, "0 or greater, and less than 90 (degrees)")
        self.scale = scale
        self.shift = shift
        self.shear = shear

    def __call__(self, n: int, generator: Generator) -> Tensor:
        zoom = 1 / uniform(n, 1 - self.scale, 1 + self.scale, generator)
        slope = torch.tan(torch.deg2rad(uniform(n, -self.shear, self.shear, generator)))
        # The side is 2 long in theta's coordinates.
        right = 2 * uniform(n, -self.shift, self.shift, generator)
        down = 2 * uniform(n, -self.shift, self.shift, generator)
        return _theta(n, zoom, -zoom * slope, zoom * (slope * down - right), 0, zoom, -zoom * down)


class Crop(Geometric):
    """Enlarge to `resize` and cut a `crop` square at a uniform position (published: resize 236, crop 224).

    Only the ratio crop / resize matters: this share of the side fills the model's input, at any input size.
    """

    def __init__(self, resize: int, crop: int):
        require(0 < crop <= resize, "crop.crop", crop, f"greater than 0 and at most resize={resize}")
        self.share = crop / resize

    def __call__(self, n: int, generator: Generator) -> Tensor:
        margin = 1 - self.share
        x, y = uniform(n, -margin, margin, generator), uniform(n, -margin, margin, generator)
        return _theta(n, self.share, 0, x, 0, self.share, y)
