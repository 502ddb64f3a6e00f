"""Which test rows a score can be trusted on: those that show nothing that training or selection has seen."""

from dataclasses import dataclass

import numpy as np

from fer_lightning.data.duplicates import Copies, blank, copies_of
from fer_lightning.data.ferplus import not_a_face, plurality
from fer_lightning.data.splits import Split
from fer_lightning.data.table import FaceTable


@dataclass(frozen=True)
class TestRows:
    """The T test rows of a split, ascending.

    rows       int64 (T,), row numbers of the table
    images     T SHA-256 in hex, of the pixels
    unseen     bool (T,): not blank, and no byte-identical image in training or validation
    clean      bool (T,): unseen, no near copy there either (mirrored too), and a face, where FER+ votes can tell
    plurality  int64 (T,): the class that most FER+ votes name, -1 where they name none; None without votes
    """

    __test__ = False  # not a test case, whatever pytest makes of its name

    rows: np.ndarray
    images: list[str]
    unseen: np.ndarray
    clean: np.ndarray
    plurality: np.ndarray | None


def judge_test_rows(table: FaceTable, split: Split, copies: Copies | None = None) -> TestRows:
    """The test rows of `split`, and which of them are unseen and clean."""
    return judge_rows(table, split.test, np.concatenate([split.train, split.val]), copies)


def judge_rows(table: FaceTable, rows: np.ndarray, seen: np.ndarray, copies: Copies | None = None) -> TestRows:
    """Which of `rows` show nothing that stands in the rows `seen`."""
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
    return TestRows(rows, images, unseen, clean, chosen)
