"""Faces and what people voted on them, as pages show them. Imports no torch."""

import base64
import io
from functools import lru_cache

import numpy as np
from PIL import Image

from fer_lightning.data.ferplus import COLUMNS
from fer_lightning.labels import canonical


def address(pixels: np.ndarray) -> str:
    """A face, uint8 (side, side), as a PNG in a data: address."""
    return _png(np.ascontiguousarray(pixels).tobytes(), len(pixels))


@lru_cache(maxsize=4096)
def _png(pixels: bytes, side: int) -> str:
    content = io.BytesIO()
    Image.frombytes("L", (side, side), pixels).save(content, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(content.getvalue()).decode()


def tally(votes: np.ndarray, label: str) -> tuple[tuple[str, int, bool], ...]:
    """FER+ options with votes, most first, and the label's own: name, votes, whether it is the label's."""
    own = own_column(label)
    counted = [
        (name, int(count), name == own) for name, count in zip(COLUMNS, votes, strict=True) if count or name == own
    ]
    return tuple(sorted(counted, key=lambda item: -item[1]))


def own_column(label: str) -> str | None:
    """The FER+ option that means a label."""
    return next((column for column in COLUMNS if canonical(column) == label), None)
