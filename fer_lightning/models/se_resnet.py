"""A residual network with squeeze-excitation for small faces, without pooling before the first stage."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from timm.layers import DropPath
from torch import Tensor, nn

from fer_lightning.errors import UserError
from fer_lightning.models.blocks import SqueezeExcitation


class SEResNet(nn.Module):
    """The CIFAR form of ResNet (He et al. 2016, arXiv:1512.03385, 4.2; SE as Hu et al. 2018, arXiv:1709.01507).

    ImageNet networks halve the image twice before their first block, so their last map of a 48 px face is 2 x 2. This
    network starts at full size, and its last map is 6 x 6. (B, in_channels, S, S) -> logits (B, num_classes).

    blocks     residual blocks of each stage; every stage after the first halves the side
    channels   channels of each stage; ResNet-18 has [2, 2, 2, 2] blocks of [64, 128, 256, 512]
    squeeze    True: squeeze-excitation in every block, initialised as the identity
    drop_path  probability of skipping the last block, falling linearly to 0 at the first
    dropout    probability before the linear layer
    """

    def __init__(
        self,
        num_classes: int = 7,
        in_channels: int = 1,
        input_size: int = 48,
        blocks: list[int] = (2, 2, 2, 2),
        channels: list[int] = (64, 128, 256, 512),
        squeeze: bool = True,
        drop_path: float = 0.0,
        dropout: float = 0.0,
    ):
        super().__init__()
        _check_stages(blocks, channels)
        self.stem = nn.Sequential(_conv3(in_channels, channels[0]), nn.BatchNorm2d(channels[0]), nn.ReLU())
        rates = iter(torch.linspace(0, drop_path, sum(blocks)).tolist())
        stages = []
        for number, (depth, (before, after)) in enumerate(zip(blocks, pairwise((channels[0], *channels)), strict=True)):
            stride = 1 if number == 0 else 2
            stages.append(Block(before, after, stride, squeeze, next(rates)))
            stages.extend(Block(after, after, 1, squeeze, next(rates)) for _ in range(depth - 1))
        self.blocks = nn.Sequential(*stages)
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(channels[-1], num_classes))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.blocks(self.stem(x)).mean((2, 3)))


class Block(nn.Module):
    """Two 3x3 convolutions with a shortcut; (B, in, S, S) -> (B, out, S / stride, S / stride).

    The last BatchNorm starts at 0, so that a block starts as its shortcut (Goyal et al. 2017, arXiv:1706.02677, 5.1).
    A shortcut of stride 2 averages before its 1x1 convolution (He et al. 2019, arXiv:1812.01187, ResNet-D).
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int, squeeze: bool, drop_path: float):
        super().__init__()
        self.conv1, self.bn1 = _conv3(in_channels, out_channels, stride), nn.BatchNorm2d(out_channels)
        self.conv2, self.bn2 = _conv3(out_channels, out_channels), nn.BatchNorm2d(out_channels)
        nn.init.zeros_(self.bn2.weight)
        self.se = SqueezeExcitation(out_channels, identity=True) if squeeze else nn.Identity()
        self.drop_path = DropPath(drop_path) if drop_path else nn.Identity()
        self.shortcut = nn.Identity()
        if stride != 1 or in_channels != out_channels:
            self.shortcut = nn.Sequential(
                nn.AvgPool2d(stride, ceil_mode=True),
                nn.Conv2d(in_channels, out_channels, 1, bias=False),
                nn.BatchNorm2d(out_channels),
            )

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.bn1(self.conv1(x)))
        y = self.se(self.bn2(self.conv2(y)))
        return torch.relu(self.drop_path(y) + self.shortcut(x))


def _conv3(in_channels: int, out_channels: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1, bias=False)


def _check_stages(blocks: Sequence[int], channels: Sequence[int]) -> None:
    if not blocks or len(blocks) != len(channels) or min(*blocks, *channels) < 1:
        raise UserError(
            f"model.blocks={list(blocks)} model.channels={list(channels)}: must have the same length, one number per "
            "stage, each at least 1. Use [2,2,2,2] and [64,128,256,512]."
        )
