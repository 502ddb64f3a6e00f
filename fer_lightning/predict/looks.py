"""The pictures of a photo, a folder or a video, one after the other; what cannot be read is told and left out."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fer_lightning.errors import UserError
from fer_lightning.predict.photo import PHOTOS, Unreadable, read_photo
from fer_lightning.predict.video import VIDEOS, Video

Problem = Callable[[str, str], None]  # file, why it or the rest of it cannot be read
Progress = Callable[[int, int], None]  # how many pictures are done, of how many


@dataclass(frozen=True)
class Look:
    """One picture.

    file     its path from the input folder, or its name; as text that can be written anywhere
    pixels   uint8 RGB (H, W, 3), upright as its file says
    frame    of a video, from 0; None for a photo
    seconds  of that frame from the video's beginning
    fps      of the video's frames that are looked at
    """

    file: str
    pixels: np.ndarray
    frame: int | None = None
    seconds: float | None = None
    fps: float | None = None


class Source:
    """What is to be looked at. UserError where there is nothing.

    source  a photo, a video, or a folder with any number of them, however deep
    out     a folder that is left out where it lies in `source`: the results
    every   of a video each n-th frame is looked at
    """

    def __init__(self, source: Path, *, out: Path, every: int = 1) -> None:
        if not source.is_file() and not source.is_dir():
            raise UserError(f"input={source}: no such file or folder; name a photo, a video or a folder of them.")
        self._folder = source if source.is_dir() else source.parent
        self._every = every
        self._closed: list[OSError] = []
        self._files = self._listed(source, out.resolve()) if source.is_dir() else [source]
        if not self._files and self._closed:
            raise self._closed[0]
        if not self._files:
            raise UserError(f"input={source}: no pictures or videos in it; looked for {', '.join((*PHOTOS, *VIDEOS))}.")

    def __len__(self) -> int:
        return len(self._files)

    def looks(self, problem: Problem, progress: Progress | None = None) -> Iterator[Look]:
        """Each picture in the order of the files' names; the progress counts files, and frames of videos begun."""
        for error in self._closed:
            problem(_text(Path(error.filename).relative_to(self._folder)), error.strerror)
        done, total = 0, len(self)
        for path in self._files:
            name = _text(path.relative_to(self._folder))
            try:
                if path.suffix.lower() in VIDEOS:
                    with Video(path, self._every) as video:
                        total += video.frames
                        for picture, frame, seconds in video:
                            yield Look(name, picture, frame, seconds, video.fps)
                            done += 1
                            _tell(progress, done, total)
                else:
                    yield Look(name, read_photo(path))
            except Unreadable as error:
                problem(name, str(error))
            except OSError as error:
                problem(name, error.strerror or str(error))
            done += 1
            _tell(progress, done, total)

    def _listed(self, folder: Path, left_out: Path) -> list[Path]:
        """Files with a name of a picture or video; hidden ones are not meant, and folders are not followed by links."""
        found = []
        for parent, folders, names in os.walk(folder, onerror=self._closed.append):
            folders[:] = [
                name for name in folders if not name.startswith(".") and Path(parent, name).resolve() != left_out
            ]
            found += [Path(parent, name) for name in names if not name.startswith(".")]
        return sorted(path for path in found if path.suffix.lower() in (*PHOTOS, *VIDEOS) and path.is_file())


def _tell(progress: Progress | None, done: int, total: int) -> None:
    if progress:
        progress(done, max(done, total))


def _text(path: Path) -> str:
    """A name may hold bytes that are no text."""
    return path.as_posix().encode("utf-8", "backslashreplace").decode()
