"""Every spatial transformer starts as the identity, at any size and precision, and learns."""

import pytest
import torch

from fer_lightning.errors import UserError
from fer_lightning.stn.affine import AffineSTN
from fer_lightning.stn.emonext import EmoNeXtSTN
from fer_lightning.stn.none import Identity
from fer_lightning.stn.sampling import resample

TRANSFORMERS = [AffineSTN, EmoNeXtSTN]


def faces(size, n=3, channels=1):
    return torch.rand(n, channels, size, size, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("kind", [Identity, *TRANSFORMERS])
@pytest.mark.parametrize("size", [32, 33, 48, 57, 64, 225])
def test_it_starts_as_the_identity(kind, size):
    stn = kind(in_channels=1, input_size=size)
    for autocast in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            out = stn(faces(size))
        assert out.dtype == torch.float32
        assert (out - faces(size)).abs().max() < 1e-4
        assert torch.equal(stn.theta, torch.eye(2, 3).expand(3, 2, 3))
        assert not stn.theta.requires_grad


@pytest.mark.parametrize("kind", TRANSFORMERS)
def test_the_gradient_reaches_all_of_the_localisation(kind):
    torch.manual_seed(0)
    stn = kind(in_channels=3, input_size=48)
    optimiser = torch.optim.SGD(stn.parameters(), lr=0.01)
    for _ in range(2):  # the last layer starts at zero, so the layers before it learn from the second step on
        optimiser.zero_grad()
        (stn(faces(48, 4, 3)) * torch.linspace(-1, 1, 48)).square().mean().backward()
        optimiser.step()
    still = {name for name, p in stn.named_parameters() if p.grad is None or not p.grad.any()}
    assert still <= {"localization.0.bias", "localization.4.bias"}  # BatchNorm takes a bias before it away
    assert not torch.equal(stn.theta, torch.eye(2, 3).expand(4, 2, 3))


@pytest.mark.parametrize("align_corners", [False, True])
def test_resampling_is_torchs_affine_warp(align_corners):
    x, theta = faces(20, 2, 3)[..., :17], torch.eye(2, 3) + 0.3 * torch.randn(2, 2, 3)
    grid = torch.nn.functional.affine_grid(theta, x.shape, align_corners=align_corners)
    expected = torch.nn.functional.grid_sample(x, grid, align_corners=align_corners)
    torch.testing.assert_close(resample(x, theta, align_corners), expected, atol=1e-5, rtol=0)


def test_the_affine_one_stays_within_its_bounds():
    stn = AffineSTN(1, 48, max_change=0.2).eval()
    with torch.no_grad():
        stn.head[2].bias.copy_(torch.tensor([99.0, -99, 99, -99, 99, -99]))
    stn(faces(48))
    assert (stn.theta - torch.eye(2, 3)).abs().max() == pytest.approx(0.2, abs=1e-6)


def test_the_affine_one_takes_other_sizes_than_its_own():
    assert AffineSTN(1, 48)(faces(80)).shape == (3, 1, 80, 80)


@pytest.mark.parametrize(("size", "inputs"), [(224, 27040), (64, 1440), (48, 640), (32, 160)])
def test_emonexts_head_is_sized_from_the_input(size, inputs):
    assert EmoNeXtSTN(3, size).fc_loc[0].in_features == inputs


def test_an_input_that_emonexts_poolings_use_up_is_rejected():
    with pytest.raises(UserError, match=r"model\.input_size=17: its two poolings need 18 pixels or more"):
        EmoNeXtSTN(1, 17)
    assert EmoNeXtSTN(1, 18)(faces(18)).shape[-1] == 18
