"""A short video of one real portrait for tests: it moves, is half covered, is away for a while, and comes back.

The portrait is NASA's of the astronaut Eileen Collins, in the public domain, which scikit-image ships.

    shares of the time   what happens
    0.00 to 0.45         "moving": sways, leans by up to 15 degrees, comes nearer and goes back
    0.45 to 0.60         "covered": a board before mouth and nose
    0.60 to 0.75         "absent": the empty room
    0.75 to 1.00         "back": as at the beginning, elsewhere
"""

import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from collect_portraits import PORTRAIT_BOX, portrait

Phase = Literal["moving", "covered", "absent", "back"]

_UNTIL: tuple[tuple[float, Phase], ...] = ((0.45, "moving"), (0.60, "covered"), (0.75, "absent"), (1.0, "back"))
_ROOM = (168, 176, 186)  # the empty room's colour, RGB
_BOARD = (92, 104, 84)
_CHROMIUM_MJPEG_FPS = 30  # the rate at which Chromium shows a .mjpeg file, whatever it holds


def phase(share: float) -> Phase:
    """Return the scene at a share, 0 to 1, of the video's time."""
    return next((name for until, name in _UNTIL if share < until), "back")


def frames(seconds: float, fps: float = 10, size: tuple[int, int] = (640, 480)) -> Iterator[np.ndarray]:
    """uint8 RGB (height, width, 3), `seconds` * `fps` of them; `size` is width and height."""
    count = round(seconds * fps)
    for number in range(count):
        yield frame(number / count, size)


def frame(share: float, size: tuple[int, int] = (640, 480)) -> np.ndarray:
    """The video's image, uint8 RGB (height, width, 3), at a share of its time."""
    width, height = size
    if phase(share) == "absent":
        return np.full((height, width, 3), _ROOM, np.uint8)
    picture = portrait()
    if phase(share) == "covered":
        x, y, across, down = PORTRAIT_BOX
        picture[y + down // 2 + 10 : y + down + 20, x - 20 : x + across + 20] = _BOARD
    return cv2.warpAffine(
        picture,
        _placed(share, size),
        size,
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=_ROOM,
    )


def face_box(share: float, size: tuple[int, int] = (640, 480)) -> tuple[float, float, float, float] | None:
    """x, y, width and height of the upright box around the face in `frame(share, size)`; None while it is absent."""
    if phase(share) == "absent":
        return None
    x, y, across, down = PORTRAIT_BOX
    to = _placed(share, size)
    centre = to @ (x + across / 2, y + down / 2, 1)
    scale = math.hypot(to[0, 0], to[1, 0])
    return (centre[0] - scale * across / 2, centre[1] - scale * down / 2, scale * across, scale * down)


def _placed(share: float, size: tuple[int, int]) -> np.ndarray:
    """(2, 3) from the portrait's pixels to the frame's: about the face's centre, by smooth motions."""
    width, height = size
    x, y, across, down = PORTRAIT_BOX
    turn = 2 * math.pi * share
    sway, lean = math.sin(3 * turn), 15 * math.sin(2 * turn)
    scale = height * (0.36 + 0.06 * math.sin(2 * turn)) / down
    to = cv2.getRotationMatrix2D((x + across / 2, y + down / 2), -lean, scale)
    to[:, 2] += (width * (0.5 + 0.15 * sway) - (x + across / 2), height * 0.42 - (y + down / 2))
    return to


def write_mjpeg(path: Path, pictures: Iterable[np.ndarray], fps: float) -> Path:
    """Write a video for Chromium's --use-file-for-fake-video-capture, which repeats it.

    Each frame is repeated up to the rate at which Chromium plays it.
    """
    with open(path, "wb") as file:
        for picture in pictures:
            file.write(jpeg(picture) * max(1, round(_CHROMIUM_MJPEG_FPS / fps)))
    return path


def write_video(path: Path, pictures: Iterable[np.ndarray], fps: float) -> Path:
    """.mp4 (MPEG-4) or .avi (Motion JPEG) by OpenCV."""
    codec = {".mp4": "mp4v", ".avi": "MJPG"}[path.suffix]
    writer = None
    for picture in pictures:
        if writer is None:
            writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*codec), fps, picture.shape[1::-1])
            assert writer.isOpened(), f"OpenCV writes no {codec} here"
        writer.write(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    if writer is not None:
        writer.release()
    return path


def jpeg(picture: np.ndarray, quality: int = 80) -> bytes:
    """A frame, uint8 RGB, as a page's canvas sends it."""
    _, data = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    return data.tobytes()
