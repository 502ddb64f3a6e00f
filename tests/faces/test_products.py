"""Files for browsers give the probabilities of the original."""

import onnx
import pytest
from blobs import blobs
from face_models import drawn_model

from fer_lightning.faces.face_model import FaceModel
from fer_lightning.faces.products import with_products
from fer_lightning.faces.shipped import MODEL


def convolutions(content: bytes) -> int:
    return sum(node.op_type == "Conv" for node in onnx.load_model_from_string(content).graph.node)


def test_the_network_of_the_package_gives_the_same_probabilities_with_products(tmp_path):
    original = FaceModel(MODEL, threads=1)
    changed = tmp_path / "model.onnx"
    changed.write_bytes(with_products(original))
    onnx.checker.check_model(onnx.load(changed), full_check=True)
    assert convolutions(changed.read_bytes()) == convolutions(original.content) - 5
    faces = blobs(20)
    assert FaceModel(changed, threads=1)(faces) == pytest.approx(original(faces), abs=1e-6)


def test_a_network_without_small_maps_stays_as_it_is(tmp_path):
    model = FaceModel(drawn_model(tmp_path / "face.onnx"), threads=1)
    assert with_products(model) == model.content
