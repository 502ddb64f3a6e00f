"""Size that the container of a video states, compared with the size of its file.

OpenCV's number of frames is often only an estimate: the duration times the frame rate. So a video with few frames is
incomplete only if its container states that the file must be longer.
"""

import struct
from pathlib import Path
from typing import BinaryIO

_EBML, _SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"  # Matroska and WebM
_BOXES = (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide")  # first boxes of MP4 and QuickTime


def is_cut(path: Path) -> bool:
    """Return True if the file is shorter than its container states; False for containers that state no size."""
    length = path.stat().st_size
    with open(path, "rb") as file:
        start = file.read(12)
        if start[:4] == b"RIFF":
            return _end(file, length, _chunk) > length
        if start[4:8] in _BOXES:
            return _end(file, length, _box) > length
        return start[:4] == _EBML and _end_of_segment(file) > length


def _end(file: BinaryIO, length: int, read_end) -> int:
    """Return the end of the last element at the top level of the file."""
    end = 0
    while end < length:
        file.seek(end)
        head = file.read(16)
        following = read_end(head, end, length)
        if following <= end:
            break
        end = following
    return end


def _chunk(head: bytes, start: int, _: int) -> int:
    if len(head) < 8 or head[:4] != b"RIFF":
        return start
    size = struct.unpack("<I", head[4:8])[0]
    return start + 8 + size + size % 2 if size else start


def _box(head: bytes, start: int, length: int) -> int:
    if len(head) < 8:
        return start
    size = struct.unpack(">I", head[:4])[0]
    if size == 1 and len(head) == 16:
        size = struct.unpack(">Q", head[8:])[0]
    return start + size if size else length


def _end_of_segment(file: BinaryIO) -> int:
    """Return the end of the segment of a Matroska file; 0 if it states no size, as in a live recording."""
    file.seek(4)
    header = _number(file)
    if header is None:
        return 0
    file.seek(file.tell() + header)
    size = _number(file) if file.read(4) == _SEGMENT else None
    return 0 if size is None else file.tell() + size


def _number(file: BinaryIO) -> int | None:
    """Return a number of Matroska's variable length; None for the unknown size."""
    first = file.read(1)
    if not first or not first[0]:
        return None
    more = 8 - first[0].bit_length()
    value = int.from_bytes(bytes([first[0] & (0x7F >> more)]) + file.read(more))
    return None if value == (1 << 7 * (more + 1)) - 1 else value
