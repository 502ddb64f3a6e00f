"""ResEmoteNet's lean form is the same function of the same weights; any input size; all weights train."""

import pytest
import torch

from fer_lightning.errors import UserError
from fer_lightning.models.resemotenet import ResEmoteNet, live_kernels, live_taps, to_lean


def network(seed=0, **options):
    torch.manual_seed(seed)
    return ResEmoteNet(**{"width": 0.125, "input_size": 48} | options)


def faces(size, n=4, channels=3):
    return torch.rand(n, channels, size, size, generator=torch.Generator().manual_seed(1))


def after_steps(net, size):
    """Moves the batch statistics away from their start, so that a mistake in them would show."""
    with torch.no_grad():
        net(faces(size, 8))
    return net.eval()


@pytest.mark.parametrize("size", [32, 40, 48, 57, 64, 96])
def test_lean_has_the_full_networks_logits(size):
    full = after_steps(network(input_size=size), size)
    lean = network(seed=9, input_size=size, lean=True).eval()
    lean.load_state_dict(to_lean(full.state_dict(), size))
    torch.testing.assert_close(lean(faces(size)), full(faces(size)), atol=1e-5, rtol=0)


@pytest.mark.parametrize("size", [32, 48, 64])
def test_one_seed_gives_both_forms_the_same_weights(size):
    full, lean = network(seed=5, input_size=size), network(seed=5, input_size=size, lean=True)
    for key, value in to_lean(full.state_dict(), size).items():
        assert torch.equal(lean.state_dict()[key], value), key


def test_the_dead_taps_are_those_without_a_gradient():
    """Five of nine in res_block3.conv1 and eight of nine in conv2, at 48 and 64 px; no others."""
    assert live_taps(2, stride=2) == slice(1, 3)
    assert live_taps(1, stride=1) == live_taps(1, stride=2) == slice(1, 2)
    assert live_taps(2, stride=1) == live_taps(3, stride=2) == slice(0, 3)
    for size in (48, 64):
        net = network(input_size=size)
        net(faces(size, 8)).logsumexp(1).sum().backward()
        for key, taps in live_kernels(size).items():
            live = torch.zeros(3, 3, dtype=torch.bool)
            live[taps, taps] = True
            assert torch.equal(net.get_parameter(key).grad.abs().sum((0, 1)) > 0, live), key
        assert [t for t in live_kernels(size).values() if t != slice(0, 3)] == [slice(1, 3), slice(1, 2)]


@pytest.mark.parametrize("lean", [False, True])
def test_every_parameter_gets_a_gradient(lean):
    net = network(lean=lean)
    net(faces(48, 8)).logsumexp(1).sum().backward()
    assert [name for name, p in net.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_what_does_not_fit_is_refused():
    with pytest.raises(UserError, match=r"lean ResEmoteNet for 48x48 pixels got 64x64"):
        network(lean=True)(faces(64))
    assert network().eval()(faces(64)).shape == (4, 7)
    with pytest.raises(UserError, match=r"model.input_size=7: must be 8 or more"):
        network(input_size=7)
    lean = network(lean=True).state_dict()
    with pytest.raises(UserError, match=r"res_block3.conv1.weight: holds 2x2 kernels, must hold 3x3"):
        to_lean(lean, 48)


def test_width_scales_every_layer():
    net = network(width=0.25, num_classes=8, in_channels=1)
    assert net.conv1.weight.shape == (16, 1, 3, 3)
    assert net.se.fc[0].weight.shape == (4, 64)
    assert net.res_block3.conv2.weight.shape == (512, 512, 3, 3)
    assert [tuple(fc.weight.shape) for fc in (net.fc1, net.fc2, net.fc3, net.fc4)] == [
        (256, 512),
        (128, 256),
        (64, 128),
        (8, 64),
    ]


@pytest.mark.parametrize("lean", [False, True])
def test_channels_last_and_bf16_change_the_logits_little(lean):
    net = network(lean=lean).eval()
    expected = net(faces(48))
    net, images = net.to(memory_format=torch.channels_last), faces(48).to(memory_format=torch.channels_last)
    torch.testing.assert_close(net(images), expected, atol=1e-5, rtol=0)
    with torch.autocast("cpu", torch.bfloat16):
        assert (net(images).float() - expected).abs().max() < 0.05


def test_each_image_is_judged_alone_in_evaluation():
    net = network().eval()
    torch.testing.assert_close(net(faces(48))[2:3], net(faces(48)[2:3]), atol=1e-5, rtol=0)
