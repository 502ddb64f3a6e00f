"""The annotated copies of photos and videos, one after the other, in a folder like the one that they come from."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import cv2
import numpy as np

from fer_lightning.files import write_atomically
from fer_lightning.labels import COLORS
from fer_lightning.predict.annotate import Mark, annotated
from fer_lightning.predict.looks import Look
from fer_lightning.predict.results import Seen, label_of
from fer_lightning.predict.video import VideoCopy

KEPT = (".jpg", ".jpeg", ".png")  # a copy has the form of its picture where it is one of these, else JPEG
QUALITY = 92
LONGEST_JPEG = 65_500  # pixels of a side; a larger picture's copy is a PNG
LONGEST_NAME = 200  # bytes: file systems take 255, some of which are for endings


class Copies:
    """Use it as a context manager: a video is there when its last frame is, or the next file begins."""

    def __init__(self, folder: Path, classes: tuple[str, ...]) -> None:
        self._folder, self._classes = folder, classes
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
            _write_photo(_place(self._folder, look.file), copy)
            return
        if self._video is None:
            path = _place(self._folder, look.file)
            place = path.with_suffix("") if path.suffix.lower() == ".mp4" else path
            self._video = VideoCopy(place, look.fps, copy.shape[1::-1])
        self._video.add(copy)

    def _marks(self, look: Look, seen: Sequence[Seen]) -> list[Mark]:
        numbered = len(seen) > 1 or look.frame is not None
        return [self._mark(each, f"{each.id}  " if numbered else "") for each in seen]

    def _mark(self, seen: Seen, number: str) -> Mark:
        label = label_of(seen, self._classes)
        doubt = f"  ({seen.doubt})" if seen.doubt else ""
        text = f"{number}{label} {100 * seen.probabilities.max():.0f} %{doubt}"
        return Mark(seen.face.box, text, COLORS[label], sure=seen.doubt is None)

    def _close(self, whole: bool) -> None:
        if self._video:
            self._video.close(whole)
        self._video = None


def _place(folder: Path, file: str) -> Path:
    """As the file lies in the input; what of a name is too long becomes a checksum."""
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
