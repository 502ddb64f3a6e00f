"""Splits of a table into frozen lists of training, validation and test rows.

official        Training, PublicTest to select, PrivateTest to report, as the challenge did (Goodfellow et al. 2013,
                arXiv:1307.0414). 8 % of its test images are in Training too.
official_dedup  the same without those Training rows whose image is, exactly or nearly, in PublicTest or PrivateTest
clean           a new 70/15/15 split of all rows by class: each image once, no blanks, no non-faces, no image with
                two labels; near copies and rows of one source are in one part
fold            k-fold cross-validation: fold k is tested, the next one selects, the others train; copies and rows of
                one source are in one fold
training_fold   k-fold cross-validation within Training: fold k of it is tested, its other folds train, PublicTest
                selects, PrivateTest is not used; copies and rows of one source are in one fold
stratified      the seed project's random 70/15/15, which puts copies of training images among its test rows: for
                comparison with work that did so
"""

import hashlib
from dataclasses import dataclass, field

import numpy as np

from fer_lightning.data.duplicates import blank, copies_of, groups
from fer_lightning.data.ferplus import not_a_face
from fer_lightning.data.rows import image_numbers
from fer_lightning.data.table import FaceTable
from fer_lightning.errors import UserError
from fer_lightning.labels import USAGES

SPLITS = ("official", "official_dedup", "clean", "fold", "training_fold", "stratified")
HELD_OUT = 0.15  # the share of validation, and of test
SHARES = (1 - 2 * HELD_OUT, HELD_OUT, HELD_OUT)

Parts = tuple[np.ndarray, np.ndarray, np.ndarray]


@dataclass
class Split:
    """Ascending int64 row numbers of a table. The checksum covers the rows and the table's own checksum."""

    name: str
    train: np.ndarray
    val: np.ndarray
    test: np.ndarray
    checksum: str
    notes: list[str] = field(default_factory=list)


def make_split(table: FaceTable, name: str, seed: int = 0, fold: int | None = None, folds: int = 5) -> Split:
    """Return the split `name` of `table`. Raise UserError if the table does not allow it.

    seed  seed of `clean`, `fold`, `training_fold` and `stratified`
    fold  index of the fold that is tested, from 0; only for `fold` and `training_fold`
    """
    if name not in SPLITS:
        raise UserError(f"data.split={name}: unknown; allowed: {', '.join(SPLITS)}")
    if name in ("fold", "training_fold"):
        _refuse_fold(name, fold, folds)
        parts, notes = (_fold if name == "fold" else _training_fold)(table, seed, fold, folds)
        name = f"{name} {fold} of {folds}"
    elif name == "clean":
        parts, notes = _clean(table, seed)
    elif name == "stratified":
        parts = _parts(deal(table.labels, np.arange(len(table)), seed))
        notes = [_crossing(table, parts, seed)]
    else:
        parts, notes = _official(table, name), []
        if name == "official_dedup":
            parts, notes = _dedup(table, parts)
    _refuse_empty_part(name, parts)
    checksum = hashlib.sha256(f"{name} {table.checksum}".encode())
    for rows in parts:
        checksum.update(f" {len(rows)}:".encode() + rows.astype("<i8").tobytes())
    return Split(name, *parts, checksum=checksum.hexdigest(), notes=[*notes, *notes_on_sources(table.source[parts[2]])])


def _refuse_empty_part(name: str, parts: Parts) -> None:
    if not all(len(rows) for rows in parts):
        train, val, test = (f"{len(rows):,}" for rows in parts)
        raise UserError(
            f"data.split={name}: has {train} training, {val} validation and {test} test rows; each part must have one. "
            f"Add faces, or use another data.split: {', '.join(SPLITS)}."
        )


def notes_on_sources(sources: np.ndarray) -> list[str]:
    """Return a note about intervals if several of the evaluated rows, whose sources are str (N,), share one."""
    distinct = len(np.unique(sources))
    if distinct == len(sources):
        return []
    return [
        f"the {len(sources):,} evaluated rows have {distinct:,} sources (persons or images). Intervals and tests treat "
        "each row as independent, so the intervals are too narrow and p is too small"
    ]


def deal(labels: np.ndarray, images: np.ndarray, seed: int) -> np.ndarray:
    """Return the part of each row, (N,) uint8: 0 train, 1 val, 2 test; 70/15/15 by class, copies in one part."""
    random = np.random.default_rng(seed)
    parts = np.zeros(len(labels), np.uint8)
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        distinct, inverse = np.unique(images[rows], return_inverse=True)
        held = round(HELD_OUT * len(distinct))
        dealt = np.zeros(len(distinct), np.uint8)
        order = random.permutation(len(distinct))
        dealt[order[:held]], dealt[order[held : 2 * held]] = 1, 2
        parts[rows] = dealt[inverse]
    return parts


