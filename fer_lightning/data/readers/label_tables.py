"""Reader of images beside tables that name them: a CSV of file names and labels, FER+'s label.csv, or RAF-DB's list.

    train/a.png, train_labels.csv       columns such as filename and label; also usage and person
    FER2013Train/a.png, label.csv       FER+: no header; file, box, and the votes of ten people for ten labels
    aligned/train_0001_aligned.jpg, list_patition_label.txt
                                        RAF-DB: no header; file without `_aligned`, and label, separated by a space

A row's split is that of its column, of the name of its table (train_labels.csv), or of a folder (train/). In a list it
may also be the beginning of the file's name (train_0001.jpg).
"""

import csv
import io
import posixpath
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace

import numpy as np

from fer_lightning.data.ferplus import COLUMNS, plurality
from fer_lightning.data.readers.csv_faces import column_names, separator_of
from fer_lightning.data.readers.faces import ALLOWED_SPLITS, ReadFaces, split_code, split_in_name, split_of_folders
from fer_lightning.data.readers.files import File, Listing, read_bounded
from fer_lightning.data.readers.folder_faces import listed_images
from fer_lightning.data.readers.images import LabelledImage, Reading, read_images
from fer_lightning.errors import UserError
from fer_lightning.inputs import LISTS, MISSING, OTHER_VERSION, PHOTOGRAPHS, TABLES, UNNAMED, has_suffix
from fer_lightning.labels import Taxonomy
from fer_lightning.terminal import Progress

MAX_TABLE = 256 << 20  # bytes
# Names of the columns in lower case, without spaces, signs and underscores.
FILE = ("file", "filename", "filepath", "image", "imagename", "imagepath", "img", "path", "pth", "subdirectoryfilepath")
LABEL = ("label", "labels", "emotion", "class", "classname", "expression", "category")
USAGE = ("usage", "split", "set", "subset")
SOURCE = ("source", "person", "personid", "subject", "subjectid", "participant")
_VOTES = re.compile(r'[^",]+\.png,"\(\d+, \d+, \d+, \d+\)"(,\d+){10}\s*', flags=re.I)
_LISTED = re.compile(rf"\S[^,;]*({'|'.join(map(re.escape, PHOTOGRAPHS))})[ \t]+[^\s,;]+\s*", flags=re.I)
ALIGNED = "_aligned"  # end of the names of RAF-DB's cropped faces; its photographs have the same names without it


@dataclass(frozen=True)
class _Row:
    """One row of a table: the image's file as written, and what is known about it."""

    name: str
    label: int
    split: int | None
    source: str | None = None
    votes: np.ndarray | None = None


def label_tables(files: Sequence[File]) -> list[File]:
    """Return the tables that give labels to image files."""
    tables = [file for file in files if has_suffix(file.name, TABLES) and _is_label_table(file)]
    return tables or label_lists(files)


def name_images(tables: Sequence[File], images: Sequence[File]) -> bool:
    """Return True if the tables name at least half of the images, and False if they do not name any.

    Raise UserError if they name fewer than half, because it is then unclear what gives the labels.
    """
    finder, named = _Finder(images), set()
    for table in tables:
        for name in _names(table):
            with suppress(ValueError):  # several images have this name: the reader of the table reports the row
                named |= {file.name for file in _versions(name, table, finder, Reading())}
    if named and 2 * len(named) < len(images):
        raise UserError(
            f"{', '.join(table.name for table in tables)}: names {len(named):,} of {len(images):,} images, and the "
            "folders of all images are numbers of classes. If the folders give the labels, move this table away. If "
            "the table gives them, add a row for each image, or move the other images away."
        )
    return bool(named)


def label_lists(files: Sequence[File]) -> list[File]:
    """Return the text files whose first line is an image file and its label."""
    return [file for file in files if _is_list(file)]


def _is_list(file: File) -> bool:
    return has_suffix(file.name, LISTS) and _LISTED.fullmatch(_first_line(file)) is not None


def _is_label_table(file: File) -> bool:
    names = plain_names(column_names(file))
    named = column(names, FILE) is not None and column(names, LABEL) is not None and "pixels" not in names
    return named or _is_ferplus(file)


def _is_ferplus(file: File) -> bool:
    return _VOTES.fullmatch(_first_line(file)) is not None


