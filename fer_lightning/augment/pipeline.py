"""The augmentation pipeline from uint8 faces to the network's input: warp, pixels, normalisation, mixing."""

from itertools import pairwise
from typing import Any, Literal

import torch
from torch import Generator, Tensor

from fer_lightning.augment.geometric import Geometric
from fer_lightning.augment.mix import Mixing
from fer_lightning.augment.order import check_names
from fer_lightning.augment.pixel import Pixel
from fer_lightning.augment.warp import compose, warp
from fer_lightning.errors import UserError, contract_error, described

KINDS = (Geometric, Pixel, Mixing)
ROUNDING = 1e-3  # distance from [0, 1] that a grey level may have


class Augmentation:
    """Named operations and the order in which they are applied.

    order    name of every node, once each: geometric nodes, then pixel nodes, then at most one mixing node
    padding  content of the warp outside the image: "zeros", "border" or "reflect"
    nodes    operations by name; None switches a node off without a change of the order
    """

    def __init__(
        self, order: list[str], padding: Literal["zeros", "border", "reflect"] = "zeros", **nodes: Any
    ) -> None:
        order = list(order)
        check_order(order, nodes)
        active = [nodes[name] for name in order if nodes[name] is not None]
        self.padding = padding
        self.geometric = [node for node in active if isinstance(node, Geometric)]
        self.pixel = [node for node in active if isinstance(node, Pixel)]
        self.mixing = [node for node in active if isinstance(node, Mixing)]

    def theta(self, n: int, generator: Generator) -> Tensor | None:
        """Return all geometric operations as one theta (n, 2, 3), or None without such an operation."""
        theta = None
        for operation in self.geometric:
            drawn = operation(n, generator)
            check_theta(operation, drawn, n)
            theta = drawn if theta is None else compose(theta, drawn)
        return theta


def check_order(order: list[str], nodes: dict[str, Any]) -> None:
    """Raise UserError if `order` names an unknown node, omits or repeats one, or has the kinds in a wrong order."""
    check_names(order, nodes)
    kinds = [(name, kind_of(name, nodes[name])) for name in order if nodes[name] is not None]
    for (before, kind), (after, next_kind) in pairwise(kinds):
        if next_kind < kind or kind == next_kind == KINDS.index(Mixing):
            raise UserError(
                f"augment.order={order}: '{after}' must not come after '{before}'. Put the geometric nodes first (they "
                f"form one warp), then the pixel nodes, then at most one that mixes. Nodes: {', '.join(nodes)}."
            )


def kind_of(name: str, node: object) -> int:
    for index, kind in enumerate(KINDS):
        if isinstance(node, kind):
            return index
    allowed = " or ".join(f"{kind.__module__}.{kind.__name__}" for kind in KINDS)
    raise UserError(f"augment.{name} is a {type(node).__name__}, must be a subclass of {allowed}. Fix its _target_.")


def check_theta(operation: Geometric, theta: object, n: int) -> None:
    """Raise UserError if the theta of an operation is not finite float32 (n, 2, 3)."""
    fault = _fault(theta, (n, 2, 3))
    if fault:
        allowed = f"must return finite float32 ({n}, 2, 3): a theta per image"
        raise contract_error("augment", operation, f"returned {fault} for {n} images", allowed)


def check_pixels(operation: Pixel, x: object, shape: torch.Size) -> None:
    """Raise UserError if the images of an operation are not float32 of this shape in [0, 1]. Wait for the device."""
    fault = _fault(x, shape)
    if isinstance(x, Tensor) and not fault:
        low, high = (value.item() for value in x.aminmax())
        if low < -ROUNDING or high > 1 + ROUNDING:
            fault = f"levels from {low:g} to {high:g}"
        elif 0 in x.stride():
            fault = "an expanded tensor (contiguous() copies it)"
    if fault:
        allowed = f"must return finite float32 {tuple(shape)} in [0, 1], not an expanded tensor"
        raise contract_error("augment", operation, f"returned {fault} for images {tuple(shape)}", allowed)


def _fault(value: object, shape: tuple[int, ...]) -> str:
    """Return what differs from finite float32 of this shape; '' if nothing does."""
    if not isinstance(value, Tensor) or value.dtype != torch.float32 or value.shape != shape:
        return described(value)
    return "" if value.isfinite().all() else "numbers that are not finite"


class BatchTransform:
    """Transform of uint8 faces to normalised float32 (B, C, input_size, input_size) on the same device.

    Faces (B, H, H) are grey, C = 1; faces (B, H, H, 3) are RGB, C = 3. All draws come from a CPU generator, so that a
    seed gives the same augmentation on every device.
    mean, std  mean and standard deviation of levels in [0, 1], the same for all channels
    """

    def __init__(self, augmentation: Augmentation, input_size: int, mean: float, std: float, num_classes: int) -> None:
        self.augmentation = augmentation
        self.input_size = input_size
        self.mean = mean
        self.std = std
        self.num_classes = num_classes
        self._checked = False  # True: the results of pixel operations have been checked, on the first batch

    def train(
        self, images: Tensor, target: Tensor, generator: Generator, size: int | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return augmented x and the target: int64 (B,) unchanged or, after mixing, float (B, K).

        size  side of x in pixels; None: input_size
        """
        augmentation = self.augmentation
        theta = augmentation.theta(len(images), generator)
        # Only pixel operations need values in [0, 1]. Without them the warp normalises. Mixing is a weighted mean and
        # gives the same result before and after the normalisation.
        mean, std = (0.0, 1.0) if augmentation.pixel else (self.mean, self.std)
        x = warp(images, theta, size or self.input_size, augmentation.padding, mean, std)
        for operation in augmentation.pixel:
            shape, x = x.shape, operation(x, generator)
            if not self._checked:
                check_pixels(operation, x, shape)
        self._checked = True
        if augmentation.pixel:
            x = x.sub_(self.mean).div_(self.std)
        for mixing in augmentation.mixing:
            x, target = mixing(x, target, self.num_classes, generator)
        return x, target

    def evaluate(self, images: Tensor, view: Tensor | None = None) -> Tensor:
        """Return the images resized and normalised, without any random change.

        view  theta (1, 2, 3) that is applied to all images; None: whole images
        """
        theta = None if view is None else view.expand(len(images), 2, 3)
        return warp(images, theta, self.input_size, "border", self.mean, self.std)
