"""Looks at the frames of all connections: finds faces on every core, and recognises all that are ready in one call.

Each connection has one place for a frame that waits. A newer one takes the place of an older one, so that however many
players there are, nothing queues without bound and what is looked at is fresh. Connections take turns, and each has at
most one frame at work, so that its frames come back in order.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from fer_lightning.faces.detector import Detector
from fer_lightning.faces.face import Face
from fer_lightning.faces.face_model import FaceModel
from fer_lightning.faces.find import Found, find_faces
from fer_lightning.faces.quality import Rules
from fer_lightning.live.frames import BadFrame, decode_frame, frame_size

BATCH = 4  # frames for which a call of the model is worth while when others still wait to be looked at
MOST_READY = 8  # frames that wait for the model before no further one is decoded
LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Look:
    """What was seen in a frame.

    number         of the frame on its connection
    data           the JPEG itself
    arrived        seconds of time.perf_counter()
    width, height  of the frame, in pixels
    faces          the largest first
    probabilities  float32 (faces, K)
    problem        why nothing was seen, in words for whoever sent it
    seconds        {"waiting", "decode", "detect", "recognise"}
    ours           whether the problem is one of this server, and no mistake of whoever sent it
    """

    number: int
    data: bytes
    arrived: float
    width: int = 0
    height: int = 0
    faces: tuple[Found, ...] = ()
    probabilities: np.ndarray | None = None
    problem: str | None = None
    seconds: dict[str, float] | None = None
    ours: bool = False


class Seat:
    """One connection's place at the engine. `dropped`: frames that a newer one displaced."""

    def __init__(self, engine: "Engine", told: Callable[[Look], object]) -> None:
        self._engine, self._told = engine, told
        self._waiting: Look | None = None
        self._at_work = False
        self._era = 0
        self.dropped = 0

    def put(self, number: int, data: bytes) -> None:
        """Have a JPEG looked at; `told` is called in another thread, unless a newer one comes or `clear` first."""
        self._engine.put(self, Look(number, data, time.perf_counter()))

    def clear(self) -> None:
        """Forget what waits, and tell nothing more of what is at work."""
        self._engine.clear(self)


Job = tuple[Seat, int, Look]  # the era in which the frame came: after `clear` nothing is told of it


