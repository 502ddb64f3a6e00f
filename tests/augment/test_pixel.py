import pytest
import torch

from fer_lightning.augment.pixel import Erase, Jitter
from fer_lightning.errors import UserError


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def images(n=64, side=48):
    return torch.rand(n, 1, side, side, generator=generator(9)) * 0.5 + 0.25


@pytest.mark.parametrize("operation", [Jitter(0.25, 0.25), Erase(0.5, [0.02, 0.2], [0.3, 3.3])])
def test_contract(operation):
    x = operation(images(), generator())
    assert x.shape == (64, 1, 48, 48)
    assert x.min() >= 0
    assert x.max() <= 1
    assert torch.equal(x, operation(images(), generator()))
    assert not torch.equal(x, operation(images(), generator(1)))


def test_jitter_draws_each_sample_within_its_range():
    x = images()
    brighter = Jitter(brightness=0.2, contrast=0.0)(x.clone(), generator())
    factor = brighter.mean(dim=(1, 2, 3)) / x.mean(dim=(1, 2, 3))
    assert 0.8 <= factor.min() < 0.85
    assert 1.15 < factor.max() <= 1.2 + 1e-5
    flatter = Jitter(brightness=0.0, contrast=0.2)(x.clone(), generator())
    torch.testing.assert_close(flatter.mean(dim=(1, 2, 3)), x.mean(dim=(1, 2, 3)))
    factor = flatter.std(dim=(1, 2, 3)) / x.std(dim=(1, 2, 3))
    assert 0.8 <= factor.min() < 0.85
    assert 1.15 < factor.max() <= 1.2 + 1e-5


def test_jitter_of_nothing_changes_nothing():
    torch.testing.assert_close(Jitter(0.0, 0.0)(images(), generator()), images())


def test_erased_boxes_have_the_asked_area_and_share():
    x = torch.full((2000, 1, 48, 48), 2.0)
    erased = Erase(p=0.25, area=[0.02, 0.2], ratio=[0.3, 3.3])(x, generator()) != 2.0
    area = erased.float().mean(dim=(1, 2, 3))
    hit = area > 0
    assert 0.21 < hit.float().mean() < 0.29
    assert area.max() <= 0.2
    assert area[hit].min() > 0.01, "sides are cut to whole pixels"
    height, width = erased.any(dim=3).sum(dim=(1, 2))[hit], erased.any(dim=2).sum(dim=(1, 2))[hit]
    assert torch.equal(height * width, erased.sum(dim=(1, 2, 3))[hit]), "one full box"
    assert (height / width).min() < 0.5
    assert (height / width).max() > 2


def test_erased_boxes_are_the_same_in_all_channels_and_hold_noise_of_their_own():
    x = torch.full((64, 3, 48, 48), 2.0)
    erased = Erase(p=1, area=(0.1, 0.2), ratio=(0.5, 2))(x.clone(), generator())
    boxes = erased != 2
    assert torch.equal(boxes[:, 0], boxes[:, 1])
    assert torch.equal(boxes[:, 0], boxes[:, 2])
    assert (erased[:, 0] != erased[:, 1])[boxes[:, 0]].float().mean() > 0.99


def test_erased_boxes_reach_every_edge():
    x = torch.full((2000, 1, 24, 24), 2.0)
    erased = (Erase(p=1, area=[0.05, 0.2], ratio=[1, 1])(x, generator()) != 2.0).float().mean(dim=(0, 1))
    assert min(erased[0].max(), erased[-1].max(), erased[:, 0].max(), erased[:, -1].max()) > 0.01


def test_a_box_that_would_not_fit_is_cut():
    x = Erase(p=1, area=[0.5, 0.5], ratio=[9, 9])(torch.full((4, 1, 48, 48), 2.0), generator())
    assert ((x != 2.0).sum(dim=2).amax(dim=(1, 2)) == 48).all()


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: Jitter(brightness=-0.1, contrast=0.0), "jitter.brightness=-0.1"),
        (lambda: Erase(p=0.5, area=[0.3, 0.1], ratio=[0.3, 3.3]), "erase.area"),
        (lambda: Erase(p=0.5, area=[0.1, 0.3], ratio=[0.0, 3.3]), "erase.ratio"),
    ],
)
def test_impossible_values_are_refused(build, words):
    with pytest.raises(UserError, match=words):
        build()
