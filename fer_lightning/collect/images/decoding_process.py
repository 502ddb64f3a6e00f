"""The process that decodes strangers' pictures: it can reach little and is ended when it takes too much.

decode.py starts it as a script, with an empty environment, and talks to it through its standard input and output:

    question   4 bytes: the length of a file, then the file
    answer     4 bytes: the length of a JSON object, then the object, then the pixels row by row, one byte a value
               {"format": "JPEG", "width": W, "height": H, "shape": [h, w] or [h, w, 3]}, or {"reason": R, "detail": D}

It imports nothing of this package and nothing but Pillow beside the standard library: what is not loaded cannot be
attacked, nor count towards the memory it may have.
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

from fer_lightning.faces.pixels import over_white, upright

MEMORY = 1 << 30  # bytes of address space; the largest picture allowed takes half of it
SECONDS = 10  # of processor time for one picture
OPEN_FILES = 16
MAX_PIXELS = 40_000_000
MAX_SIDE = 16_384
STORED_SIDE = 1280
MIN_SIDE = 48  # as stored: a face of fewer pixels is of no use
LENGTH = struct.Struct(">I")
READY = b"ready"


class Reason(StrEnum):
    """Why a file is no picture that can be used."""

    NOT_A_PICTURE = "not a picture"  # neither JPEG, PNG nor WebP by its first bytes
    ANIMATED = "animated"  # several frames of PNG or WebP; the other pictures of a JPEG are ignored
    TOO_MANY_PIXELS = "too many pixels"
    TOO_SMALL = "too small"
    TRUNCATED = "truncated"
    UNREADABLE = "unreadable"
    TOO_MUCH_MEMORY = "too much memory"
    TOO_SLOW = "too slow to decode"
    DECODER_DIED = "decoder died"


class _Refused(Exception):
    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(reason, detail)
        self.reason, self.detail = reason, detail


def form_of(data: bytes) -> str | None:
    """Pillow's name of a file's form by its magic number: JPEG, PNG or WEBP."""
    if data.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    return "WEBP" if data[:4] == b"RIFF" and data[8:12] == b"WEBP" else None


def decode(data: bytes) -> tuple[Image.Image, str, tuple[int, int]]:
    """The picture as it is to be stored, its form, and its (width, height) as it came.

    RGB or L: over white where it is see-through, turned as its EXIF says, the longer side at most STORED_SIDE. The
    first picture of a JPEG that holds several. Values of 16 bits lose their lower 8.
    """
    form = form_of(data)
    if form is None:
        raise _Refused(Reason.NOT_A_PICTURE, f"begins with {data[:8].hex()}")
    if form == "WEBP" and int.from_bytes(data[4:8], "little") + 8 > len(data):
        raise _Refused(Reason.TRUNCATED, "shorter than its header says")
    try:
        picture = Image.open(io.BytesIO(data), formats=(form,))
        size = picture.size
        _check(picture, form)
        return _stored(picture), form, size
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _Refused(Reason.TOO_MANY_PIXELS, f"more than {MAX_PIXELS:,}") from error
    except MemoryError as error:
        raise _Refused(Reason.TOO_MUCH_MEMORY, f"more than {MEMORY >> 20} MiB") from error
    except UnidentifiedImageError as error:
        raise _Refused(Reason.UNREADABLE, f"no {form} beyond its first bytes") from error
    except _Refused:
        raise
    except Exception as error:  # Pillow raises whatever its plug-ins come upon
        reason = Reason.TRUNCATED if "truncated" in str(error) else Reason.UNREADABLE
        raise _Refused(reason, f"{type(error).__name__}: {error}") from error


def _check(picture: Image.Image, form: str) -> None:
    """Before a pixel is read. Image.open has compared their number with MAX_PIXELS."""
    width, height = picture.size
    if max(width, height) > MAX_SIDE:
        raise _Refused(Reason.TOO_MANY_PIXELS, f"{width} x {height}: a side of more than {MAX_SIDE}")
    if min(width, height) * min(1.0, STORED_SIDE / max(width, height)) < MIN_SIDE:
        raise _Refused(Reason.TOO_SMALL, f"{width} x {height}: a side of less than {MIN_SIDE} as stored")
    if form != "JPEG" and getattr(picture, "is_animated", False):
        raise _Refused(Reason.ANIMATED, f"{picture.n_frames} frames")


def _stored(picture: Image.Image) -> Image.Image:
    if picture.mode.startswith("I"):
        picture = picture.point(lambda value: value / 256).convert("L")
    elif picture.mode in ("P", "PA"):
        picture = picture.convert("RGBA")
    elif picture.mode == "1":
        picture = picture.convert("L")
    # A gap of 1 lets a large JPEG be decoded at a half, a quarter or an eighth, which takes half of the time.
    picture.thumbnail((STORED_SIDE, STORED_SIDE), Image.Resampling.LANCZOS, reducing_gap=1.0)
    picture = over_white(upright(picture))
    return picture if picture.mode == "L" else picture.convert("RGB")


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
        with suppress(OSError, ValueError):  # macOS takes no limit of memory
            resource.setrlimit(limit, (most, most))


def _limit_time() -> None:
    """The system ends the process when it has worked so long from now on."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    seconds = int(used.ru_utime + used.ru_stime) + SECONDS
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, resource.getrlimit(resource.RLIMIT_CPU)[1]))


def _answer(data: bytes) -> tuple[dict[str, Any], bytes]:
    try:
        picture, form, (width, height) = decode(data)
        pixels = picture.tobytes()
    except _Refused as refused:
        return {"reason": refused.reason, "detail": refused.detail[:300]}, b""
    shape = [picture.height, picture.width] + ([3] if picture.mode == "RGB" else [])
    return {"format": form, "width": width, "height": height, "shape": shape}, pixels


def _serve(questions: BinaryIO, answers: BinaryIO) -> None:
    while head := questions.read(LENGTH.size):
        _limit_time()
        about, pixels = _answer(questions.read(*LENGTH.unpack(head)))
        packed = json.dumps(about).encode()
        answers.write(LENGTH.pack(len(packed)) + packed)
        answers.write(pixels)
        answers.flush()


if __name__ == "__main__":
    _limit()
    sys.stdout.buffer.write(READY)
    sys.stdout.buffer.flush()
    _serve(sys.stdin.buffer, sys.stdout.buffer)