def _first_line(file: File) -> str:
    with file.open() as handle:
        return handle.read(1000).decode("utf-8-sig", "replace").split("\n")[0]


def read_label_tables(
    tables: Sequence[File],
    listing: Listing,
    taxonomy: Taxonomy,
    progress: Progress | None = None,
    reading: Reading | None = None,
) -> ReadFaces:
    """Return the images that the tables name, with the labels of the tables.

    Rows without an image and images without a row are left out of the listing. Raise UserError that names table and row
    for a label that cannot be read, and for an image with two labels.
    """
    reading = reading or Reading()
    matches = _images_of_rows(tables, listing, taxonomy, reading)
    if not matches:
        raise UserError(
            f"{tables[0].name}: none of the images that this table names is here. Put the images beside it, and write "
            f"their paths relative to the table."
        )
    images = [_labelled(file, row) for file, row in matches.values()]
    _refuse_half_split(images)
    faces = read_images(images, f"images beside {', '.join(table.name for table in tables)}", reading, progress)
    if faces.votes is not None:
        faces.notes.append("the label of an image is the one with the most votes of FER+'s ten people")
    return faces


def _images_of_rows(
    tables: Sequence[File], listing: Listing, taxonomy: Taxonomy, reading: Reading
) -> dict[str, tuple[File, _Row]]:
    """Return the images with their rows, by the names of the images; leave out what has no partner."""
    others = replace(listing, files=[file for file in listing.files if file not in tables])
    files, _ = listed_images(others, reading)
    finder, matches, unnamed = _Finder(files), {}, {file.name for file in files}
    for table in tables:
        for line, row in _rows(table, taxonomy):
            try:
                versions = _versions(row.name, table, finder, reading)
                unnamed -= {file.name for file in versions}
                if not versions:
                    listing.left_out.add(MISSING, f"{table.name}: {row.name}")
                elif matches.setdefault(versions[0].name, (versions[0], row))[1].label != row.label:
                    raise ValueError(f"the image {row.name} has another label in a row above")
                for other in versions[1:]:
                    listing.left_out.add(OTHER_VERSION, other.name)
            except ValueError as error:
                raise UserError(f"{table.name}, line {line}: {error}. Fix this row.") from None
    for name in sorted(unnamed):
        listing.left_out.add(UNNAMED, name)
    return matches


def _versions(name: str, table: File, finder: "_Finder", reading: Reading) -> list[File]:
    """Return the images that a row names, first the one to read: RAF-DB's face, or the photograph with PHOTOS=yes."""
    names = [name]
    if has_suffix(table.name, LISTS):
        stem, suffix = posixpath.splitext(name)
        names.insert(0 if reading.cut is None else 1, f"{stem}{ALIGNED}{suffix}")
    files = (finder.find(one, posixpath.dirname(table.name), split_in_name(table.name)) for one in names)
    return [file for file in files if file is not None]


def _labelled(file: File, row: _Row) -> LabelledImage:
    folders = file.name.split("/")[:-1]
    split = row.split if row.split is not None else split_of_folders(folders)
    return LabelledImage(file, row.label, split, row.source, row.votes)


def _refuse_half_split(images: Sequence[LabelledImage]) -> None:
    without = [image.file.name for image in images if image.split is None]
    if without and len(without) < len(images):
        raise UserError(
            f"{without[0]}: this image has no split, but others have one. Name the split of each row in a column "
            f"`split`: {ALLOWED_SPLITS}."
        )


class _Finder:
    """Images by the last part of their path, with and without suffix."""

    def __init__(self, files: Sequence[File]) -> None:
        self._by_end: dict[str, list[File]] = {}
        for file in files:
            for name in self.names(file):
                self._by_end.setdefault(name, []).append(file)

    @staticmethod
    def names(file: File) -> set[str]:
        """Return the names by which a row can identify the file."""
        base = posixpath.basename(file.name)
        return {base, posixpath.splitext(base)[0]}

    def find(self, name: str, folder: str, split: int | None) -> File | None:
        """Return the image of a row, relative to the table's folder or to any other; raise ValueError for several.

        split  split in the table's name: images below folders of other splits are not meant
        """
        wanted = posixpath.normpath(name.replace("\\", "/"))
        near = posixpath.join(folder, wanted)
        matches = [file for file in self._by_end.get(posixpath.basename(wanted), ()) if _ends_with(file.name, wanted)]
        if len(matches) > 1:
            matches = [file for file in matches if _ends_with(f"/{file.name}", f"/{near}")] or matches
        if split is not None:
            matches = [file for file in matches if split_of_folders(file.name.split("/")[:-1]) in (None, split)]
        if len(matches) > 1:
            raise ValueError(f"{name} may be {matches[0].name} or {matches[1].name}; write more of its path")
        return matches[0] if matches else None


