import numpy as np
import pytest
import torch
from test_warp import faces

from fer_lightning.augment.geometric import Affine, Crop, Flip, Rotate, rotation
from fer_lightning.augment.warp import compose, warp
from fer_lightning.errors import UserError

OPERATIONS = {
    "flip": Flip(),
    "rotate": Rotate(20),
    "affine": Affine(scale=0.2, shift=0.1, shear=10),
    "crop": Crop(236, 224),
}


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
def test_contract(operation):
    theta = operation(64, generator())
    assert theta.shape == (64, 2, 3)
    assert theta.dtype == torch.float32
    assert len(theta.unique(dim=0)) > 1, "samples are drawn on their own"
    assert torch.equal(theta, operation(64, generator())), "the seed decides"
    assert not torch.equal(theta, operation(64, generator(1)))


def test_positive_rotation_is_counter_clockwise_like_rot90():
    images = faces()
    turned = 255 * warp(images, rotation(torch.full((8,), 90.0)), 48)
    expected = np.rot90(images.numpy(), axes=(1, 2)).astype(np.float32)
    assert np.abs(turned[:, 0].numpy() - expected).max() < 1.5


def test_flip_mirrors_and_twice_is_nothing():
    images = faces()
    theta = Flip(p=1)(8, generator())
    mirrored = 255 * warp(images, theta, 48)
    torch.testing.assert_close(mirrored[:, 0], images.flip(2).float(), atol=1.0, rtol=0)
    assert torch.equal(compose(theta, theta), Flip(p=0)(8, generator()))


def test_probabilities():
    flipped = Flip(p=0.3)(4000, generator())[:, 0, 0] < 0
    assert 0.26 < flipped.float().mean() < 0.34
    still = (Rotate(20, p=0.25)(4000, generator())[:, 0, 1] == 0).float().mean()
    assert 0.71 < still < 0.79


def test_rotation_stays_within_its_range():
    theta = Rotate(20)(4000, generator())
    angle = torch.rad2deg(torch.atan2(theta[:, 1, 0], theta[:, 0, 0]))
    assert -20.001 <= angle.min() < -19
    assert 19 < angle.max() <= 20.001


def content(theta, x, y):
    """Return the position in the output of a point of the input."""
    linear, shift = theta[:, :, :2], theta[:, :, 2]
    return torch.linalg.solve(linear, torch.tensor([x, y]) - shift)


def test_affine_ranges_and_signs():
    shifted = content(Affine(shift=0.1)(4000, generator()), 0.0, 0.0) / 2
    assert shifted.abs().max() <= 0.1001
    assert (shifted.amax(0) > 0.095).all()
    assert (shifted.amin(0) < -0.095).all()
    width = content(Affine(scale=0.2)(4000, generator()), 1.0, 0.0)[:, 0]
    assert 0.799 <= width.min() < 0.81
    assert 1.19 < width.max() <= 1.201
    lower_edge = content(Affine(shear=10)(4000, generator()), 0.0, 1.0)
    torch.testing.assert_close(lower_edge[:, 1], torch.ones(4000))
    assert torch.rad2deg(torch.atan(lower_edge[:, 0])).abs().max() <= 10.001


def test_affine_shifts_by_whole_pixels():
    class Right(Affine):
        def __call__(self, n, generator):
            theta = super().__call__(n, generator)
            theta[:, 0, 2] = -2 * 5 / 48
            return theta

    images = faces()
    moved = 255 * warp(images, Right()(8, generator()), 48)
    torch.testing.assert_close(moved[:, 0, :, 5:], images[:, :, :-5].float(), atol=1.0, rtol=0)


def test_crop_stays_inside_and_keeps_its_share():
    theta = Crop(resize=236, crop=224)(4000, generator())
    assert torch.allclose(theta[:, 0, 0], torch.tensor(224 / 236))
    corners = theta[:, :, 2].abs() + 224 / 236
    assert 0.999 < corners.max() <= 1 + 1e-6
    assert torch.equal(Crop(48, 48)(4, generator())[:, :, 2], torch.zeros(4, 2))


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: Flip(p=1.5), "flip.p=1.5"),
        (lambda: Rotate(degrees=-5), "rotate.degrees=-5"),
        (lambda: Affine(scale=1.0), "affine.scale=1.0"),
        (lambda: Crop(resize=40, crop=48), "crop.crop=48"),
    ],
)
def test_impossible_values_are_refused(build, words):
    with pytest.raises(UserError, match=words):
        build()
