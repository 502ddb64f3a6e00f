"""A camera or video of the server, for players who have agreed; it is open only while somebody has."""

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from fer_lightning.errors import UserError

LONG_SIDE = 640  # of the pictures that go to the page
QUALITY = 80  # of the JPEGs
RETRY_SECONDS = 2.0
ENDING_SECONDS = 2.0
USUAL_FPS, MOST_FPS = 30.0, 1000.0  # of what does not say its own, or says what cannot be
IDLE_SECONDS = 0.1  # between two looks at whether pictures are wanted


class Source:
    """A context manager; its thread calls `show` with JPEGs, `lost` when there are none, `back` when there are again.

    name    a camera's number, or a video file, which begins again at its end. UserError where it is none
    wanted  whether anybody has agreed to be looked at
    fps     pictures a second that are shown; of a video the same moments as at its own rate
    """

    def __init__(
        self,
        name: str,
        *,
        wanted: Callable[[], bool],
        show: Callable[[bytes], object],
        lost: Callable[[], object],
        back: Callable[[], object],
        fps: float = 5.0,
    ) -> None:
        check_source(name)
        self._opened, self._video = (int(name), False) if name.isdecimal() else (name, True)
        self._fps = fps
        self._is_wanted, self._show, self._lost, self._back = wanted, show, lost, back
        self._closed = threading.Event()
        self._troubled = False
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Source":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        self._thread.join(ENDING_SECONDS)  # a camera that hangs holds up nobody

    def _run(self) -> None:
        while not self._closed.wait(IDLE_SECONDS):
            if not self._goes_on():
                continue
            shown = self._play()
            if self._goes_on() and not (self._video and shown):
                if not self._troubled:
                    self._lost()
                self._troubled = True
                self._closed.wait(RETRY_SECONDS)

    def _goes_on(self) -> bool:
        return self._is_wanted() and not self._closed.is_set()

    def _play(self) -> int:
        """Show pictures until there are none, or none are wanted; how many these were."""
        capture = _capture(self._opened)
        said = capture.get(cv2.CAP_PROP_FPS)
        step = max(1, round((said if 0 < said <= MOST_FPS else USUAL_FPS) / self._fps))
        shown, begun = 0, time.monotonic()
        try:
            while self._goes_on() and all(capture.grab() for _ in range(step if shown else 1)):
                there, picture = capture.retrieve()
                if not there:
                    break
                if self._troubled:
                    self._troubled = False
                    self._back()
                self._show(_jpeg(picture))
                shown += 1
                self._closed.wait(max(0.0, begun + shown / self._fps - time.monotonic()))
        finally:
            capture.release()
        return shown


def check_source(name: str) -> None:
    """UserError for what is neither a camera's number nor a video. A camera may be plugged in later."""
    if name.isdecimal():
        return
    if not Path(name).is_file():
        raise UserError(f"source={name}: no such video file. Name one, or a camera's number: source=0 (make: SOURCE=0)")
    capture = _capture(name)
    plays = capture.grab()
    capture.release()
    if not plays:
        raise UserError(
            f"source={name}: OpenCV finds no picture in this file. Name a video, one made by "
            f"ffmpeg -i {Path(name).name} -c:v libx264 video.mp4 say, or a camera's number: source=0 (make: SOURCE=0)"
        )


def _capture(source: int | str) -> cv2.VideoCapture:
    """Without what OpenCV and FFmpeg print about a source that gives nothing: `lost` says it."""
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # AV_LOG_QUIET
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    return cv2.VideoCapture(source)


def _jpeg(picture: np.ndarray) -> bytes:
    """Of a BGR picture, reduced where it is large."""
    height, width = picture.shape[:2]
    scale = LONG_SIDE / max(height, width)
    if scale < 1:
        size = max(1, round(width * scale)), max(1, round(height * scale))
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    return cv2.imencode(".jpg", picture, (cv2.IMWRITE_JPEG_QUALITY, QUALITY))[1].tobytes()
