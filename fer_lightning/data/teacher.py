"""Teacher file: probabilities of networks for rows of Training that they were not trained on, as training targets.

An .npz of three arrays: `facts` (JSON), `digests` and `probabilities`. `python -m fer_lightning.teach` writes it.
"""

import hashlib
import io
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from fer_lightning.data.rows import image_numbers
from fer_lightning.data.table import FaceTable
from fer_lightning.errors import UserError
from fer_lightning.files import numpy_reason, write_atomically

VERSION = 1
WRITE = "Write one: python -m fer_lightning.teach 'runs=[outputs/teacher/*seed-*]' out=teacher.npz"
ROUNDING = 1e-3  # the largest deviation from 1 of a row's sum of 32-bit floats


@dataclass(frozen=True)
class Teacher:
    """Mean probabilities for M distinct images, from networks that were not trained on them.

    data           checksum of the face table on which the networks were trained
    classes        K class names
    members        facts of each network: run, fold, seed, commit, accuracy on PublicTest
    digests        uint8 (M, 32), SHA-256 of the pixels
    probabilities  float32 (M, K); each row sums to 1
    file           name of the file that it was read from; "" if it was not read
    """

    data: str
    classes: tuple[str, ...]
    members: list[dict[str, Any]]
    digests: np.ndarray
    probabilities: np.ndarray
    file: str = ""

    def facts(self) -> dict[str, Any]:
        """Return what a run's summary says about it."""
        return {"file": self.file, "checksum": self.checksum(), "members": self.members}

    def as_bytes(self) -> bytes:
        """Return the content of the file; the same teacher gives the same bytes."""
        content = io.BytesIO()
        np.savez(content, facts=np.array(self._facts()), digests=self.digests, probabilities=self.probabilities)
        return content.getvalue()

    def checksum(self) -> str:
        """Return the SHA-256 in hex of the facts and arrays."""
        arrays = (np.ascontiguousarray(array).tobytes() for array in (self.digests, self.probabilities))
        return hashlib.sha256(b"".join([self._facts().encode(), *arrays])).hexdigest()

    def _facts(self) -> str:
        """Return everything but the arrays as JSON."""
        facts = {"version": VERSION, "data": self.data, "classes": self.classes, "members": self.members}
        return json.dumps(facts)


def write_teacher(path: Path, teacher: Teacher) -> None:
    """Write the file, whole or not at all."""
    write_atomically(path, teacher.as_bytes())


def read_teacher(path: str | None, *, classes: tuple[str, ...] | None, data: str | None) -> Teacher:
    """Return the teacher at `path`. Raise UserError if the file is missing, damaged, or made for other data.

    classes, data  class names and checksum of the face table that is taught; None: not known yet, not compared
    """
    if path is None:
        raise UserError(
            f"data.teacher=null: data.labels=teacher and data.labels=ferplus_teacher need a teacher file. {WRITE}"
        )
    if not Path(path).is_file():
        raise UserError(f"data.teacher={path}: no such file. {WRITE}")
    try:
        teacher = _parsed(Path(path).read_bytes())
    except Exception as error:  # numpy, zipfile and json raise errors of many classes for a damaged file
        raise UserError(f"data.teacher={path}: not a teacher file ({numpy_reason(error)}). {WRITE}") from None
    if classes is not None and teacher.classes != classes:
        raise UserError(
            f"data.teacher={path}: its classes are {', '.join(teacher.classes)}, and the data has "
            f"{', '.join(classes)}. They must be equal. Train the teacher's runs with the same data.taxonomy."
        )
    if data is not None and teacher.data != data:
        raise UserError(
            f"data.teacher={path}: its runs were trained on data {teacher.data[:12]}, and this data is {data[:12]}. "
            "They must be equal. Train the teacher's runs with the same data, data.taxonomy and data.extra."
        )
    return replace(teacher, file=Path(path).name)


def teacher_probabilities(teacher: Teacher, table: FaceTable, rows: np.ndarray, temperature: float) -> np.ndarray:
    """Return float64 (len(rows), K), the teacher's probabilities of the training rows.

    temperature  1 keeps the probabilities, more makes them flatter: they are raised to 1 / temperature

    Raise UserError if the teacher has no probabilities for one of the rows.
    """
    index = _index(teacher.digests, table.digests)[rows]
    untaught = np.count_nonzero(index < 0)
    if untaught:
        raise UserError(
            f"data.teacher={teacher.file}: the file has no probabilities for {untaught:,} of {len(rows):,} training "
            f"rows. It must have them for all. {WRITE}"
        )
    shares = teacher.probabilities[index].astype(np.float64)
    softened = (shares / shares.max(axis=1, keepdims=True)) ** (1 / temperature)  # one of them stays 1
    return softened / softened.sum(axis=1, keepdims=True)


def _index(stored: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Return int64 (N,): the index in `stored` (M, 32) of each digest of `wanted` (N, 32); -1 if it is not there."""
    numbers = image_numbers(np.concatenate([stored, wanted]))
    index = np.full(numbers.max(initial=-1) + 1, -1)
    index[numbers[: len(stored)]] = np.arange(len(stored))
    return index[numbers[len(stored) :]]


def _parsed(content: bytes) -> Teacher:
    """Return the teacher in a file's content. Raise ValueError, KeyError or TypeError if it is not one."""
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
        facts, digests, probabilities = json.loads(str(file["facts"])), file["digests"], file["probabilities"]
    if facts["version"] != VERSION:
        raise ValueError(f"it has version {facts['version']}, and this program reads version {VERSION}")
    teacher = Teacher(facts["data"], tuple(facts["classes"]), facts["members"], digests, probabilities)
    if digests.dtype != np.uint8 or digests.shape != (len(digests), 32):
        raise ValueError(f"its digests are {digests.dtype} {digests.shape}")
    if probabilities.dtype != np.float32 or probabilities.shape != (len(digests), len(teacher.classes)):
        raise ValueError(f"its probabilities are {probabilities.dtype} {probabilities.shape}")
    if not are_probabilities(probabilities).all():
        raise ValueError("its probabilities do not sum to 1")
    return teacher


def are_probabilities(values: np.ndarray) -> np.ndarray:
    """Return bool (N,): the row of `values` (N, K) is not negative and sums to 1; NaN is neither."""
    return (values >= 0).all(axis=1) & (np.abs(values.sum(axis=1) - 1) < ROUNDING)
