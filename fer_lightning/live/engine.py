"""Process the frames of all connections: find faces on every core, and recognise all faces that are ready in one call.

Each connection has one slot for a waiting frame, and a newer frame replaces an older one. The queue therefore stays
short, and processed frames are recent, however many players there are. Connections take turns. Each has at most one
frame in processing, so that its results come back in order.
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
from fer_lightning.faces.find import FaceResult, find_faces
from fer_lightning.faces.settings import FaceRules
from fer_lightning.live.frames import BadFrame, decode_frame, frame_size
from fer_lightning.live.limits import Caps
from fer_lightning.live.settings import FrameSettings

BATCH = 4  # minimum number of frames per call of the model while other frames wait for detection
MOST_READY = 8  # maximum number of frames that wait for the model; no further frame is decoded meanwhile
LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class SeenFrame:
    """Result for one frame.

    number         number of the frame on its connection
    data           JPEG of the frame
    arrived        arrival time, in seconds of time.perf_counter()
    width, height  size of the frame, in pixels
    faces          faces, the largest first
    probabilities  float32 (faces, K)
    problem        reason why the frame was not processed, as text for the sender; None: no problem
    seconds        duration of each step: {"waiting", "decode", "detect", "recognise"}
    ours           True if the problem is an error of the server; False if the frame is invalid
    """

    number: int
    data: bytes
    arrived: float
    width: int = 0
    height: int = 0
    faces: tuple[FaceResult, ...] = ()
    probabilities: np.ndarray | None = None
    problem: str | None = None
    seconds: dict[str, float] | None = None
    ours: bool = False


class Seat:
    """Slot of one connection at the engine. `dropped` counts frames that a newer frame replaced."""

    def __init__(self, engine: "Engine", deliver: Callable[[SeenFrame], object]) -> None:
        self._engine, self._deliver = engine, deliver
        self._waiting: SeenFrame | None = None
        self._at_work = False
        self._era = 0
        self.dropped = 0

    def put(self, number: int, data: bytes) -> None:
        """Queue a JPEG. `deliver` is called in another thread, unless a newer frame or `clear` comes first."""
        self._engine.put(self, SeenFrame(number, data, time.perf_counter()))

    def clear(self) -> None:
        """Drop the waiting frame, and discard the result of the frame in processing."""
        self._engine.clear(self)


Job = tuple[
    Seat, int, SeenFrame
]  # the number is the era of the frame; `clear` begins a new era and discards older results


class Engine:
    """Engine as a context manager. Entering starts one thread per detector: a detector is not safe in two threads.

    frames  size for detection and number of faces; None: the defaults
    caps    maximum size of a frame: a larger one is refused before decoding; None: the defaults
    """

    def __init__(
        self,
        model: FaceModel,
        detectors: Sequence[Detector],
        rules: FaceRules,
        *,
        frames: FrameSettings | None = None,
        caps: Caps | None = None,
    ) -> None:
        self.model, self.detectors = model, detectors
        frames, caps = frames or FrameSettings(), caps or Caps()
        self.rules, self.frames = rules, frames
        self._caps = {"most_bytes": caps.frame_bytes, "most_side": caps.frame_side}
        self._threads = [
            threading.Thread(target=self._work, args=(Reduced(detector, frames.long_side),), daemon=True)
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

    def seat(self, deliver: Callable[[SeenFrame], object]) -> Seat:
        return Seat(self, deliver)

    def put(self, seat: Seat, look: SeenFrame) -> None:
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
        """Return a large enough batch for the model, else the next waiting frame; None after the end."""
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

    def _find(self, seat: Seat, era: int, look: SeenFrame, detector: Detector) -> None:
        detected = self._detected(look, detector)
        if detected.problem:
            self._finish(seat, era, detected)
            return
        with self._change:
            self._ready.append((seat, era, detected))

    def _detected(self, look: SeenFrame, detector: Detector) -> SeenFrame:
        begun = time.perf_counter()
        try:
            width, height = frame_size(look.data, **self._caps)
            image = decode_frame(look.data)
            decoded = time.perf_counter()
            form = self.model.metadata.form
            faces = find_faces(image, detector, self.rules, roll=False, form=form)[: self.frames.most]
        except BadFrame as error:
            return replace(look, problem=str(error))
        except Exception as error:  # an image from outside may break a decoder; the next frame must still be processed
            LOG.warning("a frame could not be processed: %s", type(error).__name__)
            return replace(look, problem="the decoder or the detector failed")
        seconds = {"waiting": begun - look.arrived, "decode": decoded - begun, "detect": time.perf_counter() - decoded}
        return replace(look, width=width, height=height, faces=tuple(faces), seconds=seconds)

    def _recognise(self, batch: list[Job]) -> None:
        begun = time.perf_counter()
        probabilities = self._probabilities([look for _, _, look in batch])
        taken = time.perf_counter() - begun
        with self._change:
            self._recognising = False
            self.looks, self.calls = self.looks + len(batch), self.calls + any(look.faces for _, _, look in batch)
            self._change.notify_all()
        for (seat, era, look), rows in zip(batch, probabilities, strict=True):
            seconds = look.seconds | {"recognise": taken}
            if rows is None:
                self._finish(seat, era, replace(look, problem="the model failed", ours=True, seconds=seconds))
            else:
                self._finish(seat, era, replace(look, probabilities=rows, seconds=seconds))

    def _probabilities(self, looks: list[SeenFrame]) -> list[np.ndarray | None]:
        """Return the probabilities of each frame's faces; None where the model failed.

        A batch that fails is repeated frame by frame: the face of one player must not cost another player an answer.
        """
        crops = [face.crop for look in looks for face in look.faces]
        try:
            probabilities = self.model(np.stack(crops)) if crops else np.zeros((0, len(self.model.metadata.classes)))
        except Exception as error:
            if len(looks) > 1:
                return [rows for look in looks for rows in self._probabilities([look])]
            LOG.warning("the model failed: %s", type(error).__name__)
            return [None]
        return np.split(probabilities, np.cumsum([len(look.faces) for look in looks])[:-1])

    def _finish(self, seat: Seat, era: int, look: SeenFrame) -> None:
        with self._change:
            seat._at_work = False
            if seat._waiting is not None:
                self._queue.append(seat)
                self._change.notify()
            current = era == seat._era
        if current:
            seat._deliver(look)


class Reduced:
    """Detector on a reduced image: YuNet takes 6 ms for 320 x 240 pixels and 36 ms for 640 x 480."""

    def __init__(self, detector: Detector, long_side: int) -> None:
        self.name, self.model_sha256, self.roll = detector.name, detector.model_sha256, detector.roll
        self._detector, self._long_side = detector, long_side

    def __call__(self, image: np.ndarray) -> list[Face]:
        height, width = image.shape[:2]
        scale = self._long_side / max(width, height)
        if scale >= 1:
            return self._detector(image)
        size = max(1, round(width * scale)), max(1, round(height * scale))
        smaller = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        return [_enlarged(face, width / size[0], height / size[1]) for face in self._detector(smaller)]


def _enlarged(face: Face, across: float, down: float) -> Face:
    x, y, width, height = face.box
    landmarks = face.landmarks and tuple((across * x, down * y) for x, y in face.landmarks)
    return Face((across * x, down * y, across * width, down * height), face.score, landmarks)
