"""ResEmoteNet as published, at any width, and a lean form without the weights that are only applied to padding."""

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fer_lightning.errors import UserError
from fer_lightning.models.blocks import ResidualBlock, SqueezeExcitation
from fer_lightning.models.input_size import check_input_size

BLOCKS = ("res_block1", "res_block2", "res_block3")


class ResEmoteNet(nn.Module):
    """Three convolutions, squeeze-excitation, three residual blocks, four linear layers; 80,238,599 weights.

    Roy, Kathania, Sharma, Dey and Ansari 2024, "ResEmoteNet: Bridging Accuracy and Loss Reduction in Facial Emotion
    Recognition" (arXiv:2409.10545), with the published state-dict names.
    (B, in_channels, S, S) -> logits (B, num_classes).

    width         factor on every channel count and on the sizes of the linear layers
    lean          True: drop the taps of 3x3 kernels that are only applied to padding at `input_size`. That is
                  44,040,192 weights of res_block3 at 64 and at 48 px. The function and the initial weights of a seed
                  stay the same; images of another size are rejected.
    dropout       probability after the first two poolings
    head_dropout  probability between the linear layers
    """

    smallest_input: ClassVar = {"": 8}  # three poolings; the residual blocks round their sides up

    def __init__(
        self,
        num_classes: int = 7,
        in_channels: int = 3,
        input_size: int = 64,
        width: float = 1.0,
        lean: bool = False,
        dropout: float = 0.2,
        head_dropout: float = 0.5,
    ):
        super().__init__()
        check_input_size(self.smallest_input, input_size, {})
        self.num_classes, self.in_channels, self.input_size, self.lean = (
            num_classes,
            in_channels,
            input_size,
            lean,
        )
        a, b, c, d, e, f = (_scaled(channels, width) for channels in (64, 128, 256, 512, 1024, 2048))
        self.conv1, self.bn1 = nn.Conv2d(in_channels, a, 3, padding=1), nn.BatchNorm2d(a)
        self.conv2, self.bn2 = nn.Conv2d(a, b, 3, padding=1), nn.BatchNorm2d(b)
        self.conv3, self.bn3 = nn.Conv2d(b, c, 3, padding=1), nn.BatchNorm2d(c)
        self.se = SqueezeExcitation(c)
        self.res_block1 = ResidualBlock(c, d)
        self.res_block2 = ResidualBlock(d, e)
        self.res_block3 = ResidualBlock(e, f)
        self.fc1, self.fc2 = nn.Linear(f, e), nn.Linear(e, d)
        self.fc3, self.fc4 = nn.Linear(d, c), nn.Linear(c, num_classes)
        self.dropout, self.head_dropout = nn.Dropout(dropout), nn.Dropout(head_dropout)
        if lean:
            for key, taps in live_kernels(input_size).items():
                block, conv, _ = key.split(".")
                setattr(self.get_submodule(block), conv, _trimmed(self.get_submodule(f"{block}.{conv}"), taps))

    def forward(self, x: Tensor) -> Tensor:
        if self.lean and x.shape[-2:] != (self.input_size, self.input_size):
            height, width = x.shape[-2:]
            raise UserError(
                f"model.lean=true: a lean ResEmoteNet for {self.input_size}x{self.input_size} pixels got "
                f"{height}x{width} and lacks the weights for that size. "
                f"Use model.input_size={height}, or model.lean=false."
            )
        x = self.dropout(F.max_pool2d(torch.relu(self.bn1(self.conv1(x))), 2))
        x = self.dropout(F.max_pool2d(torch.relu(self.bn2(self.conv2(x))), 2))
        x = F.max_pool2d(torch.relu(self.bn3(self.conv3(x))), 2)
        x = self.res_block3(self.res_block2(self.res_block1(self.se(x))))
        x = x.mean((2, 3))
        for layer in (self.fc1, self.fc2, self.fc3):
            x = self.head_dropout(torch.relu(layer(x)))
        return self.fc4(x)


class WholeMapConv2d(nn.Conv2d):
    """A convolution whose kernel covers the whole map, (B, C, k, k) -> (B, out, 1, 1): one matrix product.

    Every kernel that loses taps has this form: it is applied to a 1x1 map, or with stride 2 to a 2x2 map.
    """

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x.flatten(1), self.weight.flatten(1), self.bias)[:, :, None, None]


def live_taps(side: int, stride: int) -> slice:
    """Return the rows (and columns) of a 3x3 kernel with padding 1 that reach a pixel of a side x side map."""
    starts = range(-1, side - 1, stride)
    live = [tap for tap in range(3) if any(0 <= start + tap < side for start in starts)]
    return slice(live[0], live[-1] + 1)


def live_kernels(input_size: int) -> dict[str, slice]:
    """Return {state-dict key: live taps} of the residual blocks' 3x3 kernels for an input of this side (pixels)."""
    side = input_size // 2 // 2 // 2
    taps = {}
    for block in BLOCKS:
        taps[f"{block}.conv1.weight"] = live_taps(side, stride=2)
        side = (side + 1) // 2
        taps[f"{block}.conv2.weight"] = live_taps(side, stride=1)
    return taps


def to_lean(state: dict[str, Tensor], input_size: int) -> dict[str, Tensor]:
    """Return the lean network's state dict from the full one; the dropped taps have no effect at `input_size`."""
    lean = dict(state)
    for key, taps in live_kernels(input_size).items():
        _require_kernel(key, state[key], 3)
        lean[key] = state[key][..., taps, taps].clone()
    return lean


def _scaled(channels: int, width: float) -> int:
    return max(1, round(channels * width))


def _trimmed(conv: nn.Conv2d, taps: slice) -> nn.Conv2d:
    """Return the convolution without its dead taps; no random number is drawn, so both forms start equal."""
    size = taps.stop - taps.start
    if size == 3:
        return conv
    lean = nn.utils.skip_init(WholeMapConv2d, conv.in_channels, conv.out_channels, size)
    lean.load_state_dict({"weight": conv.weight[..., taps, taps], "bias": conv.bias})
    return lean


def _require_kernel(key: str, weight: Tensor, side: int) -> None:
    if weight.shape[-2:] != (side, side):
        raise UserError(
            f"{key}: holds {weight.shape[-2]}x{weight.shape[-1]} kernels, must hold {side}x{side}. The weights are of "
            "the other form (lean or full) or of another input size. Set model.lean and model.input_size to match them."
        )
