"""Faces and their FER+ votes, as pages show them. This module does not import torch."""

import base64
import io
from functools import lru_cache

import numpy as np
from PIL import Image

from fer_lightning.data.ferplus import COLUMNS
from fer_lightning.labels import canonical


def address(pixels: np.ndarray) -> str:
    """Return a face, uint8 (side, side), as a PNG in a data: URL."""
    return _png(np.ascontiguousarray(pixels).tobytes(), len(pixels))


@lru_cache(maxsize=4096)
def _png(pixels: bytes, side: int) -> str:
    content = io.BytesIO()
    Image.frombytes("L", (side, side), pixels).save(content, "PNG", optimize=True)
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
