"""3x3 convolution whose weight gradient is fast on small maps, on CPUs with AVX2."""

import functools

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

LARGEST_SIDE = 6  # pixels; above it, torch's weight gradient was as fast or faster
KERNEL = 3  # pixels
TILES = (2, 3, 4)  # sides of the tiles into which a map may be cut
POINTS = (0.0, 1.0, -1.0, 2.0, -2.0)  # a tile of side m needs the first m + 1 of them; infinity is the last point
CHUNK = 64  # images whose transformed maps are in memory at the same time


class SmallMapConv2d(nn.Conv2d):
    """nn.Conv2d with a 3x3 kernel, padding 1 and no bias: (B, in, S, S) -> (B, out, S, S).

    The output and the gradient of the input are torch's, bit for bit. The gradient of the weight equals torch's up to
    rounding. In float32 with AVX2, torch reaches a third of the speed of its forward pass for it on maps of 2 to 6 px,
    so `weight_gradient` computes it there. In evaluation, in other precisions, on other CPUs and on GPUs, the layer is
    nn.Conv2d.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, KERNEL, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        if self.training and max(x.shape[2:]) <= LARGEST_SIDE and _is_float32_on_avx2(x):
            return _Convolution.apply(x, self.weight)
        return super().forward(x)


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return F.conv2d(x, weight, padding=1)

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        for_input, for_weight = ctx.needs_input_grad
        return (
            nn.grad.conv2d_input(x.shape, weight, gradient, padding=1) if for_input else None,
            weight_gradient(x, gradient) if for_weight else None,
        )


def weight_gradient(x: Tensor, gradient: Tensor) -> Tensor:
    """Return the gradient (out, in, 3, 3) of the weight, from the input (B, in, H, W) and the output's gradient.

    This is the minimal filtering algorithm of Winograd (Lavin and Gray 2016, arXiv:1509.09308, section 4): both maps
    are cut into tiles and transformed, and one product of matrices per transformed pixel replaces 9 per pixel.
    """
    height, width = x.shape[2:]
    tile = _cheapest_tile(height, width)
    of_output, of_kernel, of_input = _transforms(tile)
    below, right = -height % tile, -width % tile
    total = x.new_zeros(len(of_input), x.shape[1], gradient.shape[1])
    for images, gradients in zip(x.split(CHUNK), gradient.split(CHUNK), strict=True):
        padded = F.pad(images.permute(0, 2, 3, 1), (0, 0, 1, 1 + right, 1, 1 + below))
        inputs = of_input @ _cut(padded, tile + KERNEL - 1, tile)
        outputs = of_output @ _cut(F.pad(gradients.permute(0, 2, 3, 1), (0, 0, 0, right, 0, below)), tile, tile)
        total.baddbmm_(inputs.permute(1, 2, 0), outputs.transpose(0, 1))
    return (of_kernel @ total.flatten(1)).view(KERNEL, KERNEL, *total.shape[1:]).permute(3, 2, 0, 1)


def _is_float32_on_avx2(x: Tensor) -> bool:
    return (
        x.device.type == "cpu"
        and x.dtype == torch.float32
        and not torch.is_autocast_enabled("cpu")
        and not torch.compiler.is_compiling()
        and torch.backends.cpu.get_cpu_capability() == "AVX2"
    )


def _cheapest_tile(height: int, width: int) -> int:
    """Return the side of the tiles that leaves the fewest products for a map of this size."""
    return min(TILES, key=lambda tile: (tile + KERNEL - 1) ** 2 * -(-height // tile) * -(-width // tile))


def _cut(maps: Tensor, side: int, step: int) -> Tensor:
    """Return all tiles of maps (B, H, W, C), one each `step` pixels: (tiles, side * side, C)."""
    tiles = maps.unfold(1, side, step).unfold(2, side, step)
    return tiles.permute(0, 1, 2, 4, 5, 3).reshape(-1, side * side, maps.shape[3])


@functools.cache
def _transforms(tile: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return the matrices that transform an output's tile, take back a kernel, and transform an input's tile.

    They evaluate polynomials at n - 1 points and at infinity, and interpolate, for n = tile + 2 (Toom and Cook). Each
    is the Kronecker product of the transform of columns and of rows.
    """
    points = torch.tensor(POINTS[: tile + KERNEL - 2], dtype=torch.float64)
    others = [torch.cat([points[:index], points[index + 1 :]]) for index in range(len(points))]
    scales = torch.stack([(point - rest).prod() for point, rest in zip(points, others, strict=True)])
    of_output = _powers(points, tile)
    of_kernel = torch.cat([_powers(points, KERNEL)[:-1] / scales[:, None], _powers(points, KERNEL)[-1:]])
    of_input = torch.stack([*(_polynomial(rest, len(points) + 1) for rest in others), _polynomial(points)])
    return tuple(torch.kron(matrix, matrix).float() for matrix in (of_output, of_kernel.T.contiguous(), of_input))


def _powers(points: Tensor, count: int) -> Tensor:
    """Return the powers 0 to count - 1 of each point, and a last row for infinity: (points + 1, count)."""
    infinity = torch.eye(count, dtype=points.dtype)[-1:]
    return torch.cat([points[:, None] ** torch.arange(count), infinity])


def _polynomial(roots: Tensor, length: int | None = None) -> Tensor:
    """Return the coefficients of the monic polynomial with these roots, lowest first, filled up with zeros."""
    coefficients = torch.ones(1, dtype=roots.dtype)
    for root in roots:
        coefficients = F.pad(coefficients, (1, 0)) - root * F.pad(coefficients, (0, 1))
    return F.pad(coefficients, (0, (length or len(coefficients)) - len(coefficients)))
