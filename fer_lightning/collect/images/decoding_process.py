"""Process that decodes untrusted images, with limits on memory, time and files.

decode.py starts it as a script with a minimal environment, and uses its standard input and output:

    question   4 bytes: length of a file; then the file
    answer     4 bytes: length of a JSON object; then the object; then the pixels row by row, one byte per value
               {"format": "JPEG", "width": W, "height": H, "shape": [h, w] or [h, w, 3]}, or {"reason": R, "detail": D}

It imports as little as possible: code that is not loaded cannot be attacked and takes no memory.
"""

import io
import json
import os
import resource
import struct
import sys
import warnings
from contextlib import suppress
from enum import StrEnum
from typing import Any, BinaryIO

from PIL import Image, JpegImagePlugin, PngImagePlugin, UnidentifiedImageError, WebPImagePlugin  # noqa: F401

from fer_lightning.compat.pillow import is_cut_short
from fer_lightning.faces.pixels import eight_bits, plain

MEMORY = 1 << 30  # bytes of address space; the largest image allowed takes half of it
SECONDS = 10  # maximum CPU time in seconds for one image
OPEN_FILES = 16
MAX_PIXELS = 40_000_000
MAX_SIDE = 16_384
STORED_SIDE = 1280
MIN_SIDE = 48  # minimum side of the stored image in pixels; a smaller face cannot be used
LENGTH = struct.Struct(">I")
READY = b"ready"


class DecodeReason(StrEnum):
    """Reasons why a file is not a usable image."""

    NOT_AN_IMAGE = "not an image"  # the first bytes are not those of JPEG, PNG or WebP
    ANIMATED = "animated"  # PNG or WebP with several frames; of a JPEG with several images, the first is used
    TOO_MANY_PIXELS = "too many pixels"
    TOO_SMALL = "too small"
    TRUNCATED = "truncated"
    UNREADABLE = "unreadable"
    TOO_MUCH_MEMORY = "too much memory"
    TOO_SLOW = "too slow to decode"
    DECODER_DIED = "decoder died"


class _Refused(Exception):
    def __init__(self, reason: DecodeReason, detail: str = "") -> None:
        super().__init__(reason, detail)
        self.reason, self.detail = reason, detail


def form_of(data: bytes) -> str | None:
    """Return Pillow's name of a file's format by its first bytes: JPEG, PNG or WEBP; None for other formats."""
    if data.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    return "WEBP" if data[:4] == b"RIFF" and data[8:12] == b"WEBP" else None


def decode(data: bytes) -> tuple[Image.Image, str, tuple[int, int]]:
    """Return the image in its stored form, its format, and its original (width, height).

    The stored form has the mode RGB or L and a longer side of at most STORED_SIDE pixels. Transparent pixels become
    white, and the image is turned as its EXIF says. Of a JPEG with several images the first one is used. Values of
    16 bits lose their lower 8 bits.
    """
    form = form_of(data)
    if form is None:
        raise _Refused(DecodeReason.NOT_AN_IMAGE, f"begins with {data[:8].hex()}")
    if form == "WEBP" and int.from_bytes(data[4:8], "little") + 8 > len(data):
        raise _Refused(DecodeReason.TRUNCATED, "shorter than its header says")
    try:
        image = Image.open(io.BytesIO(data), formats=(form,))
        size = image.size
        _check(image, form)
        return _stored(image), form, size
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _Refused(DecodeReason.TOO_MANY_PIXELS, f"more than {MAX_PIXELS:,}") from error
    except MemoryError as error:
        raise _Refused(DecodeReason.TOO_MUCH_MEMORY, f"more than {MEMORY >> 20} MiB") from error
    except UnidentifiedImageError as error:
        raise _Refused(DecodeReason.UNREADABLE, f"not {form} after its first bytes") from error
    except _Refused:
        raise
    except Exception as error:  # Pillow's plug-ins raise any kind of exception
        reason = DecodeReason.TRUNCATED if is_cut_short(error) else DecodeReason.UNREADABLE
        raise _Refused(reason, f"{type(error).__name__}: {error}") from error


def _check(image: Image.Image, form: str) -> None:
    """Raise _Refused for a size that is not allowed, before a pixel is read.

    Image.open has already compared the number of pixels with MAX_PIXELS.
    """
    width, height = image.size
    if max(width, height) > MAX_SIDE:
        raise _Refused(DecodeReason.TOO_MANY_PIXELS, f"{width} x {height}: a side of more than {MAX_SIDE}")
    if min(width, height) * min(1.0, STORED_SIDE / max(width, height)) < MIN_SIDE:
        raise _Refused(DecodeReason.TOO_SMALL, f"{width} x {height}: a side of less than {MIN_SIDE} as stored")
    if form != "JPEG" and getattr(image, "is_animated", False):
        raise _Refused(DecodeReason.ANIMATED, f"{image.n_frames} frames")


def _stored(image: Image.Image) -> Image.Image:
    image = eight_bits(image)
    if image.mode in ("P", "PA"):
        image = image.convert("RGBA")
    elif image.mode == "1":
        image = image.convert("L")
    # A gap of 1 decodes a large JPEG at a half, a quarter or an eighth of its size, which halves the time.
    image.thumbnail((STORED_SIDE, STORED_SIDE), Image.Resampling.LANCZOS, reducing_gap=1.0)
    image = plain(image)
    return image if image.mode == "L" else image.convert("RGB")


def _limit() -> None:
    Image.MAX_IMAGE_PIXELS = MAX_PIXELS
    warnings.simplefilter("ignore")
    warnings.simplefilter("error", Image.DecompressionBombWarning)
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, sys.stderr.fileno())
    for limit, most in (
        (resource.RLIMIT_AS, MEMORY),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, OPEN_FILES),
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        with suppress(OSError, ValueError):  # macOS does not support the memory limit
            resource.setrlimit(limit, (most, most))


def _limit_time() -> None:
    """Limit the CPU time from now on; the operating system kills the process after SECONDS."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    seconds = int(used.ru_utime + used.ru_stime) + SECONDS
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, resource.getrlimit(resource.RLIMIT_CPU)[1]))


def _answer(data: bytes) -> tuple[dict[str, Any], bytes]:
    try:
        image, form, (width, height) = decode(data)
        pixels = image.tobytes()
    except _Refused as refused:
        return {"reason": refused.reason, "detail": refused.detail[:300]}, b""
    shape = [image.height, image.width] + ([3] if image.mode == "RGB" else [])
    return {"format": form, "width": width, "height": height, "shape": shape}, pixels


def _serve(questions: BinaryIO, answers: BinaryIO) -> None:
    while head := questions.read(LENGTH.size):
        _limit_time()
        answer, pixels = _answer(questions.read(*LENGTH.unpack(head)))
        packed = json.dumps(answer).encode()
        answers.write(LENGTH.pack(len(packed)) + packed)
        answers.write(pixels)
        answers.flush()


if __name__ == "__main__":
    _limit()
    sys.stdout.buffer.write(READY)
    sys.stdout.buffer.flush()
    _serve(sys.stdin.buffer, sys.stdout.buffer)