class Engine:
    """A context manager; threads start on entering, one for each detector, for a detector serves one thread at a time.

    long_side   pixels to which a frame is reduced while faces are sought in it; they are cut out of the frame itself
    most_faces  the largest ones of a frame
    frame_bytes, frame_side  beyond which a frame is refused unseen
    """

    def __init__(
        self,
        model: FaceModel,
        detectors: Sequence[Detector],
        rules: Rules,
        *,
        long_side: int = 320,
        most_faces: int = 8,
        frame_bytes: int = 512 * 1024,
        frame_side: int = 1280,
    ) -> None:
        self.model = model
        self._rules, self._most_faces = rules, most_faces
        self._caps = {"most_bytes": frame_bytes, "most_side": frame_side}
        self._threads = [
            threading.Thread(target=self._work, args=(Reduced(detector, long_side),), daemon=True)
            for detector in detectors
        ]
        self._change = threading.Condition()
        self._queue: deque[Seat] = deque()
        self._ready: list[Job] = []
        self._recognising = False
        self._closed = False
        self.looks = self.calls = 0

    def __enter__(self) -> "Engine":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._change:
            self._closed = True
            self._change.notify_all()
        for thread in self._threads:
            thread.join()

    def seat(self, told: Callable[[Look], object]) -> Seat:
        return Seat(self, told)

    def put(self, seat: Seat, look: Look) -> None:
        with self._change:
            if seat._waiting is not None:
                seat.dropped += 1
            elif not seat._at_work:
                self._queue.append(seat)
                self._change.notify()
            seat._waiting = look

    def clear(self, seat: Seat) -> None:
        with self._change:
            seat._waiting = None
            seat._era += 1
            if seat in self._queue:
                self._queue.remove(seat)

    def _work(self, detector: Detector) -> None:
        while job := self._next():
            if isinstance(job, list):
                self._recognise(job)
            else:
                self._find(*job, detector)

    def _next(self) -> Job | list[Job] | None:
        """A batch that is worth a call comes first, then who waits for their turn; None: it is over."""
        with self._change:
            while not self._closed:
                worth = len(self._ready) >= BATCH or (self._ready and not self._queue)
                if worth and not self._recognising:
                    batch, self._ready, self._recognising = self._ready, [], True
                    return batch
                if self._queue and len(self._ready) < MOST_READY:
                    seat = self._queue.popleft()
                    look, seat._waiting, seat._at_work = seat._waiting, None, True
                    return seat, seat._era, look
                self._change.wait()
        return None

    def _find(self, seat: Seat, era: int, look: Look, detector: Detector) -> None:
        seen = self._seen(look, detector)
        if seen.problem:
            self._tell(seat, era, seen)
            return
        with self._change:
            self._ready.append((seat, era, seen))

    def _seen(self, look: Look, detector: Detector) -> Look:
        begun = time.perf_counter()
        try:
            width, height = frame_size(look.data, **self._caps)
            picture = decode_frame(look.data)
            decoded = time.perf_counter()
            faces = find_faces(picture, detector, self._rules, roll=False)[: self._most_faces]
        except BadFrame as error:
            return replace(look, problem=str(error))
        except Exception as error:  # whatever a stranger's picture does to a decoder, the next one is looked at
            LOG.warning("a frame was given up: %s", type(error).__name__)
            return replace(look, problem="it could not be looked at")
        seconds = {"waiting": begun - look.arrived, "decode": decoded - begun, "detect": time.perf_counter() - decoded}
        return replace(look, width=width, height=height, faces=tuple(faces), seconds=seconds)

    def _recognise(self, batch: list[Job]) -> None:
        begun = time.perf_counter()
        crops = [face.crop for _, _, look in batch for face in look.faces]
        try:
            found = self.model(np.stack(crops)) if crops else np.zeros((0, len(self.model.metadata.classes)))
            failed = None
        except Exception as error:
            LOG.warning("the model failed: %s", type(error).__name__)
            found, failed = np.zeros((len(crops), 0)), "the model failed"
        taken = time.perf_counter() - begun
        with self._change:
            self._recognising = False
            self.looks, self.calls = self.looks + len(batch), self.calls + bool(crops)
            self._change.notify_all()
        first = 0
        for seat, era, look in batch:
            rows = found[first : first + len(look.faces)]
            first += len(look.faces)
            problem = failed or (None if np.isfinite(rows).all() else "the model says what is no number")
            seen = {"probabilities": rows, "seconds": look.seconds | {"recognise": taken}}
            self._tell(seat, era, replace(look, problem=problem, ours=problem is not None, **seen))

    def _tell(self, seat: Seat, era: int, look: Look) -> None:
        with self._change:
            seat._at_work = False
            if seat._waiting is not None:
                self._queue.append(seat)
                self._change.notify()
            wanted = era == seat._era
        if wanted:
            seat._told(look)


class Reduced:
    """A detector that looks at a smaller picture: YuNet takes 6 ms for 320 x 240 pixels and 36 for 640 x 480."""

    def __init__(self, detector: Detector, long_side: int) -> None:
        self.name, self.model_sha256, self.roll = detector.name, detector.model_sha256, detector.roll
        self._detector, self._long_side = detector, long_side

    def __call__(self, picture: np.ndarray) -> list[Face]:
        height, width = picture.shape[:2]
        scale = self._long_side / max(width, height)
        if scale >= 1:
            return self._detector(picture)
        size = max(1, round(width * scale)), max(1, round(height * scale))
        smaller = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
        return [_enlarged(face, width / size[0], height / size[1]) for face in self._detector(smaller)]


def _enlarged(face: Face, across: float, down: float) -> Face:
    x, y, width, height = face.box
    landmarks = face.landmarks and tuple((across * x, down * y) for x, y in face.landmarks)
    return Face((across * x, down * y, across * width, down * height), face.score, landmarks)
