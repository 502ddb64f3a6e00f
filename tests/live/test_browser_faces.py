"""Detector and model in the browser give the same boxes and probabilities as in Python: real and drawn faces."""

import cv2
import face_video
import numpy as np
import pytest
from browser_reader import read_stream
from collect_portraits import MODEL, mirrored, mouth_covered, portrait, rotated, shrunk, two_faces
from export_runs import untrained_run
from live_pages import chromium, needs_browser, visits
from live_server import LiveServer

from fer_lightning.data.synthetic import load
from fer_lightning.export.__main__ import config, export
from fer_lightning.faces.detector import open_detector
from fer_lightning.faces.face_model import FaceModel
from fer_lightning.faces.find import find_faces
from fer_lightning.faces.settings import FaceRules
from fer_lightning.live.engine import Reduced

pytestmark = [pytest.mark.slow, needs_browser]

RULES = {"min_score": 0.7, "min_face_px": 48}
PIXEL, SHARE = 1.0, 0.002  # largest differences of a box and of a probability


def drawn_faces(seed: int) -> np.ndarray:
    """Drawn faces of several sizes and shades on one canvas."""
    random = np.random.default_rng(seed)
    picture = np.full((480, 640, 3), 60 + 15 * seed, np.uint8)
    pixels = load(rows=100, seed=seed).pixels
    for place in range(1 + seed % 3):
        side = int(random.integers(60, 200))
        top, left = int(random.integers(0, 480 - side)), 210 * place + int(random.integers(0, 210 - side))
        face = cv2.resize(pixels[random.integers(100)], (side, side), interpolation=cv2.INTER_CUBIC)
        picture[top : top + side, left : left + side] = face[..., None]
    return picture


def images() -> list[np.ndarray]:
    """RGB images of real and drawn faces: small and large, upright and tilted, none and several in an image."""
    found = [face_video.frame(share) for share in np.arange(24) / 24]
    found += [face_video.frame(share, (1279, 717)) for share in np.arange(5) / 5]
    found += [shrunk(portrait(), side) for side in (60, 101, 150, 239, 321, 400)]
    found += [rotated(portrait(), degrees) for degrees in (-40, 20, 90)]
    found += [two_faces(ratio) for ratio in (1.0, 0.7, 0.3)] + [mouth_covered(), mirrored(portrait())]
    return found + [drawn_faces(seed) for seed in range(12)]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    run = untrained_run(tmp_path_factory.mktemp("run") / "seed-0")
    export(config([f"run={run}"]))
    return run / "face.onnx"


@pytest.mark.timeout(900)  # on a busy machine
def test_boxes_differ_by_at_most_a_pixel_and_probabilities_by_two_thousandths(model):
    pictures = images()
    with LiveServer(model) as server, chromium() as browser, visits(browser) as visit:
        looks = read_stream(visit(server.address), pictures, whole_every=1)
    detector, network, faces = Reduced(open_detector(MODEL), 320), FaceModel(model, threads=1), 0
    labels = set()
    for number, (picture, look) in enumerate(zip(pictures, looks, strict=True)):
        others = look["faces"]
        expected = find_faces(picture, detector, FaceRules(**RULES), roll=False)[:8]
        assert len(others) == len(expected), number
        rows = network(np.stack([face.crop for face in expected])) if expected else []
        for face, row, other in zip(expected, rows, others, strict=True):
            assert other["box"] == pytest.approx(face.face.box, abs=PIXEL), number
            assert other["score"] == pytest.approx(face.face.score, abs=SHARE), number
            assert other["probabilities"] == pytest.approx(row.tolist(), abs=SHARE), number
            labels.add(int(row.argmax()))
        faces += len(expected)
    assert len(pictures) >= 50
    assert faces >= 50
    assert len(labels) > 1
