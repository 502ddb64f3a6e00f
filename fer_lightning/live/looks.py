"""Looks of clients that process their frames themselves, as results like those of the engine."""

import numpy as np

from fer_lightning.faces.face import Face
from fer_lightning.faces.find import judge
from fer_lightning.live import protocol
from fer_lightning.live.engine import Engine, SeenFrame
from fer_lightning.live.frames import BadFrame

TOLERANCE = 0.01  # largest difference of the sum of rounded probabilities from 1


def seen_frame(look: protocol.ClientLook, number: int, now: float, engine: Engine) -> SeenFrame:
    """Return the result for a look, judged by the engine's rules. Raise BadFrame if its probabilities are invalid.

    number  number of the look on its connection
    now     arrival time, in seconds of time.perf_counter()
    """
    classes = len(engine.model.metadata.classes)
    faces = {_face(face, look): _row(face, classes) for face in look.faces}
    judged = judge(list(faces), engine.rules)[: engine.frames.most]
    seconds = {"waiting": 0.0, "decode": 0.0, "detect": look.detect / 1000, "recognise": look.recognise / 1000}
    return SeenFrame(
        number,
        data=b"",
        arrived=now - sum(seconds.values()),
        width=look.width,
        height=look.height,
        faces=tuple(judged),
        probabilities=np.array([faces[face.face] for face in judged]).reshape(-1, classes),
        seconds=seconds,
    )


def _face(face: protocol.FaceFound, look: protocol.ClientLook) -> Face:
    x, y, width, height = face.box
    return Face((look.width * x, look.height * y, look.width * width, look.height * height), face.score)


def _row(face: protocol.FaceFound, classes: int) -> list[float]:
    """Return the probabilities of a face."""
    if len(face.probabilities) != classes:
        raise BadFrame(f"a face has {len(face.probabilities)} probabilities; the model has {classes} classes")
    if abs(sum(face.probabilities) - 1) > TOLERANCE:
        raise BadFrame("the probabilities of a face must have the sum 1")
    return face.probabilities
