"""The convolution for small maps: the same output, input gradient and weight gradient as torch's."""

import pytest
import torch
from torch import nn

from fer_lightning.models import small_maps
from fer_lightning.models.small_maps import SmallMapConv2d, weight_gradient
from fer_lightning.models.whitened_cnn import WhitenedCNN


@pytest.fixture(autouse=True)
def avx2(monkeypatch):
    """Take the fast path on CPUs of any kind."""
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")


def noise(*shape: int, seed: int = 0, dtype=torch.float32) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (2, 2), (3, 3), (4, 4), (5, 5), (6, 6), (3, 6), (6, 2), (8, 12)])
@pytest.mark.parametrize("memory_format", [torch.channels_last, torch.contiguous_format])
def test_the_weight_gradient_is_torchs_up_to_rounding(height, width, memory_format):
    x = noise(70, 5, height, width).to(memory_format=memory_format)  # more images than one chunk
    gradient = noise(70, 8, height, width, seed=1).to(memory_format=memory_format)
    expected = nn.grad.conv2d_weight(x.double(), (8, 5, 3, 3), gradient.double(), padding=1)
    reached = weight_gradient(x, gradient).double()
    assert (reached - expected).abs().max() < 1e-5 * expected.abs().max()


def train(
    convolution: nn.Conv2d, x: torch.Tensor, weight: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return output, gradient of the input and gradient of the weight of one pass."""
    convolution.weight.data.copy_(weight)
    x = x.clone().requires_grad_()
    y = convolution(x)
    y.backward(noise(*y.shape, seed=2))
    return y.detach(), x.grad, convolution.weight.grad


def test_output_and_input_gradient_are_torchs_to_the_bit():
    x, weight = noise(4, 5, 6, 6), noise(8, 5, 3, 3, seed=1)
    ours = train(SmallMapConv2d(5, 8), x, weight)
    expected = train(nn.Conv2d(5, 8, 3, padding=1, bias=False), x, weight)
    assert torch.equal(ours[0], expected[0])
    assert torch.equal(ours[1], expected[1])
    torch.testing.assert_close(ours[2], expected[2], rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("case", ["evaluation", "large map", "autocast", "other CPU"])
def test_elsewhere_the_layer_is_torchs(case, monkeypatch):
    monkeypatch.setattr(small_maps, "weight_gradient", lambda *_: pytest.fail("not torch's gradient"))
    if case == "other CPU":
        monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    side = small_maps.LARGEST_SIDE + (case == "large map")
    with torch.autocast("cpu", torch.bfloat16, enabled=case == "autocast"):
        SmallMapConv2d(2, 3).train(case != "evaluation")(noise(2, 2, side, side)).sum().backward()


def test_a_small_map_in_training_takes_the_fast_gradient(monkeypatch):
    monkeypatch.setattr(small_maps, "weight_gradient", lambda x, gradient: torch.full((3, 2, 3, 3), 7.0))
    layer = SmallMapConv2d(2, 3)
    layer(noise(2, 2, 6, 6)).sum().backward()
    assert (layer.weight.grad == 7).all()


def test_a_frozen_weight_gets_no_gradient():
    layer = SmallMapConv2d(2, 3).requires_grad_(False)
    x = noise(2, 2, 4, 4).requires_grad_()
    layer(x).sum().backward()
    assert layer.weight.grad is None
    assert x.grad.any()


def test_checkpoints_of_the_network_have_the_names_of_plain_convolutions():
    weights = WhitenedCNN(channels=[8]).state_dict()
    assert {name for name in weights if "norms" not in name} == {
        "stem.weight",
        "groups.0.widen.weight",
        "groups.0.convolutions.0.weight",
        "groups.0.convolutions.1.weight",
        "head.1.weight",
        "head.1.bias",
    }


def test_training_steps_of_the_network_are_those_of_plain_convolutions(monkeypatch):
    """Against the same network without the fast gradient: the loss of each of four steps."""

    def losses() -> list[float]:
        torch.manual_seed(0)
        net = WhitenedCNN(channels=[8, 16], input_size=24, dropout=0.0, training_faces=noise(64, 1, 24, 24))
        optimizer, values = torch.optim.SGD(net.parameters(), lr=0.1), []
        for _ in range(4):
            loss = nn.functional.cross_entropy(net(noise(16, 1, 24, 24)), torch.arange(16) % 7)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            values.append(loss.item())
        return values

    ours = losses()
    monkeypatch.setattr(small_maps, "LARGEST_SIDE", 0)
    assert ours == pytest.approx(losses(), rel=1e-5)
