"""predictions.csv: what a network says about each test row, and how far that row can be trusted. Imports no torch.

    row, image (SHA-256 of the pixels), label, predicted, unseen, clean, [ferplus,] one probability per class

It is what every later report is made from, so probabilities keep all digits of a 32-bit float.
"""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from fer_lightning.errors import UserError
from fer_lightning.files import write_atomically
from fer_lightning.metrics import confusion_matrix

FIXED = ("row", "image", "label", "predicted", "unseen", "clean")
FERPLUS = "ferplus"
DAMAGED = "Write it again: python -m fer_lightning.evaluate run=PATH"
BOOLEANS = {"false": False, "true": True}


class JudgedRows(Protocol):
    """The test rows of a split, as `data.clean.TestRows` has them; ascending."""

    rows: np.ndarray
    images: Sequence[str]
    unseen: np.ndarray
    clean: np.ndarray
    plurality: np.ndarray | None


@dataclass(frozen=True)
class Predictions:
    """N test rows, ascending.

    rows           int64 (N,), row numbers of the face table
    images         str (N,), SHA-256 of the pixels in hex
    labels         int64 (N,), indices into `classes`
    probabilities  float32 (N, K)
    unseen         bool (N,): not blank, and no byte-identical image in training or validation
    clean          bool (N,): unseen, and no near copy there either, and a face
    plurality      int64 (N,), the class that most FER+ votes name, -1 where none does; None without votes
    """

    rows: np.ndarray
    images: np.ndarray
    labels: np.ndarray
    probabilities: np.ndarray
    unseen: np.ndarray
    clean: np.ndarray
    plurality: np.ndarray | None
    classes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def predicted(self) -> np.ndarray:
        """int64 (N,): the likeliest class, the first of equal ones."""
        return self.probabilities.argmax(axis=1)

    def sets(self) -> dict[str, np.ndarray]:
        """The rows (N,) bool that figures are given for: `all`, `unseen` and `clean`."""
        return {"all": np.ones(len(self), bool), "unseen": self.unseen, "clean": self.clean}

    def confusion(self) -> np.ndarray:
        return confusion_matrix(self.labels, self.predicted, len(self.classes))


def predictions_of(
    judged: JudgedRows, rows: np.ndarray, labels: np.ndarray, probabilities: np.ndarray, classes: tuple[str, ...]
) -> Predictions:
    """Predictions for ascending `rows` (M,), which may be some of the judged ones."""
    place = np.searchsorted(judged.rows, rows)
    plurality = None if judged.plurality is None else judged.plurality[place]
    images = np.array(judged.images)[place]
    return Predictions(
        rows, images, labels, probabilities, judged.unseen[place], judged.clean[place], plurality, tuple(classes)
    )


def write_predictions(path: Path, predictions: Predictions) -> None:
    voted = predictions.plurality is not None
    classes = predictions.classes
    names = np.array([*classes, ""])
    columns = [
        predictions.rows.tolist(),
        predictions.images.tolist(),
        names[predictions.labels].tolist(),
        names[predictions.predicted].tolist(),
        _words(predictions.unseen),
        _words(predictions.clean),
        *([names[predictions.plurality].tolist()] if voted else []),
        *predictions.probabilities.T.astype(np.float32).astype(str).tolist(),
    ]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*FIXED, *([FERPLUS] if voted else []), *classes])
    writer.writerows(zip(*columns, strict=True))
    write_atomically(path, text.getvalue())


def read_predictions(path: Path) -> Predictions:
    """Raises UserError, naming the line, where the file is not as `write_predictions` leaves it."""
    try:
        with open(path, newline="", encoding="utf-8") as file:
            header, *lines = list(csv.reader(file)) or [[]]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: cannot be read ({error}).") from None
    if tuple(header[: len(FIXED)]) != FIXED:
        raise UserError(
            f"{path}: its first columns are {', '.join(header[: len(FIXED)]) or 'none'} and not {', '.join(FIXED)}: "
            "written by an older version, or by something else."
        )
    voted = header[len(FIXED) : len(FIXED) + 1] == [FERPLUS]
    classes = tuple(header[len(FIXED) + voted :])
    codes = {name: code for code, name in enumerate(classes)}
    parsed = []
    for number, line in enumerate(lines, start=2):
        try:
            parsed.append(_parse(line, len(header), codes, voted))
        except KeyError as error:
            raise UserError(f"{path}, line {number}: {error} is no class and no true or false. {DAMAGED}") from None
        except ValueError as error:
            raise UserError(f"{path}, line {number}: {error}. {DAMAGED}") from None
    rows, images, labels, unseen, clean, plurality, probabilities = zip(*parsed, strict=True) if parsed else [()] * 7
    return Predictions(
        np.array(rows, np.int64),
        np.array(images, str),
        np.array(labels, np.int64),
        np.array(probabilities, np.float32).reshape(-1, len(classes)),
        np.array(unseen, bool),
        np.array(clean, bool),
        np.array(plurality, np.int64) if voted else None,
        classes,
    )


def _parse(line: list[str], width: int, codes: dict[str, int], voted: bool) -> tuple:
    if len(line) != width:
        raise ValueError(f"{len(line)} fields where the first line has {width}")
    row, image, label, _, unseen, clean, *rest = line
    plurality = -1
    if voted:
        name, *rest = rest
        plurality = codes[name] if name else -1
    probabilities = [float(value) for value in rest]
    return int(row), image, codes[label], BOOLEANS[unseen], BOOLEANS[clean], plurality, probabilities


def _words(flags: np.ndarray) -> list[str]:
    return ["true" if flag else "false" for flag in flags]
