"""Each network declares the smallest images that it accepts, and the declared size is right."""

import pytest
import torch
from conftest import composed

from fer_lightning.check.annotations import class_constant
from fer_lightning.check.check import check
from fer_lightning.errors import UserError
from fer_lightning.models.emonext import EmoNeXt
from fer_lightning.models.resemotenet import ResEmoteNet
from fer_lightning.models.se_resnet import SEResNet


@pytest.mark.parametrize(
    ("build", "smallest"),
    [
        (lambda size: ResEmoteNet(width=0.0625, input_size=size), 8),
        (lambda size: EmoNeXt(size="atto", input_size=size), 32),
        (lambda size: EmoNeXt(size="atto", input_size=size, attention="tokens"), 64),
    ],
)
def test_the_smallest_image_passes_and_a_smaller_one_is_refused(build, smallest):
    images = torch.rand(2, 3, smallest, smallest)
    assert build(smallest).train()(images).shape == (2, 7)
    with pytest.raises(UserError, match=rf"model\.input_size={smallest - 1}.*must be {smallest} or more"):
        build(smallest - 1)


def test_a_network_that_reduces_no_image_to_nothing_has_no_limit():
    assert SEResNet(input_size=4, blocks=[1, 1], channels=[4, 8]).train()(torch.rand(2, 1, 4, 4)).shape == (2, 7)


def test_the_limit_is_known_before_torch_is_imported():
    assert class_constant("fer_lightning.models.emonext.EmoNeXt", "smallest_input") == EmoNeXt.smallest_input
    assert class_constant("fer_lightning.models.se_resnet.SEResNet", "smallest_input") is None


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["model=emonext", "model.input_size=24"], "model.input_size=24: must be 32 or more"),
        (["model=emonext", "model.attention=tokens", "model.input_size=48"], "must be 64 or more"),
        (["model=resemotenet", "model.input_size=7"], "model.input_size=7: must be 8 or more"),
        (["model=se_resnet", "model.input_size=0"], "model.input_size=0: must be 1 or more"),
    ],
)
def test_the_check_of_a_config_uses_the_limit_of_the_network(overrides, message):
    with pytest.raises(UserError, match=message):
        check(composed("data=synthetic", *overrides))


@pytest.mark.parametrize("overrides", [["model=resemotenet", "model.input_size=24"], ["model=se_resnet"]])
def test_the_check_accepts_what_the_network_accepts(overrides):
    check(composed("data=synthetic", "model.input_size=24", *overrides))
