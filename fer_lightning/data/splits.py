"""Splits as frozen row lists: FER2013's official one, and the random one of the seed project.

`official` trains on Training, selects on PublicTest and reports PrivateTest, as the challenge did (Goodfellow
et al. 2013, arXiv:1307.0414). `stratified` deals each class 70/15/15 at random and, since FER2013 holds
byte-identical images, puts copies of training images among its test rows: it is for comparison with work that
did so.
"""

import hashlib
from dataclasses import dataclass, field

import numpy as np

from fer_lightning.data.rows import image_numbers, pixel_digests
from fer_lightning.data.table import FaceTable
from fer_lightning.errors import UserError
from fer_lightning.labels import USAGES

SPLITS = ("official", "stratified")
HELD_OUT = 0.15  # the share of validation, and of test


@dataclass
class Split:
    """Ascending int64 row numbers of a table. The checksum covers the rows and the table's own checksum."""

    name: str
    train: np.ndarray
    val: np.ndarray
    test: np.ndarray
    checksum: str
    notes: list[str] = field(default_factory=list)


def make_split(table: FaceTable, name: str, seed: int = 0) -> Split:
    """The split `name` of `table`; `seed` matters to `stratified` alone. UserError where it cannot be had."""
    if name == "official":
        parts, notes = _official(table), []
    elif name == "stratified":
        parts = tuple(np.flatnonzero(deal(table.labels, np.arange(len(table)), seed) == part) for part in range(3))
        notes = [_crossing(table, parts, seed)]
    else:
        raise UserError(f"data.split={name}: unknown; allowed: {', '.join(SPLITS)}")
    checksum = hashlib.sha256(f"{name} {table.checksum}".encode())
    for rows in parts:
        checksum.update(f" {len(rows)}:".encode() + rows.astype("<i8").tobytes())
    return Split(name, *parts, checksum=checksum.hexdigest(), notes=notes)


def deal(labels: np.ndarray, images: np.ndarray, seed: int) -> np.ndarray:
    """(N,) uint8, 0 train, 1 val, 2 test: 70/15/15 per class of the distinct `images`, copies together."""
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


def _official(table: FaceTable) -> tuple[np.ndarray, ...]:
    parts = tuple(np.flatnonzero(table.usage == code) for code in range(len(USAGES)))
    missing = [usage for usage, rows in zip(USAGES, parts, strict=True) if not len(rows)]
    if missing:
        reasons = "".join(f"\n{note}" for note in table.notes if "official" in note)
        raise UserError(
            f"data.split=official: {table.name} has no {' and no '.join(missing)} rows; "
            f"use data.split=stratified, or ingest a form that has them{reasons}"
        )
    return parts


def _crossing(table: FaceTable, parts: tuple[np.ndarray, ...], seed: int) -> str:
    images = image_numbers(pixel_digests(table.pixels))
    crossing = [int(np.isin(images[rows], images[parts[0]]).sum()) for rows in parts[1:]]
    shares = [f"{count:,} of {len(rows):,}" for count, rows in zip(crossing, parts[1:], strict=True)]
    return (
        f"split=stratified (split_seed={seed}) lets duplicates cross it: {shares[0]} validation and "
        f"{shares[1]} test images are byte-identical to a training image. "
        f"Do not compare its scores with official ones"
    )
