"""The spatial transformer of the published EmoNeXt; the size of its head follows the input size."""

import torch
from torch import Tensor, nn

from fer_lightning.errors import UserError
from fer_lightning.stn.sampling import resample


class EmoNeXtSTN(nn.Module):
    """Spatial transformer in which two convolutions and two linear layers predict theta.

    El Boudouri and Bohi 2023, "EmoNeXt: an Adapted ConvNeXt for Facial Emotion Recognition" (MMSP), after Jaderberg et
    al. 2015 (arXiv:1506.02025). (B, in_channels, S, S) -> same, with S = `input_size`; align_corners=True and
    state-dict names as published. At 224 px the head reads 10 * 52 * 52 = 27,040 values. theta starts as exactly the
    identity, which is the initial value of the last bias.
    """

    def __init__(self, in_channels: int = 3, input_size: int = 224):
        super().__init__()
        self.localization = nn.Sequential(
            nn.Conv2d(in_channels, 8, 7),
            nn.BatchNorm2d(8),
            nn.MaxPool2d(2),
            nn.ReLU(),
            nn.Conv2d(8, 10, 5),
            nn.BatchNorm2d(10),
            nn.MaxPool2d(2),
            nn.ReLU(),
        )
        side = ((input_size - 6) // 2 - 4) // 2
        if side < 1:
            raise UserError(
                f"stn=emonext with model.input_size={input_size}: its two poolings need 18 pixels or more. "
                "Use model.input_size=48, or stn=affine."
            )
        self.fc_loc = nn.Sequential(nn.Linear(10 * side * side, 32), nn.ReLU(), nn.Linear(32, 6))
        nn.init.zeros_(self.fc_loc[2].weight)
        with torch.no_grad():
            self.fc_loc[2].bias.copy_(torch.eye(2, 3).flatten())

    def forward(self, x: Tensor) -> Tensor:
        features = self.localization(x).flatten(1)
        with torch.autocast(x.device.type, enabled=False):
            theta = self.fc_loc(features.float()).view(-1, 2, 3)
        self.theta = theta.detach()
        return resample(x, theta, align_corners=True)