def deal_groups(labels: np.ndarray, groups: np.ndarray, shares: tuple[float, ...], seed: int) -> np.ndarray:
    """Return the part of each row, (N,) int64. Rows of a group go to one part; each class is divided by `shares`.

    A group counts as the class that most of its rows have. Large groups are dealt first, each to the part that lacks
    most of its class.
    """
    random = np.random.default_rng(seed)
    distinct, inverse, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    by_class = np.zeros((len(distinct), labels.max(initial=0) + 1), np.int64)
    np.add.at(by_class, (inverse, labels), 1)
    main_class = by_class.argmax(axis=1)
    part = np.zeros(len(distinct), np.int64)
    for label in np.unique(main_class):
        members = random.permutation(np.flatnonzero(main_class == label))
        lacking = np.array(shares) * sizes[members].sum()
        for group in members[np.argsort(-sizes[members], kind="stable")]:
            part[group] = lacking.argmax()
            lacking[part[group]] -= sizes[group]
    return part[inverse]


def _parts(dealt: np.ndarray) -> Parts:
    return tuple(np.flatnonzero(dealt == part) for part in range(3))


def _official(table: FaceTable, name: str) -> Parts:
    parts = _parts(table.usage)
    missing = [usage for usage, rows in zip(USAGES, parts, strict=True) if not len(rows)]
    if missing:
        reasons = "".join(f"\n{note}" for note in table.notes if "official" in note)
        raise UserError(
            f"data.split={name}: the data has no {' and no '.join(missing)} rows; "
            f"use data.split=stratified, or ingest a form that has them{reasons}"
        )
    return parts


def _dedup(table: FaceTable, parts: Parts) -> tuple[Parts, list[str]]:
    train, val, test = parts
    copies, held_out = copies_of(table), np.concatenate([val, test])
    seen, exact = copies.has_copy_in(train, held_out), copies.exact_in(train, held_out)
    note = (
        f"split=official_dedup leaves out {seen.sum():,} Training rows whose image is in PublicTest or PrivateTest: "
        f"{exact.sum():,} byte for byte, the others nearly or mirrored"
    )
    return (train[~seen], val, test), [note]


def _clean(table: FaceTable, seed: int) -> tuple[Parts, list[str]]:
    rows, copies = np.arange(len(table)), copies_of(table)
    images, labels = copies.images, table.labels
    unsure = np.zeros(images.max(initial=-1) + 1, bool)
    first = np.unique(images, return_index=True)[1]
    unsure[images[labels != labels[first][images]]] = True
    empty = blank(table.pixels, rows)
    faceless = np.zeros(len(rows), bool) if table.votes is None else not_a_face(table.votes)
    kept = np.isin(rows, first) & ~empty & ~faceless & ~unsure[images]
    dealt = np.full(len(rows), -1)
    dealt[kept] = deal_groups(labels[kept], groups(table, copies)[kept], SHARES, seed)
    faces = "non-faces are unknown without FER+" if table.votes is None else f"{faceless.sum():,} show no face"
    note = (
        f"split=clean (split_seed={seed}) deals {kept.sum():,} of {len(rows):,} rows: {len(rows) - len(first):,} are "
        f"further copies, {empty.sum():,} are blank, {faces}, {unsure[images].sum():,} show an image with two labels. "
        "Its test rows are not PrivateTest: do not compare its scores with official ones"
    )
    return _parts(dealt), [note]


def _refuse_fold(name: str, fold: int | None, folds: int) -> None:
    """Raise UserError if the fold does not exist."""
    if folds < 3:
        raise UserError(f"data.folds={folds}: must be 3 or more, so that most folds train.")
    if fold is None or not 0 <= fold < folds:
        raise UserError(
            f"data.split={name} needs data.fold=0 to {folds - 1}; it is {fold}. All of them: -m data.fold=0,1,..."
        )


def _fold(table: FaceTable, seed: int, fold: int, folds: int) -> tuple[Parts, list[str]]:
    dealt = deal_groups(table.labels, groups(table, copies_of(table)), (1 / folds,) * folds, seed)
    held = dealt == (fold + 1) % folds, dealt == fold
    note = (
        f"split=fold {fold} of {folds} (split_seed={seed}) tests on rows of all usages: report the mean over all folds"
    )
    return _parts(np.where(held[1], 2, held[0])), [note]


def _training_fold(table: FaceTable, seed: int, fold: int, folds: int) -> tuple[Parts, list[str]]:
    training, val, _ = _official(table, "training_fold")
    joined = groups(table, copies_of(table))[training]
    tested = deal_groups(table.labels[training], joined, (1 / folds,) * folds, seed) == fold
    note = (
        f"split=training_fold {fold} of {folds} (split_seed={seed}) tests on a fold of Training and does not use "
        "PrivateTest: do not compare its scores with official ones"
    )
    return (training[~tested], val, training[tested]), [note]


def _crossing(table: FaceTable, parts: Parts, seed: int) -> str:
    images = image_numbers(table.digests)
    crossing = [int(np.isin(images[rows], images[parts[0]]).sum()) for rows in parts[1:]]
    shares = [f"{count:,} of {len(rows):,}" for count, rows in zip(crossing, parts[1:], strict=True)]
    persons = [set(table.source[rows].tolist()) for rows in parts]
    both = len(persons[0] & (persons[1] | persons[2]))
    overlap = f"{both:,} sources (persons or images) have rows on both sides. " if both else ""
    return (
        f"split=stratified (split_seed={seed}) lets duplicates cross it: {shares[0]} validation and "
        f"{shares[1]} test images are byte-identical to a training image. {overlap}"
        f"Do not compare its scores with official ones"
    )
