"""The sizes of EmoNeXt below tiny: timm's ConvNeXt with every addition, at 64 px."""

from typing import get_args, get_type_hints

import pytest
import timm
import torch

from fer_lightning.models.blocks import SqueezeExcitation
from fer_lightning.models.emonext import EmoNeXt
from fer_lightning.models.imagenet_weights import TAGS
from fer_lightning.stn.emonext import EmoNeXtSTN


def weights(network: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(
    ("size", "total", "widths"),
    [
        ("atto", 3_376_767, (40, 80, 160, 320)),
        ("femto", 4_835_479, (48, 96, 192, 384)),
        ("pico", 8_536_263, (64, 128, 256, 512)),
        ("nano", 14_957_047, (80, 160, 320, 640)),
    ],
)
def test_a_small_size_is_timms_convnext_with_every_addition(size, total, widths):
    torch.manual_seed(0)  # with some other seeds, no unit of a squeeze of five is active
    network = EmoNeXt(size=size, input_size=64)
    stages, last = network.convnext.stages, widths[-1]
    squeezes = [weights(stage.downsample[2]) for stage in stages[1:]]
    assert squeezes == [2 * width * (width // 16) for width in widths[1:]]
    attention = 3 * (last * last + last) + 2 * last  # three projections and a layer norm
    assert weights(network) == total + sum(squeezes) + attention
    assert weights(timm.create_model(f"convnext_{size}", num_classes=7)) == total

    faces = EmoNeXtSTN(3, input_size=64)(torch.rand(2, 3, 64, 64))
    logits = network(faces)
    assert logits.shape == (2, 7)
    (logits.logsumexp(1).sum() + network.auxiliary["attention"]).backward()
    assert all(module.fc[0].weight.grad.any() for module in network.modules() if isinstance(module, SqueezeExcitation))


def test_token_attention_works_at_the_smallest_size():
    assert EmoNeXt(size="atto", input_size=64, attention="tokens")(torch.rand(2, 3, 64, 64)).shape == (2, 7)


def test_each_size_has_its_weights_listed():
    assert get_args(get_type_hints(EmoNeXt.__init__)["size"]) == tuple(TAGS)
