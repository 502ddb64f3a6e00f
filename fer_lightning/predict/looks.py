"""Reader of the images of a photo, a folder or a video, one after the other; unreadable files are reported."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fer_lightning.errors import UserError
from fer_lightning.inputs import HARMLESS, IMAGES, OTHER_IMAGES, VIDEOS, Folder, has_suffix, is_read, list_folder
from fer_lightning.predict.photo import Unreadable, is_photo, read_photo
from fer_lightning.predict.video import Video
from fer_lightning.terminal import Progress

READ = (*IMAGES, *OTHER_IMAGES, *VIDEOS)  # Pillow may not read OTHER_IMAGES; such files are reported as unreadable

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
    out     folder of the results, which is skipped if it is inside `source`; None: no such folder
    every   step between the frames of a video that are used
    """

    def __init__(self, source: Path, *, out: Path | None = None, every: int = 1) -> None:
        if not source.is_file() and not source.is_dir():
            raise UserError(f"input={source}: no such file or folder. Give a photo, a video or a folder of them.")
        self._every = every
        self._listed = list_folder(source, without=out) if source.is_dir() else Folder(source.parent, [source])
        self.left_out = self._listed.left_out
        self._files = sorted(path for path in self._listed.files if not source.is_dir() or self._reads(path))
        if not self._files:
            raise UserError(
                f"input={source}: this folder has no images or videos. Allowed are {', '.join((*IMAGES, *VIDEOS))}."
                + "".join(f" {line}." for line in self.left_out.lines())
            )

    def _reads(self, path: Path) -> bool:
        return is_read(self._listed.name(path), READ, self.left_out)

    def __len__(self) -> int:
        return len(self._files)

    def looks(self, problem: Problem, progress: Progress | None = None) -> Iterator[Look]:
        """Yield each image in the order of the file names; the progress counts files and frames of opened videos."""
        for reason, names in self.left_out.names.items():
            for name in names if reason not in HARMLESS else ():
                problem(name, reason)
        done, total = 0, len(self)
        for path in self._files:
            name = self._listed.name(path)
            try:
                if _is_video(path):
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


def _is_video(path: Path) -> bool:
    """Return True for the suffix of a video, and for a file with an unknown suffix that is not an image."""
    return has_suffix(path.name, VIDEOS) or (not has_suffix(path.name, READ) and not is_photo(path))


def _tell(progress: Progress | None, done: int, total: int) -> None:
    if progress:
        progress(done, max(done, total))
