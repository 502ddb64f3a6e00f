"""A photo as pixels: upright, in RGB, whatever its file's form; none may take more memory than MAX_PIXELS need."""

from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from fer_lightning.faces.pixels import over_white, upright

FORMS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")
# The last three are listed so that they are told of: Pillow reads none of them everywhere.
PHOTOS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".heic", ".heif", ".avif")
MAX_PIXELS = 120_000_000  # those of medium format have 102 million


class Unreadable(Exception):
    """Why a file, or the rest of it, cannot be read."""


def read_photo(path: Path) -> np.ndarray:
    """uint8 RGB (H, W, 3), turned as its EXIF says, over white where it is see-through; of several frames the first.

    Unreadable, or OSError of the system, where that cannot be done. Values of 16 bits lose their lower 8.
    """
    try:
        with Image.open(path, formats=FORMS) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise Unreadable(_too_many(f"{width:,} x {height:,}"))
            return np.asarray(_plain(image))
    except Image.DecompressionBombError:
        raise Unreadable(_too_many("")) from None
    except UnidentifiedImageError:
        raise Unreadable(f"not one of {', '.join(FORMS)}, or damaged; save it as JPEG or PNG") from None
    except Unreadable:
        raise
    except OSError as error:
        if error.errno:
            raise
        raise Unreadable(f"damaged: {error}") from None
    except Exception as error:  # Pillow raises whatever its plug-ins come upon
        raise Unreadable(f"damaged: {type(error).__name__}: {error}") from None


def _too_many(found: str) -> str:
    return f"{found} pixels: more than {MAX_PIXELS // 1_000_000} million; make it smaller".strip()


def _plain(image: Image.Image) -> Image.Image:
    image = upright(image)
    if image.mode.startswith("I"):  # 16 bits, which Pillow would clip instead of scale
        image = image.point(lambda value: value / 256).convert("L")
    return over_white(image).convert("RGB")
