"""Reader of faces from a CSV with the columns emotion, pixels and usually Usage, in any order and letter case.

    emotion   code or name of the class
    pixels    48 x 48 numbers from 0 to 255, separated by spaces, row by row; in other forms S x S, or S x S x 3 for RGB
    Usage     optional: Training, PublicTest or PrivateTest
    source    optional: name of the image or the person that the face came from, free text of up to 200 characters.
              Splits keep all rows of one source together. A row with an empty source is a source of its own.

The file is UTF-8 with or without BOM. Its columns are separated by commas, semicolons or tabs. Lines end in LF or CRLF,
fields may be quoted, and other columns are ignored.
The numbers of a row are parsed as bytes with numpy, about seven times faster than with string splitting. Besides the
result, only one row at a time is in memory.
"""

import csv
import hashlib
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from fer_lightning.data.readers.faces import ALLOWED_SPLITS, ReadFaces, settle_plain_test, split_code, without_others
from fer_lightning.data.readers.files import File, buffered
from fer_lightning.errors import UserError
from fer_lightning.faces.image_form import FER2013_FORM, LARGEST, ImageForm
from fer_lightning.files import large_csv_fields
from fer_lightning.labels import Taxonomy, without_fraction
from fer_lightning.terminal import Progress

MAX_LINE = 64 << 10  # bytes; a row of FER2013 has at most 9,236
MAX_TOTAL = 2 << 30  # bytes; the challenge's file has 301 MB
MAX_SOURCE = 200  # characters
_REPORT_EVERY = 256  # rows
# Beginnings of files that are often saved in place of a CSV.
_OTHER_FILES = {
    b"\x93NUMPY": "a NumPy array (.npy)",
    b"PAR1": "a Parquet file",
    b"\x89HDF": "an HDF5 file",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook (.xls)",
    b"SQLite format 3": "an SQLite database",
    b"%PDF": "a PDF",
}
_BLANKS = b" \r\n"  # a tab at an end of a line may be a separator
SEPARATORS = (",", ";", "\t")
_WANTED = (
    "the first line must name emotion, pixels and, for the official split, Usage, "
    "separated by commas, semicolons or tabs"
)


@dataclass(frozen=True)
class _Columns:
    """Indices of the columns in a row, None if the file has no such column; `count` is the number of all columns."""

    separator: str
    count: int
    emotion: int
    pixels: int
    usage: int | None
    source: int | None


class OtherForm(UserError):
    """Faces of a file that have another form than the wanted one."""

    def __init__(self, name: str, own: ImageForm, wanted: ImageForm) -> None:
        remedy = "Omit SIZE and COLOR, or use images." if own == FER2013_FORM else f"Use {own.make_variables}."
        super().__init__(f"{name} holds faces of {own.description} pixels, and not of {wanted.description}. {remedy}")
        self.name, self.own, self.wanted = name, own, wanted


def read_csv(
    file: File,
    taxonomy: Taxonomy,
    progress: Progress | None = None,
    prefix: str = "",
    form: ImageForm = FER2013_FORM,
) -> ReadFaces:
    """Return every row of `file`; raise UserError that names file, row and line, and OtherForm for another form.

    prefix  text before the row number in the source of a row
    """
    md5 = hashlib.md5(usedforsecurity=False)
    pixels, labels, usage, source = bytearray(), [], [], []
    with buffered(file) as handle:
        lines = _lines(handle, file.name, md5, form)
        columns = _columns(file.name, next(lines, (1, b""))[1])
        codes, nothing = _Codes(taxonomy), b' "' + columns.separator.encode()
        seen = empty = 0
        for number, line in lines:
            seen += len(line)
            text = line.strip(_BLANKS if columns.separator == "\t" else None)
            if not text.strip(nothing):
                empty += bool(text)
                continue
            try:
                fields = _fields(text, columns)
                labels.append(codes.label(fields[columns.emotion]))
                if columns.usage is not None:
                    usage.append(codes.usage(fields[columns.usage]))
                if columns.source is not None:
                    source.append(_source(fields[columns.source], f"{prefix}row {len(source)}"))
                pixels += parse_pixels(fields[columns.pixels], form).data
            except ValueError as error:
                row = len(pixels) // form.values
                if row == 0:
                    _refuse_other_form(file.name, text, form)
                end = "" if line.endswith(b"\n") else "; the file ends within this line, so it may be incomplete"
                raise UserError(
                    f"{file.name}, row {row} (line {number}): {error}{end}. Repair or delete this row."
                ) from None
            if progress and len(labels) % _REPORT_EVERY == 0:
                progress(seen, file.size)
    if not labels:
        raise UserError(f"{file.name}: the file has a header but no rows. Use a file with at least one row.")
    faces = ReadFaces(
        pixels=np.frombuffer(pixels, np.uint8).reshape(-1, *form.shape),
        labels=np.array(labels, np.int64),
        usage=np.array(usage, np.uint8) if usage else None,
        source=source or [f"{prefix}{row}" for row in range(len(labels))],
        form="csv",
        md5=md5.hexdigest(),
    )
    if source:
        faces.notes.append(f"the column source has {len(set(source)):,} different sources in {len(source):,} rows")
    if empty:
        faces.notes.append(f"{empty:,} rows with only empty fields were skipped")
    if faces.usage is not None:
        faces.notes += settle_plain_test(faces.usage)
    return without_others(faces)


