"""FER+: ten people's votes on each row of FER2013 (Barsoum et al. 2016, arXiv:1608.01041).

`fer2013new.csv` of github.com/microsoft/FERPlus has a row for each row of fer2013.csv, in its order, and no pixels.
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
# Votes in the rows' order agree with 62 % of FER2013's labels, votes in any other order with about 20 %.
LEAST_AGREEMENT = 0.4
WHERE = "fer2013new.csv stands at github.com/microsoft/FERPlus"


def not_a_face(votes: np.ndarray) -> np.ndarray:
    """bool (N,): at least five of the ten people said that there is no face."""
    return votes[:, COLUMNS.index("NF")] >= NOT_A_FACE_VOTES


def plurality(votes: np.ndarray, classes: tuple[str, ...]) -> np.ndarray:
    """int64 (N,): the class with the most of all ten columns' votes.

    -1 where that column is none of `classes`, or where there are no votes. Of equal columns the first counts, as in
    the order of `COLUMNS`.
    """
    codes = np.array([_class_of(column, classes) for column in COLUMNS])
    return np.where(votes.any(axis=1), codes[votes.argmax(axis=1)], -1)


def soft_targets(votes: np.ndarray, labels: np.ndarray, classes: tuple[str, ...]) -> np.ndarray:
    """float32 (N, K): each row's share of the votes for the classes; its label alone where no vote was for any."""
    counts = np.zeros((len(votes), len(classes)), np.float32)
    for place, column in enumerate(COLUMNS):
        code = _class_of(column, classes)
        if code >= 0:
            counts[:, code] = votes[:, place]
    without = counts.sum(axis=1) == 0
    counts[without, labels[without]] = 1
    return counts / counts.sum(axis=1, keepdims=True)


def votes_checksum(votes: np.ndarray) -> str:
    """SHA-256 in hex of the votes as they stand."""
    return hashlib.sha256(np.ascontiguousarray(votes)).hexdigest()


def read_votes(path: Path, labels: np.ndarray, usage: np.ndarray, classes: tuple[str, ...]) -> np.ndarray:
    """uint8 (N, 10): the votes for the rows of a CSV with `labels` (N,) and `usage` (N,) in the file's own order.

    Columns are found by name, with or without `ferplus_` before them. UserError where the file is not about these
    rows: another number of rows, another usage, or votes that agree with too few labels.
    """
    votes, found = _read(path)
    if len(votes) != len(labels):
        raise UserError(
            f"FERPLUS={path}: {len(votes):,} rows of votes for {len(labels):,} faces. FER+ goes by the row numbers of "
            "the complete fer2013.csv; ingest that one, or leave FERPLUS out."
        )
    other = np.flatnonzero(found != usage)
    if len(other):
        raise UserError(f"FERPLUS={path}, row {other[0]}: its Usage is not that of the face of this row. {WHERE}.")
    chosen = plurality(votes, classes)
    agreement = (chosen == labels)[chosen >= 0].mean() if (chosen >= 0).any() else 0.0
    if agreement < LEAST_AGREEMENT:
        raise UserError(
            f"FERPLUS={path}: only {agreement:.0%} of its votes agree with the labels (62 % are usual), so its rows "
            f"stand in another order than the faces. {WHERE}."
        )
    return votes


def _read(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Votes (N, 10) and usage codes (N,)."""
    votes, usages = [], []
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file)
            places, usage = _header(path, next(reader, []))
            for row, fields in enumerate(reader):
                try:
                    votes.append([_vote(fields[place]) for place in places])
                    usages.append(_usage(fields[usage]))
                except (ValueError, IndexError) as error:
                    raise UserError(f"FERPLUS={path}, row {row}: {error}") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"FERPLUS={path}: cannot be read ({error}). {WHERE}.") from None
    return np.array(votes, np.uint8).reshape(-1, len(COLUMNS)), np.array(usages, np.uint8)


def _header(path: Path, names: list[str]) -> tuple[list[int], int]:
    known = {name.strip().lower().removeprefix("ferplus_"): place for place, name in enumerate(names)}
    wanted = [column.lower() for column in (*COLUMNS, "Usage")]
    missing = [name for name in wanted if name not in known]
    if missing:
        raise UserError(f"FERPLUS={path}: no column {', '.join(missing)} in its first line. {WHERE}.")
    places = [known[name] for name in wanted]
    return places[:-1], places[-1]


def _vote(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= 255):
        raise ValueError(f"a vote count is {text[:20]!r}; integers from 0 to 10 are usual, at most 255")
    return int(text)


def _usage(text: str) -> int:
    code = split_code(text)
    if code is None:
        raise ValueError(f"Usage is {text[:20]!r}")
    return code


def _class_of(column: str, classes: tuple[str, ...]) -> int:
    name = canonical(column)
    return classes.index(name) if name in classes else -1
