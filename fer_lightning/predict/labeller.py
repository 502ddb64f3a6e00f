"""Labels of all faces of images: detection, batches of crops, probabilities, numbers of faces."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial

import numpy as np

from fer_lightning.faces.detector import Detector
from fer_lightning.faces.face_model import FaceModel
from fer_lightning.faces.find import FaceResult, find_faces
from fer_lightning.faces.settings import FaceRules
from fer_lightning.faces.tracks import Tracks
from fer_lightning.predict.looks import Look
from fer_lightning.predict.results import Seen, label_of

HELD = 100_000_000  # maximum size of the images whose faces wait for a full batch, in bytes

Waiting = tuple[Look, list[FaceResult]]


class FaceLabeller:
    """Function from images to the same images with their faces, in order and in limited memory.

    batch_size      faces that the model receives at once
    min_confidence  lowest probability of a label; a face below it is labelled "not sure"
    """

    def __init__(
        self, model: FaceModel, detector: Detector, rules: FaceRules, *, batch_size: int, min_confidence: float
    ) -> None:
        self.model, self.detector, self.rules = model, detector, rules
        self.batch_size, self.min_confidence = batch_size, min_confidence

    def __call__(self, looks: Iterable[Look]) -> Iterator[tuple[Look, list[Seen]]]:
        label = partial(label_of, classes=self.model.metadata.classes, min_confidence=self.min_confidence)
        numbering = _Numbering(label)
        find = partial(find_faces, detector=self.detector, rules=self.rules, roll=True, form=self.model.metadata.form)
        looked_at = ((look, find(look.pixels)) for look in looks)
        for waiting in _batches(looked_at, self.batch_size):
            yield from numbering.seen(waiting, _recognised(self.model, waiting, self.batch_size))


def _batches(looks: Iterable[Waiting], batch_size: int) -> Iterator[list[Waiting]]:
    """Yield groups of images, in order, whose faces fill a batch or whose pixels reach the memory limit."""
    waiting: list[Waiting] = []
    faces = held = 0
    for look, detected in looks:
        waiting.append((look, detected))
        faces, held = faces + len(detected), held + look.pixels.nbytes
        if faces >= batch_size or held >= HELD:
            yield waiting
            waiting, faces, held = [], 0, 0
    if waiting:
        yield waiting


def _recognised(model: FaceModel, waiting: list[Waiting], batch_size: int) -> np.ndarray:
    """Return the probabilities (n, K) of all faces, in their order."""
    crops = [face.crop for _, detected in waiting for face in detected]
    parts = [np.stack(crops[start : start + batch_size]) for start in range(0, len(crops), batch_size)]
    classes = len(model.metadata.classes)
    return np.concatenate([model(part) for part in parts]) if parts else np.empty((0, classes), np.float32)


class _Numbering:
    """Numbers of faces: from 1 in each photo, and the number of the track in a video.

    label  function from the probabilities (K,) of a face to its label
    """

    def __init__(self, label: Callable[[np.ndarray], str]) -> None:
        self._file, self._frame, self._tracks, self._label = "", 0, Tracks(), label

    def seen(self, waiting: list[Waiting], probabilities: np.ndarray) -> Iterator[tuple[Look, list[Seen]]]:
        start = 0
        for look, detected in waiting:
            rows = probabilities[start : start + len(detected)]
            start += len(detected)
            numbers = self._numbers(look, detected, rows)
            yield (
                look,
                [
                    Seen(number, face.face, face.reason, self._label(row), row)
                    for number, face, row in zip(numbers, detected, rows, strict=True)
                ],
            )

    def _numbers(self, look: Look, detected: list[FaceResult], rows: np.ndarray) -> list[int]:
        if look.frame is None:
            return list(range(1, len(detected) + 1))
        if look.file != self._file or look.frame <= self._frame:  # two videos may have the same file name
            self._file, self._tracks = look.file, Tracks(keep_seconds=max(1.0, 2 / look.fps))
        self._frame = look.frame
        return [track.id for track in self._tracks.update(look.seconds, [face.face.box for face in detected], rows)]
