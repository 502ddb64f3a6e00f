"""Reader for every form of FER2013: it chooses what to read in a path, and reads it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from fer_lightning.data.readers.arrays import array_files, read_arrays
from fer_lightning.data.readers.csv_faces import column_names, read_csv
from fer_lightning.data.readers.faces import TRAINING, ReadFaces, crossing, settle_plain_test, split_code
from fer_lightning.data.readers.files import File, Listing, file_fingerprint, fingerprint, open_files
from fer_lightning.data.readers.folder_faces import in_class_folder, read_folders
from fer_lightning.data.readers.images import Reading
from fer_lightning.data.readers.label_tables import label_lists, label_tables, name_images, read_label_tables
from fer_lightning.data.readers.parquet import parquet_files, read_parquet
from fer_lightning.data.readers.photographs import Photographs
from fer_lightning.errors import UserError
from fer_lightning.faces.image_form import FER2013_FORM, ImageForm
from fer_lightning.inputs import (
    ARRAYS,
    BESIDE,
    FACES,
    IMAGES,
    NOT_NEEDED,
    OTHER_IMAGES,
    OTHER_KIND,
    PART_OF_TABLE,
    TABLES,
    UNLABELLED,
    has_suffix,
)
from fer_lightning.labels import Taxonomy
from fer_lightning.terminal import Progress

RULES = 2  # number of the rules of reading; a store of other rules is written again
WHOLE = ("fer2013.csv", "icml_face_data.csv")  # they hold all labelled rows of the challenge
PARTS_OF_WHOLE = (*WHOLE, "train.csv", "test.csv")


@dataclass(frozen=True)
class _Table:
    """A CSV to read; `split` is the code of the split in its name, for rows without Usage."""

    file: File
    split: int | None = None


def read_faces(
    path: Path,
    taxonomy: Taxonomy,
    progress: Progress | None = None,
    photographs: Photographs | None = None,
    form: ImageForm = FER2013_FORM,
) -> ReadFaces:
    """Read a CSV, a folder or an archive; raise UserError that names file and row.

    In a folder or archive, the first of these is read:

    1. fer2013.csv or icml_face_data.csv
    2. the labelled tables of train.csv, val.csv and test.csv
    3. images, in class folders or with tables of labels
    4. arrays of NumPy (also an .npz file), or Parquet files
    5. the only other CSV

    With `photographs`, the images are whole photographs, and the faces in them are found. The faces have this form;
    those of a CSV must have it. The notes name what is not read.
    """
    with open_files(_existing(path)) as listing:
        tables = _tables(path, listing, _suffixes(photographs is not None))
        if tables and photographs:
            raise UserError(
                f"PHOTOS=yes: FROM={path} has its faces in {tables[0].file.name}, where they are already cut out. Omit "
                f"PHOTOS, or use class folders of photographs without a CSV."
            )
        if tables:
            faces = _read_tables(tables, listing, taxonomy, progress, form)
        elif not photographs and array_files(listing.files) and not _has_images(listing):
            faces = read_arrays(listing, taxonomy, form)
        elif not photographs and parquet_files(listing.files) and not _has_images(listing):
            faces = read_parquet(listing, taxonomy, progress, form)
        else:
            labels = _label_tables(listing, taxonomy, _suffixes(photographs is not None))
            read = photographs.read if photographs else _read_images
            faces = read(listing, taxonomy, progress, labels, form)
    faces.notes += [*crossing(faces), *listing.left_out.lines()]
    faces.partly |= listing.left_out.partly
    if listing.kind in ("zip", "tar"):
        faces.form += f" in a {listing.kind}"
    return faces


def _read_images(
    listing: Listing, taxonomy: Taxonomy, progress: Progress | None, labels: Sequence[File], form: ImageForm
) -> ReadFaces:
    if labels:
        return read_label_tables(labels, listing, taxonomy, progress, Reading(form))
    return read_folders(listing, taxonomy, progress, Reading(form))


def _label_tables(listing: Listing, taxonomy: Taxonomy, suffixes: tuple[str, ...]) -> list[File]:
    """Return the tables that give the labels of the images; [] if the folders give them, and then leave the tables out.

    A folder with the name of a class takes precedence over a table. A folder with a number does not if a table names
    its images, because the number may be that of a part of the data set or of a person.
    """
    images = [file for file in listing.files if has_suffix(file.name, suffixes)]
    tables = label_tables(listing.files)
    if not all(in_class_folder(file, taxonomy) for file in images):
        return tables
    has_names = all(in_class_folder(file, replace(taxonomy, codes=None)) for file in images)
    if not has_names and name_images(tables, images):
        return tables
    for table in tables:
        listing.left_out.add(NOT_NEEDED, table.name)
    listing.files = [file for file in listing.files if file not in tables]
    return []


def source_fingerprint(path: Path, photographs: bool = False) -> list[int]:
    """Return the fingerprint of the files that `read_faces` would use; an archive counts as one file."""
    if not _existing(path).is_dir():
        return file_fingerprint(path)
    with open_files(path) as listing:
        suffixes = _suffixes(photographs)
        tables = [table.file for table in _tables(path, listing, suffixes)]
        read = [file for file in listing.files if has_suffix(file.name, (*suffixes, *TABLES, *ARRAYS))]
        return fingerprint(tables or read + label_lists(listing.files))


def _suffixes(photographs: bool) -> tuple[str, ...]:
    """Return the suffixes of images; with photographs also those of formats that are skipped with a note."""
    return (*IMAGES, *OTHER_IMAGES) if photographs else FACES


def _has_images(listing: Listing) -> bool:
    return any(has_suffix(file.name, FACES) for file in listing.files)


def _existing(path: Path) -> Path:
    if not path.exists():
        raise UserError(f"{path}: no such file or folder. Use FER2013's CSV, class folders, or a zip or tar of them.")
    return path


def _tables(path: Path, listing: Listing, suffixes: tuple[str, ...]) -> list[_Table]:
    """Return the CSV files to read; none to read the images."""
    files = listing.files
    if listing.kind == "file":
        if has_suffix(path.name, (*IMAGES, *OTHER_IMAGES)):
            raise UserError(f"{path}: this is a single image. Use the folder that holds the class folders.")
        if label_tables(files):
            raise UserError(
                f"{path}: this table names images. Use the folder that holds both, the table and the images."
            )
        return [] if parquet_files(files) else [_Table(files[0])]
    tables = sorted((file for file in files if has_suffix(file.name, TABLES)), key=lambda file: file.name.count("/"))
    for name in WHOLE:
        if whole := [file for file in tables if _base(file) == name]:
            return [_Table(whole[0])]
    images, parts = any(has_suffix(file.name, suffixes) for file in files), _parts(tables)
    if parts and (parts[0].split == TRAINING or not images):
        return parts
    if images or array_files(files) or parquet_files(files):
        return []
    if trains := [file for file in tables if _base(file) == "train.csv"]:
        return [_Table(trains[0])]
    if len(tables) == 1:
        return [_Table(tables[0])]
    raise UserError(_describe_nothing(path, listing))


def _describe_nothing(path: Path, listing: Listing) -> str:
    files = listing.files
    shown = ", ".join(file.name for file in files[:5]) or "nothing"
    more = "".join(f"; {line}" for line in listing.left_out.lines())
    if packed := [file.name for file in files if has_suffix(file.name, [".npz"])]:
        more += f". Name the file of arrays itself: {packed[0]}"
    if tables := label_tables(files):
        more += f". {tables[0].name} names images, but no PNG or JPEG is here: put them beside it"
    if any(file.name.startswith("xl/") for file in files):
        more += ". An Excel workbook is not read: save its sheet as a CSV"
    return (
        f"{path}: there must be {', '.join(WHOLE)}, train.csv (with val.csv and test.csv), exactly one other CSV, or "
        f"class folders with png or jpg images, arrays images.npy and labels.npy, or Parquet files; it holds "
        f"{shown}{', ...' if len(files) > 5 else ''}{more}."
    )


def _parts(tables: list[File]) -> list[_Table]:
    """Return the labelled tables of the first folder that has one, of those whose name is a split."""
    named = [file for file in tables if split_code(_base(file)[:-4]) is not None and _has_labels(file)]
    parts = [_Table(file, split_code(_base(file)[:-4])) for file in named if _folder(file) == _folder(named[0])]
    for part in parts:
        same = [other.file.name for other in parts if other.split == part.split]
        if len(same) > 1:
            raise UserError(f"{' and '.join(same)}: both are the same split. Keep one of them.")
    return sorted(parts, key=lambda part: part.split)


def _base(file: File) -> str:
    return file.name.rsplit("/", 1)[-1].lower()


def _folder(file: File) -> str:
    return file.name.rpartition("/")[0]


def _has_labels(file: File) -> bool:
    return {"emotion", "pixels"} <= {*column_names(file)}


def _read_tables(
    tables: list[_Table], listing: Listing, taxonomy: Taxonomy, progress: Progress | None, form: ImageForm
) -> ReadFaces:
    unlabelled = listing.kind != "file" and _leave_out_others(tables, listing)
    single = len(tables) == 1
    if single:
        faces = read_csv(tables[0].file, taxonomy, progress, form=form)
    else:
        faces = _joined(tables, taxonomy, progress, form)
    if unlabelled and single and tables[0].split == TRAINING:
        faces.form = "competition folder (train.csv)"
        faces.notes.append(
            "test.csv of the competition has no labels, so its rows are not used and the official test score is unknown"
        )
    return faces


def _leave_out_others(tables: list[_Table], listing: Listing) -> bool:
    """Add the files that are not read to `left_out`; return True if one of them is a table without labels."""
    read = {table.file.name for table in tables}
    whole = _base(tables[0].file) in WHOLE
    for file in listing.files:
        if file.name not in read:
            listing.left_out.add(_why_not_read(file, whole), file.name)
    return UNLABELLED in listing.left_out.names


def _why_not_read(file: File, whole: bool) -> str:
    if whole and _base(file) in PARTS_OF_WHOLE:
        return PART_OF_TABLE
    columns = {*column_names(file)} if has_suffix(file.name, TABLES) else set()
    if "pixels" in columns and "emotion" not in columns:
        return UNLABELLED
    if columns >= {"emotion", "pixels"} or has_suffix(file.name, (*IMAGES, *OTHER_IMAGES, *ARRAYS)):
        return BESIDE
    return OTHER_KIND


def _joined(tables: list[_Table], taxonomy: Taxonomy, progress: Progress | None, form: ImageForm) -> ReadFaces:
    """Return the rows of several tables; a table without Usage holds the split in its name."""
    parts = [read_csv(table.file, taxonomy, progress, f"{table.file.name}:", form) for table in tables]
    usage = [
        np.full(len(part.labels), table.split, np.uint8) if part.usage is None else part.usage
        for table, part in zip(tables, parts, strict=True)
    ]
    faces = ReadFaces(
        pixels=np.concatenate([part.pixels for part in parts]),
        labels=np.concatenate([part.labels for part in parts]),
        usage=np.concatenate(usage),
        source=[source for part in parts for source in part.source],
        form=f"labelled tables ({', '.join(table.file.name for table in tables)})",
        notes=[note for part in parts for note in part.notes],
    )
    faces.notes += settle_plain_test(faces.usage)
    return faces
