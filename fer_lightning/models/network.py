"""The network that is trained, averaged and exported: a spatial transformer in front of a backbone."""

from torch import Tensor, nn


class Network(nn.Module):
    """Network from normalised images (B, C, S, S) to logits (B, K).

    If the images are grey and the backbone has more input channels, the grey channel is expanded as a view.
    """

    def __init__(self, stn: nn.Module, backbone: nn.Module, in_channels: int) -> None:
        super().__init__()
        self.stn, self.backbone, self.in_channels = stn, backbone, in_channels

    def forward(self, image: Tensor) -> Tensor:
        return self.backbone(self.transform(image))

    def transform(self, image: Tensor) -> Tensor:
        """Return the images as the spatial transformer gives them to the backbone."""
        if self.in_channels != image.shape[1]:
            image = image.expand(-1, self.in_channels, -1, -1)
        return self.stn(image)

    @property
    def auxiliary(self) -> dict[str, Tensor]:
        """Auxiliary loss terms of the last forward pass, by name."""
        return getattr(self.backbone, "auxiliary", {})
