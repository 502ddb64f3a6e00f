"""A small convolutional network for 48 px faces that learns fast on a CPU."""

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fer_lightning.errors import UserError
from fer_lightning.models.small_maps import SmallMapConv2d

PATCH = 4  # pixels
FILTERS = 16  # whitened patches of one grey channel
VARIANCE_FLOOR = 0.01  # keeps flat patches, which have almost no variance, from being amplified


class WhitenedCNN(nn.Module):
    """Fixed whitening filters of stride 2, then groups of 3x3 convolutions that each halve the side.

    (B, in_channels, S, S) -> logits (B, num_classes). The design is that of airbench (Jordan 2024, arXiv:2404.00498,
    section 3). Whitening decorrelates neighbouring pixels, so that the first trained layer learns at once, and it costs
    no backward pass. The side of a 48 px face is 24 px after the stem, then 12, 6 and 3 px.

    channels        channels of each group
    dropout         probability before the linear layer
    training_faces  normalised images (N, in_channels or 1, S, S) from which the filters are computed; None: the filters
                    stay zero until a checkpoint fills them
    """

    def __init__(
        self,
        num_classes: int = 7,
        in_channels: int = 1,
        input_size: int = 48,
        channels: list[int] = (96, 192, 384),
        dropout: float = 0.3,
        training_faces: Tensor | None = None,
    ):
        super().__init__()
        _check_channels(channels, input_size)
        self.stem = nn.Conv2d(in_channels, 2 * FILTERS, PATCH, stride=2, padding=1, bias=False)
        self.stem.weight.requires_grad_(False).zero_()
        if training_faces is not None:
            filters = whitening_filters(training_faces.expand(-1, in_channels, -1, -1))
            self.stem.weight.copy_(torch.cat([filters, -filters]))
        sizes = itertools.pairwise((2 * FILTERS, *channels))
        self.groups = nn.Sequential(*(Group(before, after) for before, after in sizes))
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(channels[-1], num_classes))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.groups(torch.relu(self.stem(x))).mean((2, 3)))


class Group(nn.Module):
    """Convolution and pooling, then two convolutions with a shortcut; (B, in, S, S) -> (B, out, S // 2, S // 2)."""

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__()
        self.widen = _conv3(in_channels, out_channels)
        self.convolutions = nn.ModuleList([_conv3(out_channels, out_channels) for _ in range(2)])
        self.norms = nn.ModuleList([nn.BatchNorm2d(out_channels) for _ in range(3)])

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.norms[0](F.max_pool2d(self.widen(x), 2)))
        y = torch.relu(self.norms[1](self.convolutions[0](x)))
        return torch.relu(self.norms[2](self.convolutions[1](y))) + x


def whitening_filters(images: Tensor) -> Tensor:
    """Return filters (FILTERS, C, PATCH, PATCH) that decorrelate the patches of images (N, C, S, S).

    They are the leading eigenvectors of the covariance of all patches, each divided by its standard deviation.
    """
    patches = F.unfold(images.float(), PATCH, stride=PATCH).transpose(1, 2).flatten(0, 1)
    patches = patches - patches.mean(0)
    variances, vectors = torch.linalg.eigh(patches.T @ patches / len(patches))
    filters = (vectors / (variances + VARIANCE_FLOOR).sqrt()).T.flip(0)[:FILTERS]
    signs = filters.gather(1, filters.abs().argmax(dim=1, keepdim=True)).sign()  # LAPACK's choice varies by machine
    return (filters * signs).view(FILTERS, images.shape[1], PATCH, PATCH)


def _conv3(in_channels: int, out_channels: int) -> SmallMapConv2d:
    """Return a 3x3 convolution that starts by copying its input channels (dirac), as in airbench."""
    conv = SmallMapConv2d(in_channels, out_channels)
    nn.init.dirac_(conv.weight.data[:in_channels])
    return conv


def _check_channels(channels: list[int], input_size: int) -> None:
    if not channels or min(channels) < 1 or input_size // 2 ** (len(channels) + 1) < 1:
        raise UserError(
            f"model.channels={list(channels)} with model.input_size={input_size}: must be one number per group, each "
            "at least 1; each group halves the side of the image. Use [96,192,384]."
        )
