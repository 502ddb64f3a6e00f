"""A spatial transformer in front of a backbone: what is trained, averaged and exported."""

from torch import Tensor, nn


class Network(nn.Module):
    """Normalised images (B, 1, S, S) to logits (B, K); the one grey channel is expanded as a view where needed."""

    def __init__(self, stn: nn.Module, backbone: nn.Module, in_channels: int) -> None:
        super().__init__()
        self.stn, self.backbone, self.in_channels = stn, backbone, in_channels

    def forward(self, image: Tensor) -> Tensor:
        if self.in_channels != image.shape[1]:
            image = image.expand(-1, self.in_channels, -1, -1)
        return self.backbone(self.stn(image))

    @property
    def auxiliary(self) -> dict[str, Tensor]:
        """Extra loss terms of the last forward pass, by name."""
        return getattr(self.backbone, "auxiliary", {})
