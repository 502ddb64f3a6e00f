"""From uint8 faces to the network's input: one warp, then grey levels, mixing and one normalisation."""

from itertools import pairwise
from typing import Literal

from torch import Generator, Tensor

from fer_lightning.augment.geometric import Geometric
from fer_lightning.augment.mix import Mixing
from fer_lightning.augment.order import check_names
from fer_lightning.augment.pixel import Pixel
from fer_lightning.augment.warp import compose, warp
from fer_lightning.errors import UserError

KINDS = (Geometric, Pixel, Mixing)


class Augmentation:
    """Named operations and the order in which they reach an image; the first is applied first.

    order    every node's name once: geometric ones, then pixel ones, then at most one that mixes
    padding  what the warp finds outside the image: "zeros", "border" or "reflect"
    nodes    the operations by name; None switches one off where it stands
    """

    def __init__(self, order: list[str], padding: Literal["zeros", "border", "reflect"] = "zeros", **nodes):
        order = list(order)
        check_order(order, nodes)
        active = [nodes[name] for name in order if nodes[name] is not None]
        self.padding = padding
        self.geometric = [node for node in active if isinstance(node, Geometric)]
        self.pixel = [node for node in active if isinstance(node, Pixel)]
        self.mixing = [node for node in active if isinstance(node, Mixing)]

    def theta(self, n: int, generator: Generator) -> Tensor | None:
        """All geometric operations in one (n, 2, 3), or None where there are none."""
        theta = None
        for operation in self.geometric:
            drawn = operation(n, generator)
            theta = drawn if theta is None else compose(theta, drawn)
        return theta


def check_order(order: list[str], nodes: dict) -> None:
    """Refuse an order that names an unknown node, leaves one out, repeats one or mixes up the kinds."""
    check_names(order, nodes)
    kinds = [(name, kind_of(name, nodes[name])) for name in order if nodes[name] is not None]
    for (before, kind), (after, next_kind) in pairwise(kinds):
        if next_kind < kind or kind == next_kind == KINDS.index(Mixing):
            raise UserError(
                f"augment.order puts '{after}' after '{before}'; first come the geometric nodes (together "
                f"one warp), then those that change pixels, then at most one that mixes. Nodes: {', '.join(nodes)}"
            )


def kind_of(name: str, node: object) -> int:
    for index, kind in enumerate(KINDS):
        if isinstance(node, kind):
            return index
    allowed = ", ".join(f"{kind.__module__}.{kind.__name__}" for kind in KINDS)
    raise UserError(f"augment.{name} is a {type(node).__name__}; a node derives from one of {allowed}")


class BatchTransform:
    """Turns uint8 faces (B, H, H) into normalised float32 (B, 1, input_size, input_size), on their device.

    All draws come from a CPU generator, so that a seed gives the same augmentation on every device.
    mean, std  of grey levels in [0, 1]
    """

    def __init__(self, augmentation: Augmentation, input_size: int, mean: float, std: float, num_classes: int):
        self.augmentation = augmentation
        self.input_size = input_size
        self.mean = mean
        self.std = std
        self.num_classes = num_classes

    def train(
        self, images: Tensor, target: Tensor, generator: Generator, size: int | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return augmented x, and target int64 (B,) as it came or, after mixing, float (B, K).

        size  side of x in pixels; None: input_size
        """
        augmentation = self.augmentation
        theta = augmentation.theta(len(images), generator)
        # Only pixel operations need [0, 1]: without them the warp normalises. Mixing, a weighted mean,
        # gives the same before and after the normalisation.
        mean, std = (0.0, 1.0) if augmentation.pixel else (self.mean, self.std)
        x = warp(images, theta, size or self.input_size, augmentation.padding, mean, std)
        for operation in augmentation.pixel:
            x = operation(x, generator)
        if augmentation.pixel:
            x = x.sub_(self.mean).div_(self.std)
        for operation in augmentation.mixing:
            x, target = operation(x, target, self.num_classes, generator)
        return x, target

    def evaluate(self, images: Tensor, view: Tensor | None = None) -> Tensor:
        """Resized and normalised, with nothing random; `view` theta (1, 2, 3) of all images, None for all of each."""
        theta = None if view is None else view.expand(len(images), 2, 3)
        return warp(images, theta, self.input_size, "border", self.mean, self.std)
