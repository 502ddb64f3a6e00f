"""Faces, maps over them and their FER+ votes, as pages show them. This module does not import torch."""

import base64
import io
from functools import lru_cache

import numpy as np
from PIL import Image, ImageColor

from fer_lightning.data.ferplus import COLUMNS
from fer_lightning.labels import canonical

ENLARGED = 2  # times the side of a face, if a map is drawn over it
STRONGEST = 0.7  # share of the colour where a map is strongest


def address(pixels: np.ndarray) -> str:
    """Return a face, uint8 (side, side) grey or (side, side, 3) RGB, as a PNG in a data: URL."""
    return _png(np.ascontiguousarray(pixels).tobytes(), pixels.shape)


@lru_cache(maxsize=4096)
def _png(pixels: bytes, shape: tuple[int, ...]) -> str:
    content = io.BytesIO()
    Image.fromarray(np.frombuffer(pixels, np.uint8).reshape(shape)).save(content, "PNG", optimize=True)
    return _data_url(content)


def _data_url(content: io.BytesIO) -> str:
    return "data:image/png;base64," + base64.b64encode(content.getvalue()).decode()


def tally(votes: np.ndarray, label: str) -> tuple[tuple[str, int, bool], ...]:
    """Return the FER+ options that have votes, and the label's own option, sorted by votes.

    Each entry is (name, number of votes, True if the option means the label).
    """
    own = own_column(label)
    counted = [
        (name, int(count), name == own) for name, count in zip(COLUMNS, votes, strict=True) if count or name == own
    ]
    return tuple(sorted(counted, key=lambda item: -item[1]))


def own_column(label: str) -> str | None:
    """Return the FER+ option that means a label, or None."""
    return next((column for column in COLUMNS if canonical(column) == label), None)


def shaded(pixels: np.ndarray, weights: np.ndarray, positive: str, negative: str) -> str:
    """Return a face with a coloured map over it, as a PNG in a data: URL.

    pixels              uint8 (side, side) grey or (side, side, 3) RGB
    weights             float (side, side), from -1 to 1; the larger the absolute value, the stronger the colour
    positive, negative  colours "#rrggbb" of the sign
    """
    size = (ENLARGED * pixels.shape[1], ENLARGED * pixels.shape[0])
    face = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC).convert("RGB"), np.float32)
    scaled = Image.fromarray(np.asarray(weights, np.float32)).resize(size, Image.Resampling.BILINEAR)
    strength = np.asarray(scaled)[..., None]
    colours = np.where(strength >= 0, ImageColor.getrgb(positive), ImageColor.getrgb(negative))
    share = STRONGEST * np.abs(strength).clip(0, 1)
    content = io.BytesIO()
    Image.fromarray((face * (1 - share) + colours * share).round().astype(np.uint8)).save(content, "PNG", optimize=True)
    return _data_url(content)
