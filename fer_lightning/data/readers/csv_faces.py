"""Faces from a CSV with the columns emotion, pixels and, mostly, Usage, in any order.

A row's 2,304 numbers are parsed as bytes with numpy, about seven times faster than by splitting strings, and
besides the result one row at a time is in memory.
"""

import csv
import hashlib
import io
from collections.abc import Iterator

import numpy as np

from fer_lightning.data.readers.faces import ALLOWED_SPLITS, Faces, Progress, settle_plain_test, split_code
from fer_lightning.data.readers.files import File, buffered
from fer_lightning.data.table import SIDE
from fer_lightning.errors import UserError
from fer_lightning.labels import Taxonomy

PIXELS = SIDE * SIDE
MAX_LINE = 64 << 10  # bytes; a row of FER2013 has at most 9,236
MAX_TOTAL = 2 << 30  # bytes; the challenge's file has 301 MB
_REPORT_EVERY = 256  # rows


def read_csv(file: File, taxonomy: Taxonomy, progress: Progress | None = None) -> Faces:
    """Every row of `file`, or UserError naming file, row and line."""
    md5 = hashlib.md5(usedforsecurity=False)
    pixels, labels, usage = bytearray(), [], []
    with buffered(file) as handle:
        lines = _lines(handle, file.name, md5)
        columns = _header(file.name, next(lines, (1, b""))[1])
        codes = _Codes(taxonomy)
        seen = 0
        for number, line in lines:
            seen += len(line)
            text = line.strip()
            if not text:
                continue
            try:
                fields = _fields(text, len(columns))
                labels.append(codes.label(fields[columns["emotion"]]))
                if "usage" in columns:
                    usage.append(codes.usage(fields[columns["usage"]]))
                pixels += parse_pixels(fields[columns["pixels"]]).data
            except ValueError as error:
                row = len(pixels) // PIXELS
                raise UserError(f"{file.name}, row {row} (line {number}): {error}") from None
            if progress and len(labels) % _REPORT_EVERY == 0:
                progress(seen, file.size)
    if not labels:
        raise UserError(f"{file.name}: has a header and no rows")
    faces = Faces(
        pixels=np.frombuffer(pixels, np.uint8).reshape(-1, SIDE, SIDE),
        labels=np.array(labels, np.int64),
        usage=np.array(usage, np.uint8) if usage else None,
        source=[str(row) for row in range(len(labels))],
        form="csv",
        md5=md5.hexdigest(),
    )
    if faces.usage is not None:
        faces.notes += settle_plain_test(faces.usage)
    return faces


def parse_pixels(text: bytes) -> np.ndarray:
    """uint8 (2304,) from numbers of one to three digits parted by spaces; ValueError says what is wrong."""
    padded = np.frombuffer(b"  " + text + b" ", np.uint8)
    digit = padded - np.uint8(ord("0"))
    is_digit = digit < 10
    digit *= is_digit
    last = np.flatnonzero(is_digit[:-1] > is_digit[1:])
    values = digit[last].astype(np.uint16)
    has_tens = is_digit[last - 1]
    values += digit[last - 1] * np.uint8(10)
    values += (digit[last - 2] * has_tens) * np.uint16(100)
    # Four digits in a row would be read as their last three, and anything but digits and spaces as a gap.
    has_four = (is_digit[:-3] & is_digit[1:-2] & is_digit[2:-1] & is_digit[3:]).any()
    clean = np.count_nonzero(is_digit) + np.count_nonzero(padded == ord(" ")) == len(padded)
    if len(values) != PIXELS or has_four or not clean or values.max() > 255:
        raise ValueError(_complaint(text))
    return values.astype(np.uint8)


def _complaint(text: bytes) -> str:
    tokens = text.decode("utf-8", "replace").split(" ")
    tokens = [token for token in tokens if token]
    for place, token in enumerate(tokens):
        if not (token.isascii() and token.isdigit() and len(token) <= 3 and int(token) <= 255):
            return f"pixel {place} is {token[:20]!r}; integers from 0 to 255, parted by spaces, are allowed"
    return f"has {len(tokens):,} pixels; a face of {SIDE} x {SIDE} has {PIXELS:,}"


def _lines(handle: io.BufferedReader, name: str, md5) -> Iterator[tuple[int, bytes]]:
    number, total = 0, 0
    while line := handle.readline(MAX_LINE + 1):
        number += 1
        total += len(line)
        md5.update(line)
        if len(line) > MAX_LINE:
            raise UserError(
                f"{name}, line {number}: longer than {MAX_LINE >> 10} KiB, so it is no row of a face table; "
                f"FROM takes a CSV with emotion,pixels,Usage, a zip or tar of it, or class folders"
            )
        if total > MAX_TOTAL:
            raise UserError(f"{name}: larger than {MAX_TOTAL >> 30} GiB, far more than FER2013's 301 MB")
        yield number, line


def _header(name: str, line: bytes) -> dict[str, int]:
    text = line.decode("utf-8-sig", "replace").strip()
    names = [column.strip().lower() for column in next(csv.reader([text]), [])]
    columns = {column: place for place, column in enumerate(names)}
    wanted = "the first line must name emotion, pixels and, for the official split, Usage"
    if "pixels" not in columns:
        shown = ", ".join(repr(column[:20]) for column in names[:6]) or "nothing"
        raise UserError(f"{name}: no column `pixels` in the first line ({shown}); {wanted}")
    if "emotion" not in columns:
        raise UserError(
            f"{name}: no column `emotion`, so no labels (the competition's test.csv has none); {wanted}. "
            f"For the competition's files give the folder that holds train.csv: make data FROM=folder"
        )
    return columns


def _fields(text: bytes, columns: int) -> list[bytes]:
    if b'"' in text:
        try:
            quoted = next(csv.reader([text.decode("utf-8", "replace")], strict=True))
        except csv.Error as error:
            raise ValueError(f"the quotes do not close on the row ({error})") from None
        fields = [field.encode() for field in quoted]
    else:
        fields = text.split(b",")
    if len(fields) != columns:
        raise ValueError(f"has {len(fields)} fields; the header names {columns}")
    return fields


class _Codes:
    """Label and usage codes of raw fields, each distinct text worked out once."""

    def __init__(self, taxonomy: Taxonomy):
        self.taxonomy = taxonomy
        self.labels: dict[bytes, int] = {}
        self.usages: dict[bytes, int] = {}

    def label(self, raw: bytes) -> int:
        if raw not in self.labels:
            self.labels[raw] = self._label(raw.decode("utf-8", "replace").strip())
        return self.labels[raw]

    def usage(self, raw: bytes) -> int:
        if raw not in self.usages:
            name = raw.decode("utf-8", "replace").strip()
            code = split_code(name)
            if code is None:
                raise ValueError(f"Usage is {name[:40]!r}; allowed: {ALLOWED_SPLITS}")
            self.usages[raw] = code
        return self.usages[raw]

    def _label(self, text: str) -> int:
        classes = self.taxonomy.classes
        if not text.lstrip("-").isdigit():
            return self.taxonomy.index(text[:40])
        if text not in map(str, range(len(classes))):
            allowed = ", ".join(f"{code} {name}" for code, name in enumerate(classes))
            raise ValueError(f"emotion is {text[:20]}; allowed: {allowed}")
        return int(text)
