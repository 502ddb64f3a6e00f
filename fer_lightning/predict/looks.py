"""Reader of the images of a photo, a folder or a video, one after the other; unreadable files are reported."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fer_lightning.errors import UserError
from fer_lightning.predict.photo import PHOTOS, Unreadable, read_photo
from fer_lightning.predict.video import VIDEOS, Video
from fer_lightning.terminal import Progress

Problem = Callable[[str, str], None]  # file, reason why it or the rest of it cannot be read


@dataclass(frozen=True)
class Look:
    """One image.

    file     its path relative to the input folder, or its name, as valid text
    pixels   uint8 RGB (H, W, 3), turned upright by the file's orientation
    frame    index of the video's frame, from 0; None for a photo
    seconds  time of that frame from the beginning of the video
    fps      frames per second of the video that are used
    """

    file: str
    pixels: np.ndarray
    frame: int | None = None
    seconds: float | None = None
    fps: float | None = None


class Source:
    """Photos and videos of an input; an input without any raises UserError.

    source  photo, video, or folder of photos and videos; subfolders are included
    out     folder of the results, which is skipped if it is inside `source`; None: no folder is skipped
    every   step between the frames of a video that are used
    """

    def __init__(self, source: Path, *, out: Path | None = None, every: int = 1) -> None:
        if not source.is_file() and not source.is_dir():
            raise UserError(f"input={source}: no such file or folder. Give a photo, a video or a folder of them.")
        self._folder = source if source.is_dir() else source.parent
        self._every = every
        self._closed: list[OSError] = []
        self._files = self._listed(source, out.resolve() if out else None) if source.is_dir() else [source]
        if not self._files and self._closed:
            raise self._closed[0]
        if not self._files:
            raise UserError(
                f"input={source}: this folder has no images or videos. Allowed are {', '.join((*PHOTOS, *VIDEOS))}."
            )

    def __len__(self) -> int:
        return len(self._files)

    def looks(self, problem: Problem, progress: Progress | None = None) -> Iterator[Look]:
        """Yield each image in the order of the file names; the progress counts files and frames of opened videos."""
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

    def _listed(self, folder: Path, left_out: Path | None) -> list[Path]:
        """Return the files with the suffix of an image or video, without hidden files and linked folders."""
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
    """Return the path as text; bytes of a name that are not valid text are escaped."""
    return path.as_posix().encode("utf-8", "backslashreplace").decode()
