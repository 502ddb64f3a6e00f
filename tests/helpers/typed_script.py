"""A script of a user of the package, with the types that a type checker must find; it is checked, never run."""

from collections.abc import Iterator
from typing import Any, assert_type

import numpy as np
from PIL import Image

from fer_lightning import FaceReader, FaceReading, FaceReadings, LoadedRun, load_run
from fer_lightning.augment.pipeline import BatchTransform
from fer_lightning.evaluation.torch_predictor import Predictor
from fer_lightning.models.network import Network


def camera() -> Iterator[np.ndarray]:
    yield np.zeros((48, 48), np.uint8)


def read_faces() -> None:
    reader = FaceReader("face.onnx", min_confidence=0.5, detector="whole", threads=1)
    for images in ("photo.jpg", ["a.jpg", "b.jpg"], Image.new("L", (48, 48)), camera()):
        assert_type(reader(images), FaceReadings)
    faces = reader("photo.jpg")
    assert_type(faces[0], FaceReading)
    assert_type(faces[:2], tuple[FaceReading, ...])
    assert_type([face.box for face in faces], list[tuple[float, float, float, float]])
    assert_type(max(faces, key=lambda face: face.confidence).probabilities, dict[str, float])
    assert_type(faces[0].doubt, str | None)
    assert_type(faces.unreadable, tuple[tuple[str, str], ...])
    assert_type(faces.probabilities, np.ndarray)


def look_at_a_run() -> None:
    run = load_run("outputs/train/seed-0", views="flip")
    assert_type(run, LoadedRun)
    assert_type(run.network, Network)
    assert_type(run.transform, BatchTransform)
    assert_type(run.predictor, Predictor)
    assert_type(run.classes, tuple[str, ...])
    assert_type(run.summary, dict[str, Any])
    assert_type(run.faces("train"), tuple[np.ndarray, np.ndarray])
