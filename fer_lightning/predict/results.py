"""Files of a prediction: one row per face in two formats, the unreadable files, and a summary.

    predictions.csv     file, frame, seconds, face, x, y, width, height, score, doubt, label, one probability per class
    predictions.jsonl   the same values, with the probabilities in a separate object
    unreadable.csv      file, why
    annotated/          copies of images and videos with boxes and labels
    summary.json        model, detector, settings and counts

An image or frame without a face also has one row: its `doubt` is "no face" and its `face` is empty. Boxes are in
pixels of the upright image and may extend beyond it. `face` counts from 1, the largest face first. In a video, a face
keeps its number from frame to frame; it is tracked only by position.
"""

import json
import shutil
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Self

import numpy as np

from fer_lightning.errors import UserError
from fer_lightning.faces.face import Face
from fer_lightning.faces.quality import NO_FACE
from fer_lightning.files import csv_text, read_json, replacing, write_atomically
from fer_lightning.labels import NOT_SURE
from fer_lightning.predict.looks import Look

PROGRAM = "fer_lightning.predict"
NOTHING_READ = "nothing could be read"  # results with this status may be replaced by those of another input
CSV, JSONL, UNREADABLE, SUMMARY, ANNOTATED = (
    "predictions.csv",
    "predictions.jsonl",
    "unreadable.csv",
    "summary.json",
    "annotated",
)
FACE = ("x", "y", "width", "height", "score", "doubt", "label")
COLUMNS = ("file", "frame", "seconds", "face", *FACE)


@dataclass(frozen=True)
class Seen:
    """Face and the model's probabilities for it.

    id             its number in the image, or the number of its track in the video
    doubt          why the face is doubtful; None: it is not
    label          the class with the highest probability; "not sure" if that is too low
    probabilities  (K,)
    """

    id: int
    face: Face
    doubt: str | None
    label: str
    probabilities: np.ndarray


def claim(folder: Path, summary: dict[str, Any]) -> None:
    """Prepare the folder for the results that `summary` ({"model": {"sha256"}, "input", ...}) describes; remove others.

    Raise UserError if the folder holds other files, or results of another model or input.
    """
    if folder.exists() and not folder.is_dir():
        raise UserError(f"out={folder}: this is a file. Give a folder; it is created if it is missing.")
    if folder.is_dir() and any(folder.iterdir()):
        _refuse_others(folder, summary)
        for name in (CSV, JSONL, UNREADABLE):
            (folder / name).unlink(missing_ok=True)
        with suppress(FileNotFoundError):
            shutil.rmtree(folder / ANNOTATED)
    write_summary(folder, summary | {"status": "running"})


def _refuse_others(folder: Path, summary: dict[str, Any]) -> None:
    elsewhere = "Choose another folder with out=..."
    own = f"{elsewhere}, or delete this one"
    try:
        old = read_json(folder / SUMMARY)
        program, model, source = old["program"], old["model"]["sha256"], old["input"]
    except (OSError, ValueError, LookupError, TypeError):
        program = None
    if program != PROGRAM:
        raise UserError(f"out={folder}: this folder holds files that are not results of this command. {elsewhere}.")
    if model != summary["model"]["sha256"]:
        file = old["model"].get("file")
        raise UserError(f"out={folder}: this folder holds the results of another model, {file}. {own}.")
    if source != summary["input"] and old.get("status") != NOTHING_READ:
        raise UserError(f"out={folder}: this folder holds the results of another input, {source}. {own}.")


def write_summary(folder: Path, summary: dict[str, Any]) -> None:
    text = json.dumps({"program": PROGRAM, **summary}, indent=2, allow_nan=False)
    write_atomically(folder / SUMMARY, text + "\n")


class Tables:
    """The three tables, written row by row, as a context manager; after an error, none of the files is written.

    counts   number of images, faces, images without a face, doubtful faces, unreadable files
    labels   number of faces by label
    doubts   number of doubtful faces by reason
    missed   "file: why" of the first unreadable file
    """

    def __init__(self, folder: Path, classes: tuple[str, ...]) -> None:
        self._folder, self._classes = folder, classes
        self._stack = ExitStack()
        self.counts = Counter(pictures=0, faces=0, without_a_face=0, doubtful=0, unreadable=0)
        self.labels = Counter(dict.fromkeys(classes, 0))
        self.doubts: Counter[str] = Counter()
        self.missed: str | None = None

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._csv, self._jsonl, self._unreadable = (
                stack.enter_context(replacing(self._folder / name)) for name in (CSV, JSONL, UNREADABLE)
            )
            self._stack = stack.pop_all()
        _write_line(self._csv, [*COLUMNS, *self._classes])
        _write_line(self._unreadable, ["file", "why"])
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.__exit__(*error)

    def add(self, look: Look, seen: Sequence[Seen]) -> None:
        """Add the faces of an image."""
        where = {"file": look.file, "frame": look.frame, "seconds": _rounded(look.seconds, 3)}
        for each in seen:
            self._add_row(where | self._of_face(each), each.probabilities)
            self.labels[each.label] += 1
            if each.doubt:
                self.doubts[each.doubt] += 1
        if not seen:
            self._add_row(where | {"face": None} | dict.fromkeys(FACE) | {"doubt": NO_FACE}, None)
        self.counts.update(
            pictures=1, faces=len(seen), without_a_face=not seen, doubtful=sum(each.doubt is not None for each in seen)
        )

    def add_unreadable(self, file: str, why: str) -> None:
        _write_line(self._unreadable, [file, why])
        self.counts["unreadable"] += 1
        self.missed = self.missed or f"{file}: {why}"

    def _of_face(self, seen: Seen) -> dict[str, Any]:
        box = (round(number, 1) for number in seen.face.box)
        values = (*box, round(seen.face.score, 3), seen.doubt, seen.label)
        return {"face": seen.id, **dict(zip(FACE, values, strict=True))}

    def _add_row(self, row: dict[str, Any], probabilities: np.ndarray | None) -> None:
        shares = [None] * len(self._classes) if probabilities is None else [round(float(p), 6) for p in probabilities]
        by_class = None if probabilities is None else dict(zip(self._classes, shares, strict=True))
        _write_line(self._csv, [*row.values(), *shares])
        self._jsonl.write((json.dumps(row | {"probabilities": by_class}, allow_nan=False) + "\n").encode())


def label_of(probabilities: np.ndarray, classes: tuple[str, ...], min_confidence: float = 0.0) -> str:
    """Return the class with the highest probability, the first of equal ones; "not sure" if it is too low."""
    best = int(probabilities.argmax())
    return classes[best] if probabilities[best] >= min_confidence else NOT_SURE


def _write_line(file: BinaryIO, cells: Sequence[Any]) -> None:
    file.write(csv_text([cells]).encode())


def _rounded(number: float | None, digits: int) -> float | None:
    return None if number is None else round(number, digits)
