"""Camera frames of clients: only JPEG, checked by their headers before any pixel is decoded."""

import io
import struct

import numpy as np
from PIL import Image

SCANS = 30  # maximum scans of a progressive JPEG; each is a pass over all pixels, and thousands fit into few bytes
PARTS = 100  # maximum segments before the image; cameras write about ten, and each takes time to parse
_START, _END = b"\xff\xd8", b"\xff\xd9"
_SCAN = 0xDA
# Frame headers (ITU-T T.81, table B.1) of the processes that cameras and browsers use: baseline, extended, progressive.
_FRAME_HEADERS = (0xC0, 0xC1, 0xC2)
_OTHER_FRAME_HEADERS = (0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF)
_TABLES = (0xC4, 0xDB, 0xDD, *range(0xE0, 0xF0), 0xFE)  # all other segments that are allowed before an image


class BadFrame(ValueError):
    """A refused frame; the message is a reason for the sender."""


def frame_size(data: bytes, *, most_bytes: int, most_side: int) -> tuple[int, int]:
    """Return width and height of a JPEG that may be decoded, from its headers only. Raise BadFrame otherwise."""
    if len(data) > most_bytes:
        raise BadFrame(f"it has {len(data):,} bytes; the maximum is {most_bytes:,}")
    if not data.startswith(_START):
        raise BadFrame("it is not a JPEG, because it does not begin with FF D8")
    if _END not in data[-64:]:
        raise BadFrame("the JPEG is incomplete, because it does not end with FF D9")
    width, height = _size(data)
    if not min(width, height) >= 16 or max(width, height) > most_side:
        raise BadFrame(f"it has {width} x {height} pixels; each side must be 16 to {most_side}")
    scans = data.count(bytes((0xFF, _SCAN)))
    if scans > SCANS:
        raise BadFrame(f"the JPEG has {scans} scans; the maximum is {SCANS}. Send a baseline JPEG")
    return width, height


def decode_frame(data: bytes) -> np.ndarray:
    """Return uint8 RGB (H, W, 3) of a frame that `frame_size` accepted. Ignore EXIF rotation. Raise BadFrame."""
    try:
        with Image.open(io.BytesIO(data), formats=["JPEG"]) as image:
            return np.asarray(image.convert("RGB"))
    except (OSError, SyntaxError, ValueError, struct.error, Image.DecompressionBombError) as error:
        raise BadFrame("the JPEG is damaged") from error


def _size(data: bytes) -> tuple[int, int]:
    """Return the size from the only frame header before the first scan.

    A file with two headers, or with segments that some decoders skip and others read, is refused: decoders would
    disagree about its size.
    """
    position, size = len(_START), None
    for _ in range(PARTS):
        if position + 4 > len(data) or (data[position] == 0xFF and data[position + 1] in (_SCAN, _END[1])):
            break
        marker, length = data[position + 1], int.from_bytes(data[position + 2 : position + 4])
        if data[position] == 0xFF and marker in _OTHER_FRAME_HEADERS:
            raise BadFrame("this JPEG process is not supported. Send a baseline JPEG")
        if data[position] != 0xFF or marker not in (*_TABLES, *_FRAME_HEADERS) or length < 2:
            raise BadFrame("the JPEG is damaged: a marker is missing")
        if marker in _FRAME_HEADERS:
            if size:
                raise BadFrame("the JPEG is damaged: it has two sizes")
            size = _read_frame_header(data[position + 4 : position + 10])
        position += 2 + length
    else:
        raise BadFrame(f"the JPEG has more than {PARTS} segments before its image. Send a plain JPEG")
    if size is None:
        raise BadFrame("the JPEG is damaged: it has no size")
    return size


def _read_frame_header(header: bytes) -> tuple[int, int]:
    """Return width and height from precision (1 byte), height (2), width (2), components (1)."""
    if len(header) < 6:
        raise BadFrame("the JPEG is damaged: its header is incomplete")
    precision, components = header[0], header[5]
    if precision != 8 or components not in (1, 3):
        raise BadFrame(
            f"the JPEG has {components} components with {precision} bits. Send grey or colour with 8 bits per component"
        )
    return int.from_bytes(header[3:5]), int.from_bytes(header[1:3])