def _ends_with(name: str, wanted: str) -> bool:
    return any(f"/{one}".endswith(f"/{wanted}") for one in (name, posixpath.splitext(name)[0]))


def _names(table: File) -> Iterator[str]:
    """Yield the file names in the rows of a table, whatever their labels are."""
    lines = _lines(table)
    with _named_line(table, lines):
        has_head = not (has_suffix(table.name, LISTS) or _is_ferplus(table))
        position = column(plain_names(next(lines)), FILE) if has_head else 0
        yield from (fields[position].strip() for fields in lines if len(fields) > position)


def _rows(table: File, taxonomy: Taxonomy) -> Iterator[tuple[int, _Row]]:
    """Yield (line number, row) of all rows that are not empty."""
    lines, split = _lines(table), split_in_name(table.name)
    with _named_line(table, lines):
        is_list = has_suffix(table.name, LISTS)
        read = _list_row if is_list else _votes_row if _is_ferplus(table) else _Columns(next(lines)).row
        for fields in lines:
            if any(field.strip() for field in fields):
                yield lines.line_num, read(fields, split, taxonomy)


def _lines(table: File):
    """Return a csv.reader of a table."""
    text = _text(table)
    separator = " " if has_suffix(table.name, LISTS) else separator_of(text.split("\n", 1)[0])
    return csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)


@contextmanager
def _named_line(table: File, lines) -> Iterator[None]:
    """Raise UserError with the table and the line instead of an error of a row."""
    try:
        yield
    except (ValueError, csv.Error) as error:
        raise UserError(f"{table.name}, line {lines.line_num}: {error}. Fix this row.") from None


def _text(table: File) -> str:
    try:
        return read_bounded(table, MAX_TABLE).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UserError(f"{table.name}: this table is not UTF-8. Save it as UTF-8.") from None


def _votes_row(fields: list[str], split: int | None, taxonomy: Taxonomy) -> _Row:
    if len(fields) != 2 + len(COLUMNS) or not all(
        field.strip().isdecimal() and int(field) < 256 for field in fields[2:]
    ):
        raise ValueError(f"a row of FER+ has a file, a box and {len(COLUMNS)} numbers of votes")
    votes = np.array([int(field) for field in fields[2:]], np.uint8)
    return _Row(fields[0].strip(), int(plurality(votes[None], taxonomy.classes)[0]), split, votes=votes)


def _list_row(fields: list[str], split: int | None, taxonomy: Taxonomy) -> _Row:
    fields = " ".join(fields).split()
    if len(fields) != 2:
        raise ValueError(f"the row has {len(fields)} fields; a list has an image and its label, separated by a space")
    of_name = split_code(posixpath.basename(fields[0]).partition("_")[0])
    return _Row(fields[0], taxonomy.read(fields[1]), of_name if split is None else split)


class _Columns:
    """Columns of a table of labels, by their names."""

    def __init__(self, head: list[str]) -> None:
        names = plain_names(head)
        self._count = len(names)
        self._file, self._label, self._usage, self._source = (
            column(names, allowed) for allowed in (FILE, LABEL, USAGE, SOURCE)
        )

    def row(self, fields: list[str], split: int | None, taxonomy: Taxonomy) -> _Row:
        if len(fields) != self._count:
            raise ValueError(f"the row has {len(fields)} fields, but the first line has {self._count}")
        if self._usage is not None:
            split = split_code(fields[self._usage])
            if split is None:
                raise ValueError(f"the split is {fields[self._usage][:40]!r}; allowed: {ALLOWED_SPLITS}")
        source = fields[self._source].strip() if self._source is not None else ""
        return _Row(fields[self._file].strip(), taxonomy.read(fields[self._label]), split, source or None)


def plain_names(head: Sequence[str]) -> list[str]:
    return [re.sub(r"[^a-z]", "", name.lower()) for name in head]


def column(names: Sequence[str], allowed: Sequence[str]) -> int | None:
    return next((names.index(name) for name in allowed if name in names), None)
