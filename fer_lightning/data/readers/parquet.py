"""Reader of Parquet files, such as the image data sets of Hugging Face.

    image, label              encoded images (bytes, or a struct with bytes), or nested lists of grey levels
    pixels, emotion, Usage    2,304 numbers as text or list, as in FER2013's CSV

Numbers as labels are names if the metadata of Hugging Face has the names of the classes; otherwise they need a map.
"""

import io
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fer_lightning.data.readers.arrays import array_faces
from fer_lightning.data.readers.csv_faces import parse_pixels
from fer_lightning.data.readers.faces import (
    ALLOWED_SPLITS,
    ReadFaces,
    settle_plain_test,
    split_code,
    split_in_name,
    without_others,
)
from fer_lightning.data.readers.files import File, Listing, read_bounded
from fer_lightning.data.readers.images import LabelledImage, Reading, read_images
from fer_lightning.data.readers.label_tables import LABEL, SOURCE, USAGE, column, plain_names
from fer_lightning.errors import UserError
from fer_lightning.faces.image_form import FER2013_FORM, ImageForm
from fer_lightning.failures import require_package
from fer_lightning.inputs import OTHER_KIND, has_suffix
from fer_lightning.labels import Taxonomy
from fer_lightning.terminal import Progress

MAX_FILE = 2 << 30  # bytes of one file
SUFFIX = (".parquet",)
IMAGE = ("image", "img", "images", "pixels", "face")
_BATCH = 256  # rows decoded at once


def parquet_files(files: Sequence[File]) -> list[File]:
    return [file for file in files if has_suffix(file.name, SUFFIX)]


def read_parquet(
    listing: Listing, taxonomy: Taxonomy, progress: Progress | None = None, form: ImageForm = FER2013_FORM
) -> ReadFaces:
    """Return the faces of all Parquet files of the listing. Raise UserError that names file and row."""
    require_package("pyarrow")
    files = parquet_files(listing.files)
    for file in listing.files:
        if file not in files:
            listing.left_out.add(OTHER_KIND, file.name)
    rows = [row for file in files for row in _rows(file, taxonomy, form)]
    encoded = [isinstance(row.image, bytes) for row in rows]
    if not rows:
        raise UserError(f"{files[0].name}: the file has no rows. Use a file with at least one row.")
    if all(encoded):
        return read_images([row.labelled() for row in rows], "Parquet files", Reading(form), progress)
    if any(encoded):
        other = rows[encoded.index(not encoded[0])]
        raise UserError(f"{other.name}: this image is not stored like those of other rows. Use one form for all rows.")
    return _of_arrays(rows, form)


@dataclass(frozen=True)
class _Row:
    """One row of a file: its place, its image as encoded bytes or as grey levels, and what is known about it."""

    name: str
    image: bytes | np.ndarray
    label: int
    split: int | None
    source: str | None

    def labelled(self) -> LabelledImage:
        file = File(self.name, len(self.image), 0, lambda: io.BytesIO(self.image))
        return LabelledImage(file, self.label, self.split, self.source)


def _of_arrays(rows: Sequence[_Row], form: ImageForm) -> ReadFaces:
    changed = Counter()
    shapes = {row.image.shape: row.name for row in rows}
    if len(shapes) > 1:
        (one, name), (two, other) = list(shapes.items())[:2]
        raise UserError(f"{name}: the image has the shape {one}, but {other} has {two}. All must have one shape.")
    splits = [row.split for row in rows]
    faces = ReadFaces(
        pixels=array_faces(np.stack([row.image for row in rows]), rows[0].name, changed, form),
        labels=np.array([row.label for row in rows], np.int64),
        usage=None if None in splits else np.array(splits, np.uint8),
        source=[row.source or row.name for row in rows],
        form="Parquet files",
        notes=[f"{count:,} images {change}" for change, count in changed.items()],
    )
    if faces.usage is not None:
        faces.notes += settle_plain_test(faces.usage)
    return without_others(faces)


def _rows(file: File, taxonomy: Taxonomy, form: ImageForm) -> Iterator[_Row]:
    split = split_in_name(file.name)
    for number, values in enumerate(_values(file)):
        name = f"{file.name}, row {number}"
        try:
            label = taxonomy.read(str(_given(values["label"], "label")))
            own = _split(str(values["usage"])) if "usage" in values else split
            image = _image(_given(values["image"], "image"), form)
            source = values.get("source")
            yield _Row(name, image, label, own, None if source is None else str(source))
        except ValueError as error:
            raise UserError(f"{name}: {error}. Fix this row.") from None


def _values(file: File) -> Iterator[dict[str, Any]]:
    """Yield image, label, and usage and source if the file has them, of each row."""
    import pyarrow
    from pyarrow.parquet import ParquetFile

    try:
        table = ParquetFile(pyarrow.BufferReader(read_bounded(file, MAX_FILE)))
        names = table.schema_arrow.names
        columns = _columns(file.name, names)
        classes = _class_names(table.schema_arrow.metadata or {}, columns["label"])
        for batch in table.iter_batches(batch_size=_BATCH, columns=list(columns.values())):
            for row in batch.to_pylist():
                values = {kind: row[name] for kind, name in columns.items()}
                if classes and isinstance(values["label"], int) and values["label"] in range(len(classes)):
                    values["label"] = classes[values["label"]]
                yield values
    except (pyarrow.ArrowException, OSError) as error:
        raise UserError(f"{file.name}: this Parquet file cannot be read ({error}). Download it again.") from None


def _columns(file: str, names: Sequence[str]) -> dict[str, str]:
    """Return the name of the column of each kind. Raise UserError if the file has no images or no labels."""
    plain = plain_names(names)
    aliases = {"image": IMAGE, "label": LABEL, "usage": USAGE, "source": SOURCE}
    indices = {kind: column(plain, allowed) for kind, allowed in aliases.items()}
    for kind in ("image", "label"):
        if indices[kind] is None:
            raise UserError(
                f"{file}: no column {' or '.join(aliases[kind])}; the file has {', '.join(names[:8])}. "
                f"Rename the column."
            )
    return {kind: names[index] for kind, index in indices.items() if index is not None}


def _class_names(metadata: Mapping[bytes, bytes], label: str) -> list[str]:
    """Return the names of the classes in the metadata of Hugging Face; [] if it has none."""
    try:
        names = json.loads(metadata[b"huggingface"])["info"]["features"][label]["names"]
    except (KeyError, TypeError, ValueError):
        return []
    return [str(name) for name in names] if isinstance(names, list) else []


def _given(value: Any, kind: str) -> Any:
    if value is None:
        raise ValueError(f"the {kind} is empty")
    return value


def _split(name: str) -> int:
    code = split_code(name)
    if code is None:
        raise ValueError(f"the split is {name[:40]!r}; allowed: {ALLOWED_SPLITS}")
    return code


def _image(value: Any, form: ImageForm) -> bytes | np.ndarray:
    """Return the image of a row as encoded bytes, or as grey levels."""
    if isinstance(value, dict):
        value = _given(value.get("bytes"), "image")
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return parse_pixels(value.encode(), form)
    levels = np.array(value)
    if levels.dtype.kind not in "iuf":
        raise ValueError("the image must be bytes, a list of numbers, or a text of numbers")
    return levels.astype(np.uint8) if levels.dtype.kind in "iu" and 0 <= levels.min() <= levels.max() <= 255 else levels