def _refuse_other_form(name: str, row: bytes, wanted: ImageForm) -> None:
    """Raise OtherForm if a row holds as many numbers as a face of another form has values."""
    own = ImageForm.of_values(max(len(field.split()) for field in re.split(rb'[,;\t"]', row)))
    if own is not None and own != wanted:
        raise OtherForm(name, own, wanted) from None


def parse_pixels(text: bytes, form: ImageForm = FER2013_FORM) -> np.ndarray:
    """Return the uint8 values of a face from numbers of one to three digits, separated by spaces.

    Raise ValueError for others.
    """
    padded = np.frombuffer(b"  " + text + b" ", np.uint8)
    digit = padded - np.uint8(ord("0"))
    is_digit = digit < 10
    digit *= is_digit
    last = np.flatnonzero(is_digit[:-1] > is_digit[1:])
    values = digit[last].astype(np.uint16)
    has_tens = is_digit[last - 1]
    values += digit[last - 1] * np.uint8(10)
    values += (digit[last - 2] * has_tens) * np.uint16(100)
    # Four digits in a row would be read as their last three. Any character but digits and spaces is read as a gap.
    has_four = (is_digit[:-3] & is_digit[1:-2] & is_digit[2:-1] & is_digit[3:]).any()
    clean = np.count_nonzero(is_digit) + np.count_nonzero(padded == ord(" ")) == len(padded)
    if len(values) != form.values or has_four or not clean or values.max() > 255:
        raise ValueError(_complaint(text, form))
    return values.astype(np.uint8)


def _complaint(text: bytes, form: ImageForm) -> str:
    tokens = text.decode("utf-8", "replace").split(" ")
    tokens = [token for token in tokens if token]
    for index, token in enumerate(tokens):
        if not (token.isascii() and token.isdigit() and len(token) <= 3 and int(token) <= 255):
            return f"pixel {index} is {token[:20]!r}; allowed are integers from 0 to 255, separated by spaces"
    unit, color = ("numbers", " RGB") if form.color else ("pixels", "")
    return f"the row has {len(tokens):,} {unit}; a face of {form.size} x {form.size}{color} has {form.values:,}"


def _longest(form: ImageForm) -> int:
    """Return the allowed bytes of a row with a face of this form: a number has up to three digits and a space."""
    return MAX_LINE + 4 * max(0, form.values - FER2013_FORM.values)


def _lines(handle: io.BufferedReader, name: str, md5, form: ImageForm) -> Iterator[tuple[int, bytes]]:
    number, total, longest = 0, 0, _longest(form)
    while line := handle.readline(_longest(ImageForm(LARGEST, color=True)) + 1):
        number += 1
        total += len(line)
        md5.update(line)
        if len(line) > longest:
            _refuse_other_form(name, line, form)
            raise UserError(
                f"{name}, line {number}: the line is longer than {longest >> 10} KiB, so it is not a row of faces. "
                f"FROM must be a CSV with emotion,pixels,Usage and lines that end in LF or CRLF, a zip or tar of it, "
                f"or class folders."
            )
        if total > MAX_TOTAL:
            raise UserError(f"{name}: the file is larger than {MAX_TOTAL >> 30} GiB; FER2013 has 301 MB.")
        yield number, line


def _columns(name: str, line: bytes) -> _Columns:
    names, separator = _header(name, line)
    for column in ("emotion", "pixels", "usage", "source"):
        if names.count(column) > 1:
            raise UserError(f"{name}: the first line names `{column}` twice. Remove one of the two columns.")
    if "pixels" not in names:
        shown = ", ".join(repr(column[:20]) for column in names[:6]) or "it is empty"
        raise UserError(f"{name}: the first line has no column `pixels` ({shown}); {_WANTED}")
    if "emotion" not in names:
        raise UserError(
            f"{name}: the first line has no column `emotion`, so the file has no labels; {_WANTED}. The competition's "
            f"test.csv has no labels either: use the folder that holds train.csv: make data FROM=folder"
        )
    places = {column: names.index(column) if column in names else None for column in ("usage", "source")}
    return _Columns(separator, len(names), names.index("emotion"), names.index("pixels"), **places)


