import pytest
import torch

from fer_lightning.augment.mix import CutMix, Mix, Mixup, beta
from fer_lightning.errors import UserError

CLASSES = 64
OPERATIONS = {
    "mixup": Mixup(alpha=0.4),
    "cutmix": CutMix(alpha=1.0),
    "mix": Mix(p=0.7, cutmix=0.5, mixup_alpha=0.4, cutmix_alpha=1.0),
}


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def one_class_each(side=16):
    """Sample i is of class i, and each of its pixels is i: a mean grey level tells which samples it holds."""
    target = torch.arange(CLASSES)
    return target.float()[:, None, None, None].expand(-1, 1, side, side).clone(), target


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
def test_target_matches_the_picture(operation):
    x, target = one_class_each()
    mixed, soft = operation(x, target, CLASSES, generator())
    assert soft.shape == (CLASSES, CLASSES)
    torch.testing.assert_close(soft.sum(dim=1), torch.ones(CLASSES))
    assert soft.min() >= 0
    torch.testing.assert_close(mixed.mean(dim=(1, 2, 3)), soft @ target.float(), atol=1e-3, rtol=1e-4)
    assert len(soft.diagonal().unique()) > 10, "samples are drawn on their own"
    assert torch.equal(x, one_class_each()[0])


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
def test_seed_decides(operation):
    first, again, other = (operation(*one_class_each(), CLASSES, generator(seed))[0] for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_cutmix_pastes_one_box():
    x, target = one_class_each()
    mixed, _ = CutMix(alpha=1.0)(x, target, CLASSES, generator())
    other = mixed != x
    rows, columns = other.any(dim=3).sum(dim=(1, 2)), other.any(dim=2).sum(dim=(1, 2))
    assert torch.equal(rows * columns, other.sum(dim=(1, 2, 3)))
    assert other.any()


def test_mix_leaves_the_asked_share_alone_and_uses_both():
    x, target = one_class_each(side=8)
    mix = Mix(p=0.5, cutmix=0.5, mixup_alpha=1.0, cutmix_alpha=1.0)
    alone, pasted, total = 0, 0, 0
    stream = generator()
    for _ in range(30):
        mixed, soft = mix(x, target, CLASSES, stream)
        untouched = soft.diagonal() == 1
        alone += untouched.sum().item()
        pasted += ((mixed == x).any(dim=3).any(dim=2).squeeze(1) & ~untouched).sum().item()
        total += CLASSES
    assert 0.45 < alone / total < 0.65, "half by choice, a few by a full share or by meeting themselves"
    assert 0.15 < pasted / total < 0.3
    still, soft = Mix(p=0, cutmix=0.5, mixup_alpha=1.0, cutmix_alpha=1.0)(x, target, CLASSES, stream)
    assert torch.equal(still, x)
    assert torch.equal(soft, torch.eye(CLASSES))


def test_beta_has_the_right_mean_and_variance():
    draws = beta(20000, 0.4, generator())
    assert abs(draws.mean() - 0.5) < 0.01
    assert abs(draws.var() - 1 / (4 * (2 * 0.4 + 1))) < 0.005


def test_impossible_values_are_refused():
    with pytest.raises(UserError, match=r"mixup\.alpha=0"):
        Mixup(alpha=0)
    with pytest.raises(UserError, match=r"mix\.p=2"):
        Mix(p=2, cutmix=0.5, mixup_alpha=1.0, cutmix_alpha=1.0)
