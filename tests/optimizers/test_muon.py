"""Muon: what is orthogonalised, what is not, and that its state survives a checkpoint."""

import copy

import pytest
import torch
from timm.optim.muon import zeropower_via_newtonschulz
from torch import nn

from fer_lightning.errors import UserError
from fer_lightning.optimizers.muon import COEFFICIENTS, Muon, newton_schulz_by_gram, orthogonalised


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(2, 6, 3), nn.BatchNorm2d(6), nn.Conv2d(6, 6, 3, groups=6), nn.Flatten(), nn.Linear(6, 3)
    )


def take_steps(net: nn.Module, optimizer: Muon, count: int, first: int = 0) -> None:
    for step in range(first, first + count):
        x = torch.randn(4, 2, 5, 5, generator=torch.Generator().manual_seed(step))
        optimizer.zero_grad()
        net(x).square().mean().backward()
        optimizer.step()


def test_an_update_has_singular_values_near_one():
    update = torch.randn(8, 3, 3, 3, generator=torch.Generator().manual_seed(0))
    singular = torch.linalg.svdvals(orthogonalised(update, steps=5).flatten(1))
    assert singular.min() > 0.5
    assert singular.max() < 1.3


def test_an_update_keeps_its_singular_vectors():
    """Against the exact polar factor by SVD: the same directions."""
    update = torch.randn(6, 4, 3, 3, generator=torch.Generator().manual_seed(1))
    left, _, right = torch.linalg.svd(update.flatten(1), full_matrices=False)
    rotated = left.T @ orthogonalised(update, steps=5).flatten(1) @ right.T
    off_diagonal = rotated - torch.diag(rotated.diag())
    assert off_diagonal.abs().max() < 1e-4


@pytest.mark.parametrize("shape", [(96, 32, 3, 3), (96, 96, 3, 3), (64, 1, 3, 3), (40, 40, 1, 1)])
@pytest.mark.parametrize("steps", [1, 3, 5, 8])
def test_the_gram_form_equals_timms_iteration(shape, steps):
    """The update is nearly singular, as gradients are, so that lost digits would show."""
    generator = torch.Generator().manual_seed(2)
    update = torch.randn(shape, generator=generator).flatten(1)
    update = update * torch.logspace(0, -6, update.shape[1])
    expected = zeropower_via_newtonschulz(update.double(), steps, COEFFICIENTS, dtype=torch.float64)
    torch.testing.assert_close(newton_schulz_by_gram(update, steps).double(), expected, rtol=0, atol=1e-5)
    ours = orthogonalised(update.view(shape).to(memory_format=torch.channels_last), steps)
    torch.testing.assert_close(ours.flatten(1).double(), expected, rtol=0, atol=1e-5)


def test_a_zero_update_stays_zero():
    assert not orthogonalised(torch.zeros(4, 3, 3, 3), steps=3).any()


def test_convolutions_keep_the_norm_that_the_step_is_relative_to():
    net = network()
    take_steps(net, Muon(net.parameters(), lr=0.0), 1)
    assert net[0].weight.norm().item() == pytest.approx(6**0.5, rel=1e-6)


def test_all_other_parameters_move_as_by_torchs_sgd():
    ours, reference = network(), network()
    rest = [p for p in ours.parameters() if p is not ours[0].weight]
    names = {name for name, p in ours.named_parameters() if any(p is other for other in rest)}
    optimizer = Muon(ours.parameters(), lr=0.0, rest_lr=0.1, rest_momentum=0.8, weight_decay=0.01)
    with torch.no_grad():
        reference[0].weight.copy_(ours[0].weight * (6**0.5 / ours[0].weight.norm()))
        ours[0].weight.copy_(reference[0].weight)
    torchs = [p for name, p in reference.named_parameters() if name in names]
    sgd = torch.optim.SGD(torchs, lr=0.1, momentum=0.8, nesterov=True, weight_decay=0.01)
    take_steps(ours, optimizer, 4)
    take_steps(reference, sgd, 4)
    for name, parameter in reference.named_parameters():
        torch.testing.assert_close(dict(ours.named_parameters())[name], parameter, rtol=1e-5, atol=1e-6)


def test_a_restored_state_goes_on_to_the_bit():
    straight, stopped = network(), network()
    optimizer = Muon(straight.parameters())
    take_steps(straight, optimizer, 4)
    first = Muon(stopped.parameters())
    take_steps(stopped, first, 2)
    resumed = Muon(stopped.parameters())
    resumed.load_state_dict(copy.deepcopy(first.state_dict()))
    take_steps(stopped, resumed, 2, first=2)
    for ours, expected in zip(stopped.parameters(), straight.parameters(), strict=True):
        assert torch.equal(ours, expected)


def test_a_network_without_convolutions_is_refused():
    with pytest.raises(UserError, match="optim=muon: the network has no convolution"):
        Muon(nn.Linear(3, 3).parameters())