def _header(name: str, line: bytes) -> tuple[list[str], str]:
    """Return the columns' names in lower case, and the separator of the columns."""
    kind = next((kind for magic, kind in _OTHER_FILES.items() if line.startswith(magic)), None)
    if kind is None and 0 < 4 * line.count(b"\0") < len(line):
        kind = "a binary file"
    if kind:
        raise UserError(
            f"{name}: this is {kind} and not a CSV. Save it as a CSV with the columns emotion,pixels,Usage, or save "
            f"arrays of images and labels in one file with numpy.savez."
        )
    if line.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in line:
        raise UserError(
            f"{name}: the first line is not UTF-8 (is it UTF-16?). Save the file as UTF-8: "
            f"iconv -f UTF-16 -t UTF-8 {name} > utf8.csv"
        )
    text = line.decode("utf-8-sig", "replace").strip(_BLANKS.decode())
    if "\r" in text:
        raise UserError(f"{name}: the lines end in CR only. Save the file with lines that end in LF or CRLF.")
    separator = separator_of(text)
    try:
        names = next(csv.reader([text], delimiter=separator, strict=True), [])
    except csv.Error as error:
        raise UserError(f"{name}: the first line is not a valid CSV row ({error}); {_WANTED}") from None
    return [column.strip().lower() for column in names], separator


def column_names(file: File) -> list[str]:
    """Return the names in the first line in lower case, whatever the file is."""
    with buffered(file) as handle:
        line = handle.readline(MAX_LINE).replace(b"\0", b"").decode("utf-8-sig", "replace").lower()
    return [column.strip("\"' \r\n") for column in re.split(r"[,;\t]", line)]


def separator_of(text: str) -> str:
    """Return the separator that makes the most columns of a file's first line; the comma if several do."""
    return max(SEPARATORS, key=lambda mark: len(next(csv.reader([text], delimiter=mark), [])))


def _fields(text: bytes, columns: _Columns) -> list[bytes]:
    if b"\r" in text:
        raise ValueError("the line has a carriage return (CR) before its end")
    if b'"' in text:
        try:
            line = text.decode("utf-8", "surrogateescape")
            with large_csv_fields():
                quoted = next(csv.reader([line], delimiter=columns.separator, strict=True))
        except csv.Error as error:
            raise ValueError(f"the quotes are not closed on this line ({error})") from None
        fields = [field.encode("utf-8", "surrogateescape") for field in quoted]
    else:
        fields = text.split(columns.separator.encode())
    if len(fields) != columns.count:
        raise ValueError(f"the row has {len(fields)} fields, but the header has {columns.count}")
    return fields


def _source(raw: bytes, default: str) -> str:
    text = _text(raw)
    if len(text) > MAX_SOURCE or any(ord(character) < ord(" ") for character in text):
        raise ValueError(f"source is {text[:40]!r}...; allowed are names of up to {MAX_SOURCE} characters on one line")
    return text or default


def _text(raw: bytes) -> str:
    try:
        return raw.decode("utf-8").strip()
    except UnicodeDecodeError:
        raise ValueError(f"{raw[:40]!r} is not UTF-8; save the file as UTF-8") from None


class _Codes:
    """Label and usage codes of raw fields; each distinct text is parsed only once."""

    def __init__(self, taxonomy: Taxonomy):
        self.taxonomy = taxonomy
        self.labels: dict[bytes, int] = {}
        self.usages: dict[bytes, int] = {}

    def label(self, raw: bytes) -> int:
        if raw not in self.labels:
            self.labels[raw] = self._label(_text(raw))
        return self.labels[raw]

    def usage(self, raw: bytes) -> int:
        if raw not in self.usages:
            name = _text(raw)
            code = split_code(name)
            if code is None:
                raise ValueError(f"Usage is {name[:40]!r}; allowed: {ALLOWED_SPLITS}")
            self.usages[raw] = code
        return self.usages[raw]

    def _label(self, text: str) -> int:
        classes = self.taxonomy.classes
        text = without_fraction(text)
        if self.taxonomy.codes is not None or not text.lstrip("-").isdigit():
            return self.taxonomy.read(text[:40])
        if text not in map(str, range(len(classes))):
            allowed = ", ".join(f"{code} {name}" for code, name in enumerate(classes))
            raise ValueError(f"emotion is {text[:20]}; allowed: {allowed}")
        return int(text)
