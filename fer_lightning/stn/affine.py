"""A small spatial transformer for any input size; it shifts, scales, rotates and shears the face within bounds."""

import torch
from torch import Tensor, nn

from fer_lightning.stn.sampling import resample


class AffineSTN(nn.Module):
    """Spatial transformer with a small localisation network, which predicts theta from the image.

    Jaderberg, Simonyan, Zisserman and Kavukcuoglu 2015, "Spatial Transformer Networks" (arXiv:1506.02025), section 3.
    (B, in_channels, H, W) -> same; align_corners=False. theta = identity + max_change * tanh(prediction). The
    prediction starts at zero, so theta starts as exactly the identity, and weight decay pulls it towards the identity.

    max_change  largest change of an entry of theta: 0.5 is 50 % of scale or a shift by a quarter of the side
    """

    def __init__(self, in_channels: int = 3, input_size: int = 64, max_change: float = 0.5):
        super().__init__()
        self.max_change = max_change
        self.localization = nn.Sequential(
            nn.Conv2d(in_channels, 16, 5, stride=2, padding=2, bias=False),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.Conv2d(16, 32, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(32),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(4),
            nn.Flatten(),
        )
        self.head = nn.Sequential(nn.Linear(32 * 4 * 4, 32), nn.ReLU(), nn.Linear(32, 6))
        nn.init.zeros_(self.head[2].weight)
        nn.init.zeros_(self.head[2].bias)
        self.register_buffer("identity", torch.eye(2, 3), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        features = self.localization(x)
        with torch.autocast(x.device.type, enabled=False):
            theta = self.identity + self.max_change * torch.tanh(self.head(features.float())).view(-1, 2, 3)
        self.theta = theta.detach()
        return resample(x, theta, align_corners=False)
