"""Read and write predictions.csv: a network's probabilities for each test row. Imports no torch.

    row, image (SHA-256 of the pixels), label, predicted, unseen, clean, [ferplus,] one probability per class

Every later report is made from this file, so probabilities keep all digits of a 32-bit float.
"""

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fer_lightning.errors import UserError
from fer_lightning.files import numpy_reason, read_text, write_csv
from fer_lightning.labels import canonical
from fer_lightning.statistics.metrics import confusion_matrix

if TYPE_CHECKING:
    from fer_lightning.data.judged_rows import JudgedRows  # its import takes scipy with it

FIXED = ("row", "image", "label", "predicted", "unseen", "clean")
FERPLUS = "ferplus"
DAMAGED = "Write it again: python -m fer_lightning.evaluate run=PATH"
PROBABILITIES = (".npy", ".csv")
LARGEST_SUM_ERROR = 1e-3  # of a row's sum, which must be 1, in a file of another program
BOOLEANS = {"false": False, "true": True}


@dataclass(frozen=True)
class Predictions:
    """Predictions of a network for N test rows, ascending.

    rows           int64 (N,), row numbers of the face table
    images         str (N,), SHA-256 of the pixels in hex
    labels         int64 (N,), indices into `classes`
    probabilities  float32 (N, K)
    unseen         bool (N,), True if the image is not blank and has no byte-identical copy in training or validation
    clean          bool (N,), True if it also is not a near copy of an image there, and shows a face
    plurality      int64 (N,), class with the most FER+ votes, -1 if no class has it; None without votes
    classes        names of the K classes
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
        """Most probable class int64 (N,); the first one if several are equal."""
        return self.probabilities.argmax(axis=1)

    def sets(self) -> dict[str, np.ndarray]:
        """Return the sets of rows for which metrics are given, bool (N,): `all`, `unseen` and `clean`."""
        return {"all": np.ones(len(self), bool), "unseen": self.unseen, "clean": self.clean}

    def confusion(self) -> np.ndarray:
        return confusion_matrix(self.labels, self.predicted, len(self.classes))


def predictions_of(
    judged: "JudgedRows", rows: np.ndarray, labels: np.ndarray, probabilities: np.ndarray, classes: tuple[str, ...]
) -> Predictions:
    """Return predictions for ascending `rows` (M,), which may be a part of the judged rows."""
    index = np.searchsorted(judged.rows, rows)
    plurality = None if judged.plurality is None else judged.plurality[index]
    images = np.array(judged.images)[index]
    return Predictions(
        rows, images, labels, probabilities, judged.unseen[index], judged.clean[index], plurality, tuple(classes)
    )


def write_predictions(path: Path, predictions: Predictions) -> None:
    """Write predictions.csv."""
    voted = predictions.plurality is not None
    classes = predictions.classes
    names = np.array([*classes, ""])
    columns = [
        predictions.rows.tolist(),
        predictions.images.tolist(),
        names[predictions.labels].tolist(),
        names[predictions.predicted].tolist(),
        _format_flags(predictions.unseen),
        _format_flags(predictions.clean),
        *([names[predictions.plurality].tolist()] if voted else []),
        *predictions.probabilities.T.astype(np.float32).astype(str).tolist(),
    ]
    write_csv(path, [*FIXED, *([FERPLUS] if voted else []), *classes], zip(*columns, strict=True))


def read_predictions(path: Path) -> Predictions:
    """Return the content of predictions.csv. Raise UserError with the line if the file is damaged."""
    try:
        header, *lines = list(csv.reader(io.StringIO(read_text(path)))) or [[]]
    except (OSError, ValueError, csv.Error) as error:
        raise UserError(f"{path}: cannot be read ({error}).") from None
    if tuple(header[: len(FIXED)]) != FIXED:
        raise UserError(
            f"{path}: its first columns are {', '.join(header[: len(FIXED)]) or 'missing'}; they must be "
            f"{', '.join(FIXED)}. The file was written by an older version or by another program."
        )
    voted = header[len(FIXED) : len(FIXED) + 1] == [FERPLUS]
    classes = tuple(header[len(FIXED) + voted :])
    try:
        return _parse_columns(zip(*lines, strict=True) if lines else [()] * len(header), classes, voted)
    except (KeyError, ValueError, OverflowError):
        raise UserError(_first_fault(path, header, lines, classes, voted)) from None


def read_probabilities(path: Path, like: Predictions, indices: np.ndarray | None = None) -> Predictions:
    """Return `like` with probabilities that another program wrote to a file, for the same rows and classes.

    indices  int (N,), index in the file of each row of `like`; None: the same order

    Raise UserError if a .npy file does not hold float32 (N, K), or a .csv file a column per class, with a distribution
    in each row. Nothing is unpickled.
    """
    if path.suffix not in PROBABILITIES:
        raise UserError(f"{path}: must be a {' or '.join(PROBABILITIES)} file of probabilities.")
    array = _read_table(path, like.classes) if path.suffix == ".csv" else _read_array(path)
    expected = (len(like), len(like.classes))
    if array.dtype != np.float32 or array.shape != expected:
        raise UserError(
            f"{path}: holds {array.dtype} {array.shape}; must be float32 {expected}. Write the {len(like):,} rows of "
            f"the run, with one column per class in this order: {', '.join(like.classes)}."
        )
    probabilities = np.array(array)
    _require_distributions(path, probabilities)
    return replace(like, probabilities=probabilities if indices is None else probabilities[indices])


def _read_array(path: Path) -> np.ndarray:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file. Name a run folder, or a .npy file of probabilities.") from None
    except Exception as error:  # numpy raises errors of many classes for a damaged header
        reason = numpy_reason(error)
        raise UserError(f"{path}: cannot be read as a .npy file ({reason}). Write it with numpy.save.") from None
    if not isinstance(array, np.ndarray):
        raise UserError(f"{path}: holds several arrays. Write one array with numpy.save.")
    return array


def _read_table(path: Path, classes: tuple[str, ...]) -> np.ndarray:
    """Return float32 (N, K) from the columns of a CSV that are named like the classes; other columns are ignored."""
    try:
        header, *lines = list(csv.reader(io.StringIO(read_text(path)))) or [[]]
    except FileNotFoundError:
        raise UserError(f"{path}: no such file. Name a file of probabilities.") from None
    except (OSError, ValueError, csv.Error) as error:
        raise UserError(f"{path}: cannot be read ({error}).") from None
    names = [canonical(name) for name in header]
    wrong = [name for name in classes if names.count(name) != 1]
    if wrong:
        raise UserError(
            f"{path}: the first line must name each class once, and has {', '.join(wrong)} not once. Name one column "
            f"per class: {', '.join(classes)}."
        )
    columns = [names.index(name) for name in classes]
    values = np.empty((len(lines), len(classes)), np.float32)
    for number, line in enumerate(lines):
        try:
            values[number] = [float(line[column]) for column in columns]
        except (ValueError, IndexError) as error:
            raise UserError(f"{path}, line {number + 2}: {error}. Write a number per class.") from None
    return values


def _require_distributions(path: Path, probabilities: np.ndarray) -> None:
    """Raise UserError if a row has a value outside 0 to 1, or does not sum to 1."""
    outside = ~((probabilities >= 0) & (probabilities <= 1)).all(axis=1)
    if outside.any():
        row = outside.argmax()
        raise UserError(
            f"{path}, row {row}: holds {_format_values(probabilities[row])}; each value must be from 0 to 1. "
            "Write probabilities, not logits."
        )
    off = np.abs(probabilities.sum(axis=1) - 1)
    if (off > LARGEST_SUM_ERROR).any():
        row = off.argmax()
        raise UserError(
            f"{path}, row {row}: the values {_format_values(probabilities[row])} sum to "
            f"{probabilities[row].sum():.3g}; the sum must be 1. Write the probabilities of all classes."
        )


def _format_values(values: np.ndarray) -> str:
    return ", ".join(f"{value:.3g}" for value in values)


def _parse_columns(columns: Iterable[tuple[str, ...]], classes: tuple[str, ...], voted: bool) -> Predictions:
    """Return the predictions in columns of text. Raise KeyError or ValueError if a field is wrong."""
    row, image, label, _, unseen, clean, *rest = columns
    codes = {name: code for code, name in enumerate(classes)}
    plurality = None
    if voted:
        names, *rest = rest
        plurality = np.array([codes[name] if name else -1 for name in names], np.int64)
    probabilities = np.array([[float(value) for value in column] for column in rest], np.float32)
    if not np.isfinite(probabilities).all():
        raise ValueError("a probability is not a finite number")
    return Predictions(
        np.array([int(number) for number in row], np.int64),
        np.array(image, str),
        np.array([codes[name] for name in label], np.int64),
        probabilities.reshape(len(classes), -1).T,
        np.array([BOOLEANS[word] for word in unseen], bool),
        np.array([BOOLEANS[word] for word in clean], bool),
        plurality,
        classes,
    )


def _first_fault(path: Path, header: list[str], lines: list[list[str]], classes: tuple[str, ...], voted: bool) -> str:
    """Return a message about the first line that cannot be read."""
    for number, line in enumerate(lines, start=2):
        try:
            if len(line) != len(header):
                raise ValueError(f"it has {len(line)} fields, and the first line has {len(header)}")
            _parse_columns([(field,) for field in line], classes, voted)
        except KeyError as error:
            return f"{path}, line {number}: {error} must be a class of the first line, or true or false. {DAMAGED}"
        except (ValueError, OverflowError) as error:
            return f"{path}, line {number}: {error}. {DAMAGED}"
    return f"{path}: cannot be read. {DAMAGED}"


def _format_flags(flags: np.ndarray) -> list[str]:
    return ["true" if flag else "false" for flag in flags]
