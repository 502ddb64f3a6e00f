"""The reader gives the rows of a plain parse by the module csv, or names the row with the fault, for any CSV."""

import codecs
import csv
import io
import re
from dataclasses import dataclass

import numpy as np
import pytest

from fer_lightning.data.readers.csv_faces import MAX_LINE, read_csv
from fer_lightning.data.readers.faces import ReadFaces, split_code
from fer_lightning.data.readers.files import File
from fer_lightning.errors import UserError
from fer_lightning.labels import TAXONOMIES

hypothesis = pytest.importorskip("hypothesis")
st = hypothesis.strategies

FER = TAXONOMIES["fer2013"]
PIECES = [
    *(
        b'"',
        b'""',
        b",",
        b";",
        b" ",
        b"\t",
        b"\n",
        b"\r",
        b"\r\n",
        b"\n\n",
        b"\0",
        b"\x1a",
        b"-1",
        b"256",
        b"1e3",
        b"00",
    ),
    *(b"0x1", b"+", b"nan", b"9" * 30, b"9" * (MAX_LINE + 1), b"Training", b"emotion", b"pixels", b"source"),
    *("é".encode(), "é".encode("latin-1"), "٣".encode(), "\u2028".encode(), "²".encode(), b"\xff\xfe", b"\xed\xa0\x80"),
    codecs.BOM_UTF8,
]


class Fault(Exception):
    """Error of the plain parse: in the header, or in a row, with its line."""


@dataclass
class Plain:
    """Result of a plain parse."""

    pixels: list[list[int]]
    labels: list[int]
    usage: list[int]
    source: list[str]


def plain_parse(data: bytes) -> Plain:
    """Slow and simple: lines by \\n, fields by the csv module, numbers by int(). Raises Fault."""
    lines = data.split(b"\n")
    columns, mark = plain_header(lines[0])
    ends = None if mark != "\t" else b" \r\n"  # an empty column at the end of a line is a column
    rows = Plain([], [], [], [])
    for number, line in enumerate(lines[1:], start=2):
        if len(line) + 1 > MAX_LINE and not (number == len(lines) and len(line) <= MAX_LINE):
            raise Fault(f"line {number}: the line is longer")
        if line.strip(ends).strip(b' "' + mark.encode()):  # rows with only empty fields are skipped
            try:
                plain_row(line.strip(ends), columns, mark, rows)
            except (ValueError, csv.Error):
                raise Fault(f"row {len(rows.pixels)} (line {number}): ") from None
    if not rows.pixels:
        raise Fault("has a header but no rows")
    return rows


def plain_header(line: bytes) -> tuple[list[str], str]:
    if len(line) + 1 > MAX_LINE:
        raise Fault("line 1: the line is longer")
    text = line.decode("utf-8-sig", "replace").strip(" \r\n")
    if line.startswith((codecs.BOM_UTF16_BE, codecs.BOM_UTF16_LE)) or "\0" in text or "\r" in text:
        raise Fault("")
    try:
        mark = max(",;\t", key=lambda mark: len(next(csv.reader([text], delimiter=mark), [])))
        names = [name.strip().lower() for name in next(csv.reader([text], delimiter=mark, strict=True), [])]
    except csv.Error:
        raise Fault("") from None
    if any(names.count(name) > 1 for name in ("emotion", "pixels", "usage", "source")):
        raise Fault("twice")
    for name in ("pixels", "emotion"):
        if name not in names:
            raise Fault(f"no column `{name}`")
    return names, mark


def plain_row(line: bytes, columns: list[str], mark: str, rows: Plain) -> None:
    if b"\r" in line:
        raise ValueError
    fields = next(csv.reader([line.decode("utf-8", "surrogateescape")], delimiter=mark, strict=True))
    if len(fields) != len(columns):
        raise ValueError
    row = dict(zip(columns, fields, strict=True))
    usage = split_code(utf8(row["usage"])) if "usage" in row else None
    source = utf8(row.get("source", "")).strip()
    pixels = [plain_pixel(token) for token in row["pixels"].split(" ") if token]
    if (
        len(pixels) != 48 * 48
        or ("usage" in row and usage is None)
        or len(source) > 200
        or re.search("[\0-\x1f]", source)
    ):
        raise ValueError
    rows.labels.append(plain_label(utf8(row["emotion"]).strip()))
    rows.source.append(source or f"row {len(rows.pixels)}")
    rows.usage.append(usage)
    rows.pixels.append(pixels)


def utf8(text: str) -> str:
    text.encode()  # what surrogateescape let through is no UTF-8 and does not come back
    return text


def plain_label(text: str) -> int:
    if re.fullmatch(r"[0-6](\.0*)?", text):
        return int(text[0])
    return FER.index(text)


def plain_pixel(token: str) -> int:
    if not re.fullmatch("[0-9]{1,3}", token) or int(token) > 255:
        raise ValueError
    return int(token)


