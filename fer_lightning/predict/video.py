"""Videos by OpenCV and the ffmpeg that comes with it: their frames, and an annotated copy."""

import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import cv2
import numpy as np

from fer_lightning.files import TEMPORARY
from fer_lightning.predict.photo import MAX_PIXELS, Unreadable

VIDEOS = (".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv", ".mjpeg", ".y4m")
USUAL_FPS = 25.0  # of a video that does not say it
WHOLE = 0.9  # share of the announced frames from which nobody says that some are missing: the number is an estimate
_QUIET = "-8"  # ffmpeg's own complaints are not for the user: what cannot be read is told in words

# Wanted, then, where this OpenCV was built without it, the other.
WRITTEN = (("mp4v", ".mp4"), ("MJPG", ".avi"))


class Video:
    """The frames of a video: uint8 RGB (H, W, 3), the frame's number from 0, and its seconds from the beginning.

    frames  how many will come, at a guess
    fps     of the frames that come
    every   each n-th one comes

    Unreadable where it is no video, and where it ends long before what it announces.
    """

    def __init__(self, path: Path, every: int = 1) -> None:
        os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", _QUIET)
        with open(path, "rb"):  # an OSError says more than OpenCV
            pass
        # Absolute, so that no name is taken for a protocol; by ffmpeg alone, so that none is for a series of pictures.
        self._capture = cv2.VideoCapture(str(path.resolve()), cv2.CAP_FFMPEG)
        self._every = every
        self._announced = max(0, _number(self._capture.get(cv2.CAP_PROP_FRAME_COUNT)))
        self._fps = _number(self._capture.get(cv2.CAP_PROP_FPS)) or USUAL_FPS
        self.fps = self._fps / every
        self.frames = max(1, math.ceil(self._announced / every))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._capture.release()

    def __iter__(self) -> Iterator[tuple[np.ndarray, int, float]]:
        self._refuse()
        number, seconds = 0, -1.0
        while self._capture.grab():
            seconds = self._seconds(number, seconds)
            if number % self._every == 0:
                taken, frame = self._capture.retrieve()
                if not taken:
                    break
                yield cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), number, seconds
            number += 1
        if not number:
            raise Unreadable("no frame of it can be decoded")
        if number < WHOLE * self._announced:
            raise Unreadable(f"ends after {number:,} of {self._announced:,.0f} frames: cut off or damaged")

    def _refuse(self) -> None:
        if not self._capture.isOpened():
            raise Unreadable("no video that OpenCV can read, or a damaged one")
        width, height = (self._capture.get(side) for side in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
        if width * height > MAX_PIXELS:
            raise Unreadable(f"{width:,.0f} x {height:,.0f} pixels: more than {MAX_PIXELS // 1_000_000} million")

    def _seconds(self, number: int, before: float) -> float:
        """By the video's own clock, where that goes on; else by the number of the frame."""
        clock = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
        return clock if math.isfinite(clock) and clock > before else max(number / self._fps, before + 1 / self._fps)


def _number(value: float) -> float:
    return value if math.isfinite(value) and value > 0 else 0.0


class VideoCopy:
    """A video that is written beside its place and takes it on leaving, unless an error happened.

    path  without the ending that is added: .mp4, or .avi where this OpenCV writes no other
    size  width, height of its frames
    """

    def __init__(self, path: Path, fps: float, size: tuple[int, int]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._size = size
        for codec, ending in WRITTEN:
            self._temporary = path.with_name(f".{path.name}.{os.getpid()}{TEMPORARY}{ending}")
            self._writer = cv2.VideoWriter(str(self._temporary), cv2.VideoWriter_fourcc(*codec), fps, size)
            if self._writer.isOpened():
                self.path = path.with_name(path.name + ending)
                return
        raise OSError(None, f"OpenCV {cv2.__version__} can write no video here; annotate=false does without", str(path))

    def add(self, frame: np.ndarray) -> None:
        """uint8 RGB (H, W, 3); one of another size, as some videos have in their middle, is fitted in."""
        if frame.shape[1::-1] != self._size:
            frame = cv2.resize(frame, self._size)
        self._writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))

    def close(self, whole: bool) -> None:
        """OSError where the video cannot be opened: OpenCV says nothing of a disk that is full."""
        self._writer.release()
        try:
            if whole and not cv2.VideoCapture(str(self._temporary), cv2.CAP_FFMPEG).isOpened():
                raise OSError(None, "could not be written: the disk may be full", str(self.path))
            if whole:
                os.replace(self._temporary, self.path)
        finally:
            self._temporary.unlink(missing_ok=True)
