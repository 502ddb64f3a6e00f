"""Views by name: exact mirrors, crops where they should be, and averages that do not see a mirrored face."""

from typing import get_args

import pytest
import torch

from fer_lightning.augment.pipeline import Augmentation, BatchTransform
from fer_lightning.augment.warp import compose, identity, warp
from fer_lightning.evaluation import tta
from fer_lightning.evaluation.settings import TTA

TWO_LEVELS = 2.01 / 255  # of grey: what the rounding of OpenCV's warp can amount to


def faces(n: int = 6, side: int = 48) -> torch.Tensor:
    """Smooth images, so that a shift by a fraction of a pixel is a small change."""
    coarse = torch.rand(n, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 255
    return torch.nn.functional.interpolate(coarse, size=side, mode="bicubic").clamp(0, 255)[:, 0].to(torch.uint8)


def transform(size: int) -> BatchTransform:
    return BatchTransform(Augmentation(order=[]), input_size=size, mean=0.0, std=1.0, num_classes=7)


def seen(images: torch.Tensor, name: str, size: int) -> list[torch.Tensor]:
    return [transform(size).evaluate(images, view) for view in tta.views(name, size)]


def averaged(images: torch.Tensor, name: str, size: int) -> torch.Tensor:
    """A stand-in for a network's mean probabilities, which tells left from right: the share of light on the right."""
    ramp = torch.linspace(0, 1, size, dtype=torch.float64)
    shares = [(x.double() * ramp).sum(dim=(1, 2, 3)) / x.double().sum(dim=(1, 2, 3)) for x in seen(images, name, size)]
    return torch.stack(shares).mean(dim=0)


def test_names_are_those_that_the_commands_know():
    assert get_args(TTA) == tta.NAMES
    assert [len(tta.views(name, 48)) for name in tta.NAMES] == [1, 2, 4, 10]
    with pytest.raises(ValueError, match="ten_crop"):
        tta.views("five_crop", 48)


def test_none_is_the_plain_evaluation():
    for size in (48, 64):
        (view,) = seen(faces(), "none", size)
        torch.testing.assert_close(view, transform(size).evaluate(faces()), rtol=0, atol=0)


def test_mirroring_twice_changes_nothing():
    torch.testing.assert_close(compose(tta.MIRROR, tta.MIRROR), identity(1))
    once = warp(faces(), tta.MIRROR.expand(6, 2, 3), 48, "border")
    torch.testing.assert_close(once, warp(faces(), None, 48).flip(-1), rtol=0, atol=0)
    again = warp((once[:, 0] * 255).round().to(torch.uint8), tta.MIRROR.expand(6, 2, 3), 48, "border")
    torch.testing.assert_close(again, warp(faces(), None, 48), rtol=0, atol=0)


@pytest.mark.parametrize("size", [48, 64, 112, 224])
def test_flip_sees_a_face_and_its_mirror(size):
    plain, mirrored = seen(faces(), "flip", size)
    torch.testing.assert_close(mirrored, plain.flip(-1), rtol=0, atol=TWO_LEVELS)


@pytest.mark.parametrize("name", ["flip", "shift", "ten_crop"])
@pytest.mark.parametrize("size", [48, 64, 224])
def test_the_average_does_not_see_that_a_face_is_mirrored(name, size):
    """Exactly so where nothing is interpolated, else but for the warp's rounding."""
    plain, mirrored = (averaged(images, "none", size) for images in (faces(), faces().flip(-1)))
    one, other = (averaged(images, name, size) for images in (faces(), faces().flip(-1)))
    exact = name == "flip" and size == 48
    assert (one - other).abs().max() <= (0 if exact else 0.01) * (plain - mirrored).abs().max()


def test_shift_moves_a_face_and_its_mirror_image_by_one_pixel():
    plain, moved = seen(faces(), "none", 48)[0], seen(faces(), "shift", 48)
    for face, (first, second) in ((plain, moved[:2]), (plain.flip(-1), moved[2:])):
        assert torch.equal(first[:, :, :-1, :-1], face[:, :, 1:, 1:])
        assert torch.equal(second[:, :, 1:, 1:], face[:, :, :-1, :-1])


@pytest.mark.parametrize(("size", "enlarged"), [(224, 236), (112, 118), (48, 51), (64, 67)])
def test_crops_are_cut_from_the_enlarged_face(size, enlarged):
    """Against resizing first and cutting then, whose grey levels are rounded twice."""
    large, room = warp(faces(), None, enlarged), enlarged - size
    crops = seen(faces(), "ten_crop", size)
    corners = [(0, 0), (0, room), (room, 0), (room, room)]
    for crop, (y, x) in zip(crops, corners, strict=False):
        torch.testing.assert_close(crop, large[:, :, y : y + size, x : x + size], rtol=0, atol=TWO_LEVELS)
    for crop, mirrored in zip(crops[:5], crops[5:], strict=True):
        torch.testing.assert_close(mirrored, crop.flip(-1), rtol=0, atol=TWO_LEVELS)


def test_the_centre_crop_is_a_plain_centre_crop():
    large = warp(faces(), None, 236)
    torch.testing.assert_close(seen(faces(), "ten_crop", 224)[4], large[:, :, 6:230, 6:230], rtol=0, atol=TWO_LEVELS)
    middle = seen(faces(), "ten_crop", 48)[4]
    torch.testing.assert_close(middle, middle.flip(0).flip(0))


def test_no_view_reaches_beyond_the_face():
    white = torch.full((1, 48, 48), 255, dtype=torch.uint8)
    for name in tta.NAMES:
        for view in seen(white, name, 64):
            assert (view == 1).all()


def test_both_backends_show_the_same_views():
    for name in tta.NAMES:
        for view in tta.views(name, 64):
            theta = None if view is None else view.expand(6, 2, 3)
            one, other = (warp(faces(), theta, 64, "border", backend=backend) for backend in ("opencv", "grid_sample"))
            torch.testing.assert_close(one, other, rtol=0, atol=TWO_LEVELS)
