"""Reader of photos of any format as upright RGB pixels; MAX_PIXELS limits the memory."""

from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from fer_lightning.faces.pixels import UnclearRange, plain

FORMS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")
MAX_PIXELS = 120_000_000  # medium-format photos have 102 million


class Unreadable(Exception):
    """Reason why a file, or the rest of it, cannot be read."""


def read_photo(path: Path) -> np.ndarray:
    """Return a photo as uint8 RGB (H, W, 3), upright by its EXIF orientation, on white if it is transparent.

    Only the first frame of several is read. Values of 16 bits lose their lower 8 bits. Raise Unreadable or OSError if
    the photo cannot be read, or if the range of its values is unclear.
    """
    try:
        with Image.open(path, formats=FORMS) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise Unreadable(_too_many(f"{width:,} x {height:,}"))
            return np.asarray(plain(image).convert("RGB"))
    except Image.DecompressionBombError:
        raise Unreadable(_too_many("")) from None
    except UnidentifiedImageError:
        raise Unreadable(f"the file is damaged or not one of {', '.join(FORMS)}; save it as JPEG or PNG") from None
    except Unreadable:
        raise
    except UnclearRange as error:
        raise Unreadable(str(error).removesuffix(".")) from None
    except OSError as error:
        if error.errno:
            raise
        raise Unreadable(f"the file is damaged: {error}") from None
    except Exception as error:  # Pillow's plug-ins raise many types of exceptions
        raise Unreadable(f"the file is damaged: {type(error).__name__}: {error}") from None


def is_photo(path: Path) -> bool:
    """Return True if Pillow knows the format of the file."""
    try:
        with Image.open(path, formats=FORMS):
            return True
    except UnidentifiedImageError:
        return False
    except Exception:  # a damaged photo; `read_photo` gives the reason
        return True


def _too_many(dimensions: str) -> str:
    size = f"{dimensions} pixels: " if dimensions else ""
    return f"{size}the limit is {MAX_PIXELS // 1_000_000} million pixels; scale the image down"
