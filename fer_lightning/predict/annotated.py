"""Writer of annotated copies of photos and videos, one after the other, in the folder structure of the input."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import cv2
import numpy as np

from fer_lightning.files import write_atomically
from fer_lightning.labels import COLORS, NOT_SURE_COLOR
from fer_lightning.predict.annotate import Mark, annotated
from fer_lightning.predict.looks import Look
from fer_lightning.predict.results import Seen
from fer_lightning.predict.video import VideoCopy

KEPT = (".jpg", ".jpeg", ".png")  # formats in which copies are written; copies of other formats are JPEG
QUALITY = 92  # of JPEG copies, 0 to 100
LONGEST_JPEG = 65_500  # largest side of a JPEG copy in pixels; the copy of a larger image is a PNG
LONGEST_NAME = 200  # bytes; file systems allow 255, and some are needed for suffixes


class AnnotatedCopies:
    """Annotated copies, as a context manager; a video's copy is complete when the next file begins or at the end."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._video: VideoCopy | None = None
        self._file = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: Any, *_: Any) -> None:
        self._close(whole=kind is None)

    def add(self, look: Look, seen: Sequence[Seen]) -> None:
        if look.file != self._file:
            self._close(whole=True)
            self._file = look.file
        copy = annotated(look.pixels, self._marks(look, seen))
        if look.frame is None:
            _write_photo(_copy_path(self._folder, look.file), copy)
            return
        if self._video is None:
            path = _copy_path(self._folder, look.file)
            base = path.with_suffix("") if path.suffix.lower() == ".mp4" else path
            self._video = VideoCopy(base, look.fps, copy.shape[1::-1])
        self._video.add(copy)

    def _marks(self, look: Look, seen: Sequence[Seen]) -> list[Mark]:
        numbered = len(seen) > 1 or look.frame is not None
        return [self._mark(each, f"{each.id}  " if numbered else "") for each in seen]

    def _mark(self, seen: Seen, number: str) -> Mark:
        doubt = f"  ({seen.doubt})" if seen.doubt else ""
        text = f"{number}{seen.label} {100 * seen.probabilities.max():.0f} %{doubt}"
        return Mark(seen.face.box, text, COLORS.get(seen.label, NOT_SURE_COLOR), sure=seen.doubt is None)

    def _close(self, whole: bool) -> None:
        if self._video:
            self._video.close(whole)
        self._video = None


def _copy_path(folder: Path, file: str) -> Path:
    """Return the path of a copy, with the folders of the input; the end of a too long name becomes a checksum."""
    return folder.joinpath(*(_shortened(part) for part in Path(file).parts))


def _shortened(name: str) -> str:
    if len(os.fsencode(name)) <= LONGEST_NAME:
        return name
    start = os.fsencode(name)[: LONGEST_NAME - 20].decode(errors="ignore")
    return f"{start}~{hashlib.sha256(name.encode()).hexdigest()[:8]}{Path(name).suffix[:10]}"


def _write_photo(path: Path, picture: np.ndarray) -> None:
    ending = path.suffix.lower()
    too_large = max(picture.shape) > LONGEST_JPEG and ending != ".png"
    if ending not in KEPT or too_large:
        ending = ".png" if too_large else ".jpg"
        path = path.with_name(path.name + ending)
    colours = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode(ending, colours, [] if ending == ".png" else [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    write_atomically(path, data.tobytes())
