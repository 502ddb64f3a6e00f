"""Pictures that come over a connection: JPEG alone, judged by their headers before a pixel is decoded."""

import io
import struct

import numpy as np
from PIL import Image

SCANS = 30  # of a progressive JPEG: each is a pass over all pixels, and thousands fit into few bytes
PARTS = 100  # of a header: cameras write about ten, and each of many takes its time, however short it is
_START, _END = b"\xff\xd8", b"\xff\xd9"
_SCAN = 0xDA
# Frame headers (ITU-T T.81, table B.1) of the processes that cameras and browsers use: baseline, extended, progressive.
_FRAME_HEADERS = (0xC0, 0xC1, 0xC2)
_OTHER_FRAME_HEADERS = (0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF)
_TABLES = (0xC4, 0xDB, 0xDD, *range(0xE0, 0xF0), 0xFE)  # all else that may stand before a picture


class BadFrame(ValueError):
    """Why a picture is refused, in words for whoever sent it."""


def frame_size(data: bytes, *, most_bytes: int, most_side: int) -> tuple[int, int]:
    """Width and height of a JPEG file that may be decoded, by its headers alone. Raises BadFrame."""
    if len(data) > most_bytes:
        raise BadFrame(f"{len(data):,} bytes: at most {most_bytes:,}")
    if not data.startswith(_START):
        raise BadFrame("no JPEG: it does not begin with FF D8")
    if _END not in data[-64:]:
        raise BadFrame("half a JPEG: it does not end with FF D9")
    width, height = _size(data)
    if not min(width, height) >= 16 or max(width, height) > most_side:
        raise BadFrame(f"{width} x {height} pixels: sides of 16 to {most_side}")
    scans = data.count(bytes((0xFF, _SCAN)))
    if scans > SCANS:
        raise BadFrame(f"a JPEG of {scans} scans: at most {SCANS}; send a baseline JPEG")
    return width, height


def decode_frame(data: bytes) -> np.ndarray:
    """uint8 RGB (H, W, 3) of what `frame_size` has let through; a turn in EXIF is left out. Raises BadFrame."""
    try:
        with Image.open(io.BytesIO(data), formats=["JPEG"]) as image:
            return np.asarray(image.convert("RGB"))
    except (OSError, SyntaxError, ValueError, struct.error, Image.DecompressionBombError) as error:
        raise BadFrame("a damaged JPEG") from error


def _size(data: bytes) -> tuple[int, int]:
    """From the one frame header before the first scan.

    Of two headers, or of what some readers skip and others read, nobody knows which size a decoder believes.
    """
    place, size = len(_START), None
    for _ in range(PARTS):
        if place + 4 > len(data) or (data[place] == 0xFF and data[place + 1] in (_SCAN, _END[1])):
            break
        marker, length = data[place + 1], int.from_bytes(data[place + 2 : place + 4])
        if data[place] == 0xFF and marker in _OTHER_FRAME_HEADERS:
            raise BadFrame("a JPEG of a rare kind; send a baseline JPEG")
        if data[place] != 0xFF or marker not in (*_TABLES, *_FRAME_HEADERS) or length < 2:
            raise BadFrame("a damaged JPEG: no marker where one is due")
        if marker in _FRAME_HEADERS:
            if size:
                raise BadFrame("a damaged JPEG: it says its size twice")
            size = _read_frame_header(data[place + 4 : place + 10])
        place += 2 + length
    else:
        raise BadFrame(f"a JPEG with more than {PARTS} parts before its picture; send a plain one")
    if size is None:
        raise BadFrame("a damaged JPEG: it never says its size")
    return size


def _read_frame_header(header: bytes) -> tuple[int, int]:
    """Precision (1 byte), height (2), width (2), components (1)."""
    if len(header) < 6:
        raise BadFrame("a damaged JPEG: its header is cut off")
    precision, components = header[0], header[5]
    if precision != 8 or components not in (1, 3):
        raise BadFrame(f"a JPEG of {components} components with {precision} bits; send grey or colour with 8")
    return int.from_bytes(header[3:5]), int.from_bytes(header[1:3])
