"""Camera or video of the server, for players who have agreed. It is open only while at least one player agrees."""

import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from fer_lightning.errors import UserError

LONG_SIDE = 640  # maximum longer side of the images for the page, in pixels
QUALITY = 80  # quality of the JPEGs
RETRY_SECONDS = 2.0
ENDING_SECONDS = 2.0
USUAL_FPS, MOST_FPS = 30.0, 1000.0  # frame rate of a source with no valid rate; largest valid rate
DEVICE = "/dev/video"  # path of a camera on Linux, without its number
IDLE_SECONDS = 0.1  # seconds between two checks for players who have agreed


class CameraSource:
    """Camera or video as a context manager. Its thread calls `show`, `lost` and `back`.

    name    number of a camera, or a video file, which repeats; UserError if it is neither
    wanted  returns True if at least one player has agreed
    show    called with each image as a JPEG
    lost    called once when the source gives no images
    back    called when it gives images again
    fps     images per second; a video is played at its own speed
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

    def __enter__(self) -> "CameraSource":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        self._thread.join(ENDING_SECONDS)  # a camera that does not answer must not block the end

    def _run(self) -> None:
        while not self._closed.wait(IDLE_SECONDS):
            if not self._active():
                continue
            shown = self._play()
            if self._active() and not (self._video and shown):
                if not self._troubled:
                    self._lost()
                self._troubled = True
                self._closed.wait(RETRY_SECONDS)

    def _active(self) -> bool:
        return self._is_wanted() and not self._closed.is_set()

    def _play(self) -> int:
        """Show images until the source ends or no player agrees any longer. Return their number."""
        capture = _capture(self._opened)
        rate = capture.get(cv2.CAP_PROP_FPS)
        step = max(1, round((rate if 0 < rate <= MOST_FPS else USUAL_FPS) / self._fps))
        shown, begun = 0, time.monotonic()
        try:
            while self._active() and all(capture.grab() for _ in range(step if shown else 1)):
                success, image = capture.retrieve()
                if not success:
                    break
                if self._troubled:
                    self._troubled = False
                    self._back()
                self._show(_jpeg(image))
                shown += 1
                self._closed.wait(max(0.0, begun + shown / self._fps - time.monotonic()))
        finally:
            capture.release()
        return shown


def check_source(name: str) -> None:
    """Raise UserError unless `name` is the number of a camera or a video. The camera may be plugged in later."""
    if name.isdecimal():
        return
    if not Path(name).is_file():
        raise UserError(
            f"source={name}: no such video file. Use an existing video, or the number of a camera: source=0 "
            "(with make: SOURCE=0)."
        )
    capture = _capture(name)
    plays = capture.grab()
    capture.release()
    if not plays:
        raise UserError(
            f"source={name}: OpenCV cannot read this file as a video. Convert it, for example with "
            f"ffmpeg -i {Path(name).name} -c:v libx264 video.mp4, or use the number of a camera: source=0 "
            "(with make: SOURCE=0)."
        )


def missing_camera(name: str) -> str | None:
    """Return a warning if this machine has no camera of this number now, without opening one; None if it may have it.

    Only Linux lists its cameras.
    """
    if not name.isdecimal() or not sys.platform.startswith("linux") or Path(f"{DEVICE}{int(name)}").exists():
        return None
    return f"source={name}: this machine has no camera {int(name)} now. {next_step(name)}"


def next_step(name: str) -> str:
    """Return what to do about a source that gives no images."""
    if not name.isdecimal():
        return f"Put the file {name!r} back, or restart with another source=FILE."
    device = Path(DEVICE)
    numbers = (path.name.removeprefix(device.name) for path in device.parent.glob(f"{device.name}*"))
    others = [str(number) for number in sorted(int(text) for text in numbers if text.isdecimal())]
    cameras = f"Cameras of this machine: {', '.join(others)}. " if others else ""
    return f"{cameras}Connect the camera, close other programs that use it, or restart with another source=NUMBER."


def _capture(source: int | str) -> cv2.VideoCapture:
    """Open a source without messages of OpenCV and FFmpeg about missing images; `lost` reports them."""
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # AV_LOG_QUIET
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    return cv2.VideoCapture(source)


def _jpeg(image: np.ndarray) -> bytes:
    """Return a BGR image as a JPEG, reduced to LONG_SIDE."""
    height, width = image.shape[:2]
    scale = LONG_SIDE / max(height, width)
    if scale < 1:
        size = max(1, round(width * scale)), max(1, round(height * scale))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return cv2.imencode(".jpg", image, (cv2.IMWRITE_JPEG_QUALITY, QUALITY))[1].tobytes()
