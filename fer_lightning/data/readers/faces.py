"""Result type of all readers, and the names of splits that they share."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from fer_lightning.labels import NO_CLASS, USAGES
from fer_lightning.wording import terminal

TRAINING, PUBLIC, PRIVATE = range(len(USAGES))
PLAIN_TEST = 3  # a split called `test`, which is PrivateTest only if the source also has a PublicTest

_SPLIT_NAMES = {
    TRAINING: ("train", "training"),
    PUBLIC: ("val", "valid", "validation", "dev", "public", "publictest"),
    PRIVATE: ("private", "privatetest"),
    PLAIN_TEST: ("test", "testing"),
}
SPLIT_CODES = {name: code for code, names in _SPLIT_NAMES.items() for name in names}
ALLOWED_SPLITS = "Training, PublicTest, PrivateTest (or train, val, test)"


@dataclass
class ReadFaces:
    """Rows in the order of their source.

    pixels  uint8 (N, S, S) grey, or (N, S, S, 3) RGB
    labels  int64 (N,), indices into the taxonomy's classes
    usage   uint8 (N,), indices into `labels.USAGES`; None if the source has no usages
    source  N strings: the row's number in the file, counted from 0 as in FER+, the value of its column `source`, or
            the image's path; splits keep rows of one source together
    form    description of what was read
    md5     of the CSV file as read; None for images and for several files
    votes   uint8 (N, 10), votes of FER+; None if the source has no votes
    partly  True if a part of the input could not be read
    """

    pixels: np.ndarray
    labels: np.ndarray
    usage: np.ndarray | None
    source: list[str]
    form: str
    md5: str | None = None
    notes: list[str] = field(default_factory=list)
    partly: bool = False
    votes: np.ndarray | None = None


def split_code(name: str) -> int | None:
    """Return the code of a split's name in any letter case (`Public_Test` -> PUBLIC); None for other names."""
    return SPLIT_CODES.get(name.strip().lower().replace("_", "").replace("-", "").replace(" ", ""))


def split_in_name(path: str) -> int | None:
    """Return the split in the name of a file (train_labels.csv), or of a folder that holds it; None: no split."""
    *folders, base = path.split("/")
    codes = map(split_code, re.split(r"[^a-z]+", base.rpartition(".")[0].lower()))
    code = next((code for code in codes if code is not None), None)
    return code if code is not None else split_of_folders(folders)


def split_of_folders(folders: Sequence[str]) -> int | None:
    """Return the split that the innermost folder with the name of a split has; FER+ adds FER2013 to its names."""
    codes = (split_code(re.sub("^fer2013", "", name, flags=re.I)) for name in reversed(folders))
    return next((code for code in codes if code is not None), None)


def without_others(faces: ReadFaces) -> ReadFaces:
    """Return the rows that have a class; a note counts the other rows and names one."""
    rows = np.flatnonzero(faces.labels != NO_CLASS)
    if len(rows) == len(faces.labels):
        return faces
    first = faces.source[int(np.argmin(faces.labels != NO_CLASS))]
    return replace(
        faces,
        pixels=faces.pixels[rows],
        labels=faces.labels[rows],
        usage=None if faces.usage is None else faces.usage[rows],
        votes=None if faces.votes is None else faces.votes[rows],
        source=[faces.source[row] for row in rows],
        notes=[*faces.notes, others_note(len(faces.labels) - len(rows), first)],
    )


def others_note(count: int, example: str) -> str:
    return f"{count:,} images skipped: their label is not one of the classes, e.g. {terminal(example)}"


def crossing(faces: ReadFaces) -> list[str]:
    """Return a note if rows of one source, such as the images of a person, are in several of the given splits."""
    if faces.usage is None or len(set(faces.source)) == len(faces.source):
        return []
    usages: dict[str, set[int]] = {}
    for source, usage in zip(faces.source, faces.usage.tolist(), strict=True):
        usages.setdefault(source, set()).add(usage)
    shared = [source for source, codes in usages.items() if len(codes) > 1]
    if not shared:
        return []
    return [
        f"{len(shared):,} sources (persons or images) have rows in several splits, e.g. {terminal(shared[0])}, so "
        f"the score of data.split=official is too high; data.split=clean keeps them together"
    ]


def settle_plain_test(usage: np.ndarray) -> list[str]:
    """Turn `test` into PrivateTest, in place; return a note if this `test` split may hold both test sets."""
    plain = usage == PLAIN_TEST
    usage[plain] = PRIVATE
    if not plain.any() or (usage == PUBLIC).any():
        return []
    return [
        "the source has a test split but no validation split: its test split merges PublicTest and PrivateTest, "
        "so data.split=official is not possible; data.split=stratified makes a split"
    ]
