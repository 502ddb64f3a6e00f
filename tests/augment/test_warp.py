import math

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from fer_lightning.augment.geometric import rotation
from fer_lightning.augment.warp import compose, identity, pixel_matrices, warp


def faces(n=8, side=48, seed=0):
    """Smooth, full-range images: as sharp as a face of 48 pixels, without single-pixel noise."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (n, 12, 12), dtype=np.uint8)
    return torch.from_numpy(np.stack([cv2.resize(c, (side, side), interpolation=cv2.INTER_CUBIC) for c in coarse]))


def random_theta(n, seed=0):
    generator = torch.Generator().manual_seed(seed)
    angle = torch.rand(n, generator=generator) * 80 - 40
    theta = rotation(angle) * (0.7 + 0.6 * torch.rand(n, 1, 1, generator=generator))
    theta[:, :, 2] = torch.rand(n, 2, generator=generator) * 0.5 - 0.25
    theta[::2, :, 0] *= -1
    return theta


@pytest.mark.parametrize("padding", ["zeros", "border", "reflect"])
@pytest.mark.parametrize("size", [44, 48, 64, 224])
def test_backends_agree(size, padding):
    images, theta = faces(32), random_theta(32)
    opencv, grid = (255 * warp(images, theta, size, padding, backend=name) for name in ("opencv", "grid_sample"))
    difference = (opencv - grid).abs()
    assert opencv.shape == grid.shape == (32, 1, size, size)
    assert difference.mean() < 0.5
    assert np.percentile(difference.numpy(), 99.9) < 4


@pytest.mark.parametrize("backend", ["opencv", "grid_sample"])
def test_identity_returns_the_input(backend):
    images = faces()
    warped = 255 * warp(images, identity(8), 48, backend=backend)
    torch.testing.assert_close(warped[:, 0], images.float(), atol=1e-2, rtol=0)


def test_no_theta_at_the_same_size_copies_exactly():
    images = faces()
    x = warp(images, None, 48)
    assert torch.equal((x[:, 0] * 255).round().byte(), images)
    assert x.dtype == torch.float32


@pytest.mark.parametrize("size", [44, 64, 224])
@pytest.mark.parametrize("backend", ["opencv", "grid_sample"])
def test_plain_resize_is_bilinear_without_a_dark_rim(size, backend):
    images = faces()
    expected = F.interpolate(images[:, None].float(), size, mode="bilinear", align_corners=False)
    x = 255 * warp(images, None, size, "zeros", backend=backend)
    assert (x - expected).abs().max() < 5
    assert (x - expected).abs().mean() < 0.5


@pytest.mark.parametrize("backend", ["opencv", "grid_sample"])
def test_mean_and_std_normalise_grey_levels(backend):
    images, theta = faces(), random_theta(8)
    plain = warp(images, theta, 64, backend=backend)
    normalised = warp(images, theta, 64, mean=0.5, std=0.25, backend=backend)
    torch.testing.assert_close(normalised, (plain - 0.5) / 0.25, atol=1e-5, rtol=0)


@pytest.mark.parametrize("backend", ["opencv", "grid_sample"])
def test_compose_equals_one_warp_after_another(backend):
    images = faces()
    first, then = rotation(torch.full((8,), 25.0)), identity(8)
    then[:, 0, 2] = 0.25
    at_once = 255 * warp(images, compose(first, then), 48, backend=backend)
    middle = (255 * warp(images, first, 48, backend=backend)).round().byte()[:, 0]
    in_turn = 255 * warp(middle, then, 48, backend=backend)
    inside = (at_once - in_turn)[:, :, 12:36, 12:36].abs()
    assert inside.mean() < 3
    swapped = 255 * warp(images, compose(then, first), 48, backend=backend)
    assert (swapped - in_turn)[:, :, 12:36, 12:36].abs().mean() > 3 * inside.mean()


def test_pixel_matrices_map_pixel_centres():
    quarter = pixel_matrices(rotation(torch.tensor([90.0])), side=48, size=48)[0]
    np.testing.assert_allclose(quarter @ [0, 0, 1], [47, 0], atol=1e-4)
    halved = pixel_matrices(identity(1), side=48, size=96)[0]
    np.testing.assert_allclose(halved @ [0, 95, 1], [-0.25, 47.25], atol=1e-5)


def test_padding_fills_what_lies_outside():
    images = torch.full((1, 48, 48), 200, dtype=torch.uint8)
    away = identity(1)
    away[:, 0, 2] = 3.0
    for backend in ("opencv", "grid_sample"):
        values = {p: warp(images, away, 48, p, backend=backend)[0, 0] * 255 for p in ("zeros", "border", "reflect")}
        assert values["zeros"].max() == 0
        assert math.isclose(values["border"].min().item(), 200, abs_tol=1e-3)
        assert math.isclose(values["reflect"].min().item(), 200, abs_tol=1e-3)


def test_a_batch_is_not_overwritten_by_the_next():
    images = faces()
    first = warp(images, random_theta(8), 64)
    kept = first.clone()
    warp(images, random_theta(8, seed=1), 64)
    assert torch.equal(first, kept)


def test_empty_batch():
    assert warp(faces()[:0], identity(0), 64, backend="opencv").shape == (0, 1, 64, 64)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_gpu_agrees_with_cpu():
    images, theta = faces(), random_theta(8)
    difference = (warp(images.cuda(), theta, 64).cpu() - warp(images, theta, 64)).abs() * 255
    assert difference.mean() < 0.5


@pytest.mark.parametrize("backend", ["opencv", "grid_sample"])
@pytest.mark.parametrize(("theta", "size"), [(True, 64), (None, 64), (None, 48)])
def test_each_channel_of_rgb_is_warped_like_grey(theta, size, backend):
    channels, theta = [faces(seed=seed) for seed in range(3)], random_theta(8) if theta else None
    rgb = warp(torch.stack(channels, dim=3), theta, size, "reflect", 0.4, 0.3, backend)
    assert rgb.shape == (8, 3, size, size)
    for channel, grey in enumerate(channels):
        expected = warp(grey, theta, size, "reflect", 0.4, 0.3, backend)[:, 0]
        torch.testing.assert_close(rgb[:, channel], expected, atol=1e-5, rtol=0)


def test_no_rgb_image_gives_an_empty_batch():
    assert warp(torch.zeros(0, 48, 48, 3, dtype=torch.uint8), None, 64).shape == (0, 3, 64, 64)
