"""Pixel augmentations: changes of grey levels between the warp and the normalisation; no pixel moves."""

import math

import torch
from torch import Generator, Tensor

from fer_lightning.augment.geometric import chance, require, uniform
from fer_lightning.data.transfer import send


class Pixel:
    """Base of pixel augmentations: `(x, generator) -> x`, float (B, C, S, S) in [0, 1], drawn separately per image.

    The generator is on the CPU, on whatever device x is. x may be changed in place.
    """

    def __call__(self, x: Tensor, generator: Generator) -> Tensor:
        raise NotImplementedError


class Jitter(Pixel):
    """Random brightness and contrast.

    The levels of all channels are multiplied by a factor uniform in [1 - brightness, 1 + brightness]. Then their
    distance to the image's mean is multiplied by a factor uniform in [1 - contrast, 1 + contrast]. The result is
    clipped to [0, 1].
    """

    def __init__(self, brightness: float, contrast: float):
        require(0 <= brightness <= 1, "jitter.brightness", brightness, "from 0 to 1")
        require(0 <= contrast <= 1, "jitter.contrast", contrast, "from 0 to 1")
        self.brightness = brightness
        self.contrast = contrast

    def __call__(self, x: Tensor, generator: Generator) -> Tensor:
        n = len(x)
        brightness = send(uniform(n, 1 - self.brightness, 1 + self.brightness, generator), x.device)
        contrast = send(uniform(n, 1 - self.contrast, 1 + self.contrast, generator), x.device)
        mean = x.mean(dim=(1, 2, 3)) * brightness
        x = x.mul_((brightness * contrast)[:, None, None, None])
        return x.add_((mean - mean * contrast)[:, None, None, None]).clamp_(0, 1)


class Erase(Pixel):
    """Random erasing with random values (Zhong et al. 2020): with probability p, a box becomes noise.

    area   smallest and largest share of the image
    ratio  smallest and largest height / width; a side longer than the image is cut to the image's side
    """

    def __init__(self, p: float, area: tuple[float, float], ratio: tuple[float, float]):
        require(0 <= p <= 1, "erase.p", p, "from 0 to 1")
        require(0 < area[0] <= area[1] <= 1, "erase.area", list(area), "[low, high] with 0 < low <= high <= 1")
        require(0 < ratio[0] <= ratio[1], "erase.ratio", list(ratio), "[low, high] with 0 < low <= high")
        self.p = p
        self.area = tuple(area)
        self.ratio = tuple(ratio)

    def __call__(self, x: Tensor, generator: Generator) -> Tensor:
        mask = self._boxes(len(x), x.shape[-1], generator).expand(x.shape)
        noise = torch.rand(int(mask.sum()), generator=generator)
        return x.masked_scatter_(send(mask, x.device), send(noise, x.device))

    def _boxes(self, n: int, side: int, generator: Generator) -> Tensor:
        area = uniform(n, *self.area, generator) * side**2
        ratio = uniform(n, *(math.log(r) for r in self.ratio), generator).exp()
        height = (area * ratio).sqrt().clamp(1, side).floor() * chance(n, self.p, generator)
        width = (area / ratio).sqrt().clamp(1, side).floor()
        top = (torch.rand(n, generator=generator) * (side - height + 1)).floor()
        left = (torch.rand(n, generator=generator) * (side - width + 1)).floor()
        return box_mask(side, top, left, height, width)


def box_mask(side: int, top: Tensor, left: Tensor, height: Tensor, width: Tensor) -> Tensor:
    """Return bool (n, 1, side, side) that is true inside the boxes; their bounds are (n,) in pixels."""
    pixel = torch.arange(side)
    rows = (pixel >= top[:, None]) & (pixel < (top + height)[:, None])
    columns = (pixel >= left[:, None]) & (pixel < (left + width)[:, None])
    return (rows[:, :, None] & columns[:, None, :])[:, None]
