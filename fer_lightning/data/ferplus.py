"""FER+: the votes of ten people for each row of FER2013 (Barsoum et al. 2016, arXiv:1608.01041).

`fer2013new.csv` of github.com/microsoft/FERPlus has one row per row of fer2013.csv, in the same order, without pixels.
"""

import csv
import hashlib
from pathlib import Path

import numpy as np

from fer_lightning.data.readers.faces import split_code
from fer_lightning.errors import UserError
from fer_lightning.labels import canonical

COLUMNS = (
    "neutral",
    "happiness",
    "surprise",
    "sadness",
    "anger",
    "disgust",
    "fear",
    "contempt",
    "unknown",
    "NF",
)
NOT_A_FACE_VOTES = 5
# In the right row order, the votes agree with 62 % of FER2013's labels; in any other order, with about 20 %.
LEAST_AGREEMENT = 0.4
WHERE = "Download fer2013new.csv from github.com/microsoft/FERPlus"


def not_a_face(votes: np.ndarray) -> np.ndarray:
    """Return bool (N,), True if five or more of the ten people voted for "not a face"."""
    return votes[:, COLUMNS.index("NF")] >= NOT_A_FACE_VOTES


def plurality(votes: np.ndarray, classes: tuple[str, ...]) -> np.ndarray:
    """Return int64 (N,), the class whose column has the most votes of all ten columns.

    The result is -1 if that column is not in `classes`, or without votes. If columns have equally many votes, the
    first one in `COLUMNS` counts.
    """
    codes = np.array([_class_of(column, classes) for column in COLUMNS])
    return np.where(votes.any(axis=1), codes[votes.argmax(axis=1)], -1)


def vote_shares(votes: np.ndarray, labels: np.ndarray, classes: tuple[str, ...]) -> np.ndarray:
    """Return float32 (N, K), each row's shares of the votes for the classes.

    A row without votes for any of the classes gets 1 for its label.
    """
    counts = np.zeros((len(votes), len(classes)), np.float32)
    for index, column in enumerate(COLUMNS):
        code = _class_of(column, classes)
        if code >= 0:
            counts[:, code] = votes[:, index]
    without = counts.sum(axis=1) == 0
    counts[without, labels[without]] = 1
    return counts / counts.sum(axis=1, keepdims=True)


def votes_checksum(votes: np.ndarray) -> str:
    """Return the SHA-256 of the votes in their current order, in hex."""
    return hashlib.sha256(np.ascontiguousarray(votes)).hexdigest()


def read_votes(path: Path, labels: np.ndarray, usage: np.ndarray, classes: tuple[str, ...]) -> np.ndarray:
    """Return uint8 (N, 10), the votes for the rows of a CSV with `labels` (N,) and `usage` (N,) in the file's order.

    Columns are found by name, with or without the prefix `ferplus_`. Raise UserError if the file does not match
    these rows: another number of rows, another usage, or votes that agree with too few labels.
    """
    votes, usages = _read(path)
    if len(votes) != len(labels):
        raise UserError(
            f"FERPLUS={path}: the file has {len(votes):,} rows of votes for {len(labels):,} faces. FER+ uses the row "
            "numbers of the complete fer2013.csv. Read that file with FROM, or use FERPLUS=no."
        )
    other = np.flatnonzero(usages != usage)
    if len(other):
        raise UserError(f"FERPLUS={path}, row {other[0]}: its Usage differs from the Usage of this face. {WHERE}.")
    chosen = plurality(votes, classes)
    agreement = (chosen == labels)[chosen >= 0].mean() if (chosen >= 0).any() else 0.0
    if agreement < LEAST_AGREEMENT:
        raise UserError(
            f"FERPLUS={path}: only {agreement:.0%} of its votes agree with the labels (62 % are usual), so its rows "
            f"are not in the order of the faces. {WHERE}."
        )
    return votes


def _read(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return votes (N, 10) and usage codes (N,)."""
    votes, usages = [], []
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file)
            indices, usage = _header(path, next(reader, []))
            for row, fields in enumerate(reader):
                try:
                    votes.append([_vote(fields[index]) for index in indices])
                    usages.append(_usage(fields[usage]))
                except (ValueError, IndexError) as error:
                    raise UserError(f"FERPLUS={path}, row {row}: {error}") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"FERPLUS={path}: the file cannot be read ({error}). {WHERE}.") from None
    return np.array(votes, np.uint8).reshape(-1, len(COLUMNS)), np.array(usages, np.uint8)


def _header(path: Path, names: list[str]) -> tuple[list[int], int]:
    indices = {name.strip().lower().removeprefix("ferplus_"): index for index, name in enumerate(names)}
    wanted = [column.lower() for column in (*COLUMNS, "Usage")]
    missing = [name for name in wanted if name not in indices]
    if missing:
        raise UserError(f"FERPLUS={path}: the first line has no column {', '.join(missing)}. {WHERE}.")
    columns = [indices[name] for name in wanted]
    return columns[:-1], columns[-1]


def _vote(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= 255):
        raise ValueError(f"a vote count is {text[:20]!r}; it must be an integer from 0 to 255 (usual: 0 to 10)")
    return int(text)


def _usage(text: str) -> int:
    code = split_code(text)
    if code is None:
        raise ValueError(f"Usage is {text[:20]!r}; allowed: Training, PublicTest, PrivateTest")
    return code


def _class_of(column: str, classes: tuple[str, ...]) -> int:
    name = canonical(column)
    return classes.index(name) if name in classes else -1
