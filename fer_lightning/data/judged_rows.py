"""Unseen and clean test rows: rows without a copy in the training or validation rows, for a trustworthy score."""

from dataclasses import dataclass

import numpy as np

from fer_lightning.data.duplicates import Duplicates, blank, copies_of
from fer_lightning.data.ferplus import not_a_face, plurality
from fer_lightning.data.splits import Split
from fer_lightning.data.table import FaceTable


@dataclass(frozen=True)
class JudgedRows:
    """T test rows of a split, in ascending order.

    rows       int64 (T,), row numbers of the table
    images     T SHA-256 in hex, of the pixels
    unseen     bool (T,): not blank, and no byte-identical image in training or validation
    clean      bool (T,): unseen, no near copy (also mirrored) in training or validation, and a face if FER+ votes exist
    plurality  int64 (T,): the class with the most FER+ votes, -1 if it is not one of the classes; None without votes
    """

    rows: np.ndarray
    images: list[str]
    unseen: np.ndarray
    clean: np.ndarray
    plurality: np.ndarray | None


def judge_test_rows(table: FaceTable, split: Split, copies: Duplicates | None = None) -> JudgedRows:
    """Return the test rows of `split` and which of them are unseen and clean."""
    return judge_rows(table, split.test, np.concatenate([split.train, split.val]), copies)


def judge_rows(table: FaceTable, rows: np.ndarray, seen: np.ndarray, copies: Duplicates | None = None) -> JudgedRows:
    """Return `rows` and which of them are unseen and clean with regard to the rows `seen`."""
    copies = copies or copies_of(table)
    visible = ~blank(table.pixels, rows)
    unseen = visible & ~copies.exact_in(rows, seen)
    clean = unseen & ~copies.has_copy_in(rows, seen)
    chosen = None
    if table.votes is not None:
        votes = table.votes[rows]
        clean &= ~not_a_face(votes)
        chosen = plurality(votes, table.classes)
    images = [digest.tobytes().hex() for digest in table.digests[rows]]
    return JudgedRows(rows, images, unseen, clean, chosen)
