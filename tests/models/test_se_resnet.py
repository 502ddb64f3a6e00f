"""The residual network for small faces: its shape, what it starts as, what it refuses."""

import pytest
import torch

from fer_lightning.errors import UserError
from fer_lightning.models.se_resnet import SEResNet

SMALL = {"blocks": [1, 2], "channels": [4, 8]}


def network(**options):
    torch.manual_seed(0)
    return SEResNet(**SMALL | options)


def faces(n=4, size=48):
    return torch.rand(n, 1, size, size, generator=torch.Generator().manual_seed(1))


def test_its_defaults_are_resnet_18_for_one_channel():
    """11,173,962 weights for CIFAR's 10 classes and 3 channels (kuangliu's, as most quote them)."""
    weights = sum(p.numel() for p in SEResNet(num_classes=10, in_channels=3, squeeze=False).parameters())
    assert weights == 11_173_962


@pytest.mark.parametrize("size", [32, 48, 49, 64])
def test_the_first_stage_keeps_the_size_and_the_others_halve_it(size):
    net = network(blocks=[1, 1, 1], channels=[4, 8, 16])
    assert net.blocks(net.stem(faces(2, size))).shape == (2, 16, -(-size // 4), -(-size // 4))
    assert net(faces(2, size)).shape == (2, 7)


def test_a_block_starts_as_its_shortcut():
    net = network().eval()
    x = torch.rand(2, 8, 6, 6)
    torch.testing.assert_close(net.blocks[2](x), x, rtol=0, atol=0)


def test_every_parameter_gets_a_gradient_after_a_step():
    """The first step moves what starts at zero, which holds back the gradients behind it."""
    net = network(drop_path=0.2, dropout=0.2)
    for parameter in net.parameters():
        parameter.data += 0.01
    net(faces(16)).logsumexp(1).sum().backward()
    assert [name for name, p in net.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_evaluation_neither_drops_nor_looks_at_the_other_images():
    net = network(drop_path=0.9, dropout=0.9).eval()
    torch.testing.assert_close(net(faces())[2:3], net(faces()[2:3]), atol=1e-5, rtol=0)


@pytest.mark.parametrize("options", [{"blocks": [1, 2, 2]}, {"blocks": [1, 0]}, {"blocks": [], "channels": []}])
def test_stages_that_do_not_fit_together_are_refused(options):
    with pytest.raises(UserError, match=r"model.blocks=.*model.channels=.*must have the same length"):
        network(**options)
