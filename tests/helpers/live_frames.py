"""Valid JPEGs, like those of a camera, and invalid ones."""

import io
import struct

import numpy as np
from PIL import Image


def jpeg(level: int = 128, *, size: tuple[int, int] = (96, 96), mode: str = "RGB", **options: object) -> bytes:
    """An even image of one grey level, of size (width, height)."""
    file = io.BytesIO()
    Image.new("RGB", size, (level,) * 3).convert(mode).save(file, "JPEG", **options)
    return file.getvalue()


def busy_jpeg(size: tuple[int, int] = (96, 96), **options: object) -> bytes:
    """An image of noise, whose scan is long."""
    file = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), np.uint8)
    Image.fromarray(noise).save(file, "JPEG", **options)
    return file.getvalue()


def level_of(label: str, classes: tuple[str, ...]) -> int:
    """The grey level that face_models.drawn_model takes for a class."""
    return round(255 * (classes.index(label) + 0.5) / len(classes))


def claims(width: int, height: int) -> bytes:
    """A small JPEG whose header says another size: decoded, it would take that many pixels' memory."""
    data = bytearray(jpeg())
    place = data.index(b"\xff\xc0")
    data[place + 5 : place + 9] = struct.pack(">HH", height, width)
    return bytes(data)


def two_sizes(width: int, height: int) -> bytes:
    """A small JPEG with a second header that says another size: Pillow believes the last."""
    data, other = jpeg(), claims(width, height)
    place = data.index(b"\xff\xc0")
    return data[: place + 19] + other[place:]


def many_scans(count: int) -> bytes:
    """A progressive JPEG that goes over its pixels again and again."""
    data = jpeg(progressive=True)
    place = data.rindex(b"\xff\xda")
    return data[:place] + data[place:-2] * count + b"\xff\xd9"
