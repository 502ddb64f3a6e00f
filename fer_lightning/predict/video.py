"""Reader and writer of videos with OpenCV and its ffmpeg: frames of a video, and its annotated copy."""

import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import cv2
import numpy as np

from fer_lightning.files import TEMPORARY
from fer_lightning.predict.containers import is_cut
from fer_lightning.predict.photo import MAX_PIXELS, Unreadable

USUAL_FPS = 25.0  # frames per second of a video without this value
WHOLE = 0.9  # lowest share of the announced frames of a complete video
_QUIET = "-8"  # log level that hides ffmpeg's messages; unreadable files are reported by this module

# Codec and suffix of a copy; the second pair is used if OpenCV was built without the first codec.
WRITTEN = (("mp4v", ".mp4"), ("MJPG", ".avi"))


class Video:
    """Frames of a video: uint8 RGB (H, W, 3), the frame's index from 0, and its time in seconds from the beginning.

    frames  estimated number of frames that the iteration yields
    fps     frames per second of the yielded frames
    every   step between the yielded frames

    The iteration raises Unreadable if the file is not a video or is shorter than its header states.
    """

    def __init__(self, path: Path, every: int = 1) -> None:
        os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", _QUIET)
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
        with open(path, "rb"):  # raises an OSError with a better message than OpenCV's
            pass
        # The path is absolute, so that no name is read as a protocol. Only ffmpeg is used, because OpenCV's other
        # backends read some names as a series of images.
        self._capture = cv2.VideoCapture(str(path.resolve()), cv2.CAP_FFMPEG)
        self._every, self._path = every, path
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
            raise Unreadable("no frame of the video can be decoded")
        if number < WHOLE * self._announced and is_cut(self._path):
            raise Unreadable(f"the video ends after {number:,} frames, and the file is shorter than its header states")

    def _refuse(self) -> None:
        if not self._capture.isOpened():
            raise Unreadable("the file is damaged or not a video that OpenCV can read")
        width, height = (self._capture.get(side) for side in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
        if width * height > MAX_PIXELS:
            limit = MAX_PIXELS // 1_000_000
            raise Unreadable(f"{width:,.0f} x {height:,.0f} pixels per frame: the limit is {limit} million pixels")

    def _seconds(self, number: int, before: float) -> float:
        """Return the frame's time from the video's own clock if that increases; else from the frame's index."""
        clock = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
        return clock if math.isfinite(clock) and clock > before else max(number / self._fps, before + 1 / self._fps)


def _number(value: float) -> float:
    return value if math.isfinite(value) and value > 0 else 0.0


class VideoCopy:
    """Video that is written to a temporary file and renamed when it is complete.

    path  path without suffix; the suffix is .mp4, or .avi if OpenCV cannot write .mp4
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
        raise OSError(None, f"OpenCV {cv2.__version__} cannot write videos here; use annotate=false", str(path))

    def add(self, frame: np.ndarray) -> None:
        """Add a frame, uint8 RGB (H, W, 3); a frame of another size, which some videos have, is resized."""
        if frame.shape[1::-1] != self._size:
            frame = cv2.resize(frame, self._size)
        self._writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))

    def close(self, whole: bool) -> None:
        """Close the video; raise OSError if it cannot be opened, because OpenCV does not report a full disk."""
        self._writer.release()
        try:
            if whole and not cv2.VideoCapture(str(self._temporary), cv2.CAP_FFMPEG).isOpened():
                raise OSError(None, "could not be written: the disk may be full", str(self.path))
            if whole:
                os.replace(self._temporary, self.path)
        finally:
            self._temporary.unlink(missing_ok=True)
