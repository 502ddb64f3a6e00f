"""The crop rule and YuNet's boxes in JavaScript give the same numbers as those in Python."""

import base64
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from collect_portraits import MODEL, portrait, shrunk
from game_modules import needs_node, run

from fer_lightning.faces.browser_files import with_any_size
from fer_lightning.faces.crop import crop_face
from fer_lightning.faces.detector import open_detector
from fer_lightning.faces.face import Face
from fer_lightning.faces.quality import ambiguous, doubt, sufficient
from fer_lightning.faces.settings import FaceRules
from fer_lightning.faces.tracks import Tracks

pytestmark = needs_node

READ = """
const bytes = (text) => new Uint8Array(Buffer.from(text, "base64"));
const image = ({ width, height, rgba }) => ({ width, height, data: bytes(rgba) });
const given = INPUT;
"""


def packed(pixels: np.ndarray) -> dict:
    rgba = np.dstack([pixels, np.full(pixels.shape[:2], 255, np.uint8)])
    return {"width": pixels.shape[1], "height": pixels.shape[0], "rgba": base64.b64encode(rgba).decode()}


def node(folder, script: str, given: object):
    return run(folder, script.replace("READ", READ.replace("INPUT", json.dumps(given))), room="faces")


def test_images_are_reduced_and_crops_are_cut_to_the_same_grey_levels(tmp_path):
    random = np.random.default_rng(0)
    picture = cv2.resize(random.integers(0, 256, (48, 64, 3), np.uint8), (160, 120), interpolation=cv2.INTER_CUBIC)
    picture = np.clip(picture + random.integers(-9, 9, picture.shape), 0, 255).astype(np.uint8)
    sizes = [(80, 60), (53, 40), (40, 30), (159, 119), (160, 60), (157, 120), (7, 5), (1, 1)]
    boxes = [(20.0, 30.0, 40.0, 60.0), (10.3, 5.7, 50.1, 104.4), (-30.0, -20.0, 60.0, 80.0), (120.0, 90.0, 70.0, 99.0)]
    boxes += [(60.0, 40.0, 8.0, height) for height in (0.4, 11.0, 31.5, 51.6, 52.2, 52.8, 104.35, 156.5, 200.0)]
    script = """READ
    import { cropFace, resized } from "./pixels.js";
    const picture = image(given.picture);
    export default {
      sizes: given.sizes.map(([width, height]) => [...resized(picture, width, height).data]),
      crops: given.boxes.map((box) => [...cropFace(picture, box)]),
    };"""
    found = node(tmp_path, script, {"picture": packed(picture), "sizes": sizes, "boxes": boxes})
    for size, values in zip(sizes, found["sizes"], strict=True):
        expected = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
        away = np.abs(np.reshape(values, (size[1], size[0], 4))[..., :3] - expected.astype(int))
        assert (away.max() <= 1, away.mean() < 0.01) == (True, True), size
    for box, values in zip(boxes, found["crops"], strict=True):
        expected, _ = crop_face(picture, Face(box, 0.9))
        away = np.abs(np.reshape(values, (48, 48)) - expected.astype(int))
        assert (away.max() <= 1, away.mean() < 0.01) == (True, True), box


def test_the_outputs_of_yunet_become_the_same_boxes(tmp_path):
    import onnxruntime

    session = onnxruntime.InferenceSession(with_any_size(Path(MODEL).read_bytes()))
    picture = shrunk(np.hstack([portrait(), portrait()[:, ::-1]]), 320)
    script = """
    import { search } from "./yunet.js";
    READ
    const run = async ({ data, dims }) => (inputs.push([dims, [...data.subarray(0, 400)]]), outputs);
    const inputs = [];
    const outputs = {};
    for (const [name, text] of Object.entries(given.outputs)) outputs[name] = new Float32Array(bytes(text).buffer);
    const faces = await search(run, image(given.picture));
    export default { faces, inputs };"""
    blob = cv2.dnn.blobFromImage(picture[..., ::-1].copy())
    names = [port.name for port in session.get_outputs()]
    outputs = dict(zip(names, session.run(None, {"input": blob}), strict=True))
    given = {name: base64.b64encode(values).decode() for name, values in outputs.items()}
    found = node(tmp_path, script, {"picture": packed(picture), "outputs": given})
    assert found["inputs"] == [[[1, 3, 160, 320], blob[0, 0].ravel()[:400].tolist()]]
    expected = open_detector(MODEL)(picture)
    assert len(found["faces"]) == len(expected) == 2
    for face, other in zip(found["faces"], expected, strict=True):
        assert face["box"] == pytest.approx(other.box, abs=0.01)
        assert face["score"] == pytest.approx(other.score, abs=1e-4)


def test_faces_are_followed_in_the_same_way(tmp_path):
    random = np.random.default_rng(2)
    centres, frames = random.uniform(50, 400, (3, 2)), []
    for number in range(60):
        centres += random.normal(0, 12, centres.shape)
        seen = random.permutation(3)[: random.integers(0, 4)]
        rows = random.dirichlet(np.ones(3), len(seen))
        faces = [
            {"box": [*centres[place], 60.0 + 5 * place, 80.0], "probabilities": row.tolist()}
            for place, row in zip(seen, rows, strict=True)
        ]
        frames.append((0.3 * number, faces))
    script = """READ
    import { Tracks } from "./tracks.js";
    const tracks = new Tracks();
    export default given.map(([now, faces]) => tracks.update(now, faces));"""
    tracks = Tracks()
    for (now, faces), found in zip(frames, node(tmp_path, script, frames), strict=True):
        rows = np.array([face["probabilities"] for face in faces]).reshape(-1, 3)
        expected = tracks.update(now, [tuple(face["box"]) for face in faces], rows)
        assert [track["id"] for track in found] == [track.id for track in expected]
        for track, other in zip(found, expected, strict=True):
            assert track["smoothed"] == pytest.approx(other.smoothed.tolist())


def test_the_same_faces_are_uncertain(tmp_path):
    random = np.random.default_rng(1)
    rules = FaceRules(min_score=0.7, min_face_px=48)
    images = [
        [((0.0, 0.0, float(side), 1.2 * side), float(score)) for side, score in zip(sides, scores, strict=True)]
        for sides, scores in zip(random.uniform(30, 90, (40, 3)), random.uniform(0.6, 1, (40, 3)), strict=True)
    ]
    script = """READ
    import { doubt, sufficient } from "./quality.js";
    export default given.images.map((faces) => {
      const sure = sufficient(faces, given.rules);
      return sure.map((face) => [face.score, doubt(face, sure, given.rules)]);
    });"""
    faces = [[{"box": box, "score": score} for box, score in image] for image in images]
    given = {"min_score": 0.7, "min_face_px": 48, "ambiguous_area": rules.ambiguous_area}
    found = node(tmp_path, script, {"images": faces, "rules": given})
    assert {reason for image in found for _, reason in image} == {None, "too small", "two faces of similar size"}
    for image, answers in zip(images, found, strict=True):
        sure = sufficient([Face(box, score) for box, score in image], rules)
        whose = bool(sure) and ambiguous(sure[0], sure, rules)
        both = "two faces of similar size"
        expected = [doubt(face, rules) or (both if whose and ambiguous(face, sure, rules) else None) for face in sure]
        assert answers == [[face.score, reason] for face, reason in zip(sure, expected, strict=True)]
