"""Layers that several networks share."""

import torch
from torch import Tensor, nn


class SqueezeExcitation(nn.Module):
    """Gate on each channel, computed from the means of all channels (Hu et al. 2018, arXiv:1709.01507, eq. 2-4).

    (B, C, H, W) -> same. The two linear layers have no bias. The gate is a sigmoid, in (0, 1). With `identity` it is
    twice the sigmoid, in (0, 2), and its last layer starts at zero, so that the initial gate is exactly 1.
    """

    def __init__(self, channels: int, reduction: int = 16, identity: bool = False):
        super().__init__()
        hidden = max(1, channels // reduction)
        self.fc = nn.Sequential(
            nn.Linear(channels, hidden, bias=False),
            nn.ReLU(),
            nn.Linear(hidden, channels, bias=False),
            nn.Sigmoid(),
        )
        self.scale = 2.0 if identity else 1.0
        if identity:
            nn.init.zeros_(self.fc[2].weight)

    def forward(self, x: Tensor) -> Tensor:
        gate = self.scale * self.fc(x.mean((2, 3)))
        return x * gate[:, :, None, None].to(x.dtype)


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions, the first of stride 2, around a 1x1 shortcut (He et al. 2016, arXiv:1512.03385, fig. 5).

    (B, in, S, S) -> (B, out, ceil(S / 2), ceil(S / 2)). As in ResEmoteNet, the convolutions before BatchNorm have
    a bias.
    """

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride=2, padding=1)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.shortcut = nn.Sequential(nn.Conv2d(in_channels, out_channels, 1, stride=2), nn.BatchNorm2d(out_channels))

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.bn1(self.conv1(x)))
        return torch.relu(self.bn2(self.conv2(y)) + self.shortcut(x))
