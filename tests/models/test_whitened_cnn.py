"""The small network with whitened patches: its stem, its shape, what it rejects."""

import pytest
import torch
from torch.nn import functional as F

from fer_lightning.errors import UserError
from fer_lightning.models.whitened_cnn import FILTERS, WhitenedCNN, whitening_filters

SMALL = {"channels": [8, 16]}


def faces(count: int = 64, size: int = 48) -> torch.Tensor:
    """Smooth images, whose neighbouring pixels are correlated as a face's are."""
    noise = torch.randn(count, 1, size // 4, size // 4, generator=torch.Generator().manual_seed(0))
    smooth = F.interpolate(noise, size=size, mode="bicubic")
    return smooth + 0.1 * torch.randn(smooth.shape, generator=torch.Generator().manual_seed(1))


def test_the_filters_answers_are_uncorrelated_and_of_one_variance():
    images = faces(256)
    answers = F.conv2d(images, whitening_filters(images), stride=4).transpose(0, 1).flatten(1)
    covariance = torch.cov(answers)
    scatter = covariance.diag().sqrt()
    assert (covariance / scatter[:, None] / scatter - torch.eye(FILTERS)).abs().max() < 0.05
    assert scatter[:8].min() > 0.8
    assert scatter.max() < 1.05


def test_filters_do_not_depend_on_the_sign_that_lapack_chose():
    images = faces(256)
    filters = whitening_filters(images).flatten(1)
    largest = filters.gather(1, filters.abs().argmax(dim=1, keepdim=True))
    assert (largest > 0).all()


def test_the_stem_is_fixed_and_holds_each_filter_and_its_negative():
    net = WhitenedCNN(**SMALL, training_faces=faces())
    assert not net.stem.weight.requires_grad
    torch.testing.assert_close(net.stem.weight[:FILTERS], -net.stem.weight[FILTERS:])


def test_without_faces_the_stem_waits_for_a_checkpoint():
    trained = WhitenedCNN(**SMALL, training_faces=faces())
    loaded = WhitenedCNN(**SMALL)
    assert not loaded.stem.weight.any()
    loaded.load_state_dict(trained.state_dict())
    x = faces(4)
    torch.testing.assert_close(loaded.eval()(x), trained.eval()(x), rtol=0, atol=0)


def test_grey_faces_serve_a_network_of_three_channels():
    net = WhitenedCNN(**SMALL, in_channels=3, training_faces=faces())
    assert net(faces(2).expand(-1, 3, -1, -1)).shape == (2, 7)


@pytest.mark.parametrize(("size", "side"), [(48, 3), (64, 4), (32, 2)])
def test_each_group_halves_the_side(size, side):
    net = WhitenedCNN(channels=[4, 8, 16], input_size=size)
    assert net.groups(net.stem(faces(2, size))).shape == (2, 16, side, side)


def test_the_default_network_has_4_350_000_weights():
    assert sum(p.numel() for p in WhitenedCNN().parameters()) == pytest.approx(4.35e6, rel=0.01)


def test_every_trained_parameter_gets_a_gradient():
    net = WhitenedCNN(**SMALL, training_faces=faces())
    net(faces(8)).logsumexp(1).sum().backward()
    missing = [name for name, p in net.named_parameters() if p.requires_grad and (p.grad is None or not p.grad.any())]
    assert missing == []


@pytest.mark.parametrize("channels", [[], [0], [8] * 6])
def test_channels_that_do_not_fit_are_rejected(channels):
    with pytest.raises(UserError, match=r"model\.channels=.*must be one number per group"):
        WhitenedCNN(channels=channels)