@st.composite
def tables(draw) -> bytes:
    """A sound CSV of one to three faces in any of the usual styles."""
    random = np.random.default_rng(draw(st.integers(0, 99)))
    columns = draw(st.permutations(["emotion", "pixels", *draw(st.sets(st.sampled_from(["Usage", "source", "id"])))]))
    emotion = st.sampled_from([*"0123456", "happy", " Fear ", "NEUTRALITY"])
    usage = st.sampled_from(["Training", "PublicTest", "PrivateTest", "val", " train"])
    source = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=12)
    text = io.StringIO(newline="")
    quoting = draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
    end, mark = draw(st.sampled_from(["\n", "\r\n", "\n\n", " \n"])), draw(st.sampled_from(",,;\t"))
    writer = csv.writer(text, quoting=quoting, lineterminator=end, delimiter=mark)
    writer.writerow([draw(st.sampled_from([name, f" {name}", name.upper()])) for name in columns])
    for _ in range(draw(st.integers(1, 3))):
        pixels = " ".join(map(str, random.integers(0, draw(st.sampled_from([1, 256])), 48 * 48)))
        row = {"emotion": draw(emotion), "pixels": pixels, "Usage": draw(usage), "source": draw(source), "id": "7"}
        writer.writerow([row[name] for name in columns])
    return draw(st.sampled_from([b"", codecs.BOM_UTF8])) + text.getvalue().encode()


@st.composite
def places(draw, data: bytes) -> int:
    """Anywhere, or beside one of the bytes that make a CSV; of four positions, three are behind the header."""
    first = draw(st.sampled_from([0, *[data.find(b"\n") + 1] * 3]))
    marks = [match.start() for match in re.finditer(rb'[,;\t\n"]', data) if match.start() >= first] or [first]
    beside = st.sampled_from(marks).flatmap(lambda mark: st.integers(mark, mark + 9))
    return min(len(data), draw(st.one_of(beside, st.integers(first, len(data)))))


@st.composite
def damaged(draw) -> bytes:
    """A table with up to three changes of any kind."""
    data = draw(tables())
    for _ in range(draw(st.integers(0, 3))):
        start, end = sorted((draw(places(data)), draw(places(data))))
        change = draw(
            st.sampled_from(["flip", "insert", "drop", "double", "cut", "line ends", "encoding", "few", "few"])
        )
        if change == "flip" and start < len(data):
            data = data[:start] + bytes([draw(st.integers(0, 255))]) + data[start + 1 :]
        elif change == "insert":
            data = data[:start] + draw(st.sampled_from(PIECES)) + data[start:]
        elif change == "drop":
            data = data[:start] + data[end:]
        elif change == "few":
            data = data[:start] + data[start + draw(st.integers(1, 9)) :]
        elif change == "double":
            data = data[:end] + data[start:end][:20_000] + data[end:]
        elif change == "cut":
            data = data[:start]
        elif change == "line ends":
            data = data.replace(b"\n", draw(st.sampled_from([b"\r\n", b"\r"])))
        elif change == "encoding":
            codec = draw(st.sampled_from(["utf-16", "utf-16-be", "latin-1", "latin-1", "utf-8-sig"]))
            data = data.decode("utf-8", "replace").encode(codec, "replace")
    return data


def parsed(data: bytes) -> tuple[Plain | None, Fault | None]:
    try:
        return plain_parse(data), None
    except Fault as fault:
        return None, fault


def read(data: bytes) -> ReadFaces:
    return read_csv(File("some.csv", len(data), 0, lambda: io.BytesIO(data)), FER)


def agree(data: bytes) -> None:
    expected, fault = parsed(data)
    if fault:
        with pytest.raises(UserError, match=r"some\.csv") as refused:
            read(data)
        form = re.search(r"holds faces of (\d+) x \1 (grey|RGB)", str(refused.value))
        if form is None:
            assert str(fault) in str(refused.value)
        else:  # a row has as many numbers as a face of this form has values
            values = int(form[1]) ** 2 * (3 if form[2] == "RGB" else 1)
            assert values in {len(field.split()) for field in re.split(rb'[,;\t"\n]', data)}
        return
    faces = read(data)
    assert faces.pixels.reshape(len(faces.pixels), -1).tolist() == expected.pixels
    assert faces.labels.tolist() == expected.labels
    if faces.usage is not None:
        assert np.where(np.array(expected.usage) == 3, 2, expected.usage).tolist() == faces.usage.tolist()
    if any("column source" in note for note in faces.notes):
        assert faces.source == expected.source


SETTINGS = hypothesis.settings(
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow, hypothesis.HealthCheck.data_too_large],
)


@hypothesis.settings(SETTINGS, max_examples=40)
@hypothesis.given(tables())
def test_sound_tables_are_read_as_the_csv_module_reads_them(data):
    plain_parse(data)
    agree(data)


@pytest.mark.slow
@hypothesis.settings(SETTINGS, max_examples=250)
@hypothesis.given(damaged())
def test_damaged_tables_are_read_right_or_the_row_is_named(data):
    agree(data)


@hypothesis.settings(SETTINGS, max_examples=60)
@hypothesis.given(st.binary(max_size=400) | st.text(max_size=200).map(str.encode))
def test_anything_at_all_is_refused_in_words(data):
    agree(data)


@pytest.mark.slow
@hypothesis.settings(SETTINGS, max_examples=100)
@hypothesis.given(st.binary(max_size=300) | st.sampled_from(PIECES), st.integers(0, 3))
def test_any_row_below_a_sound_header_is_refused_by_its_number(tail, before):
    sound = f"3,{' '.join(['7'] * 2304)}\n".encode()
    agree(b"emotion,pixels\n" + sound * before + tail)
