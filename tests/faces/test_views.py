"""The file for browsers chooses its views, and gives the probabilities of the original from all of them."""

import itertools

import numpy as np
import onnx
import onnxruntime
import pytest
from blobs import blobs
from face_models import drawn_model

from fer_lightning.faces.face_model import FaceModel
from fer_lightning.faces.products import with_products
from fer_lightning.faces.shipped import MODEL
from fer_lightning.faces.views import with_chosen_views

NONE = np.zeros(0, np.float32)
VIEWS = 4  # of the network of the package
ALL = [0, 100]  # a file has fewer


@pytest.fixture(scope="module")
def original():
    return FaceModel(MODEL, threads=1)


@pytest.fixture(scope="module", params=["the file", "the file with products, as pages receive it"])
def look(original, request):
    """Return (probabilities, seen) of faces by the changed file."""
    content = with_chosen_views(original.content if request.param == "the file" else with_products(original))
    onnx.checker.check_model(onnx.load_model_from_string(content), full_check=True)
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])

    def run(faces: np.ndarray, views: list[int], earlier: np.ndarray = NONE) -> list[np.ndarray]:
        inputs = {"faces": faces[..., None], "views": np.array(views), "earlier": earlier.ravel()}
        return session.run(["probabilities", "seen"], inputs)

    return run


def test_all_views_at_once_give_the_probabilities_of_the_original(look, original):
    faces = blobs(20)
    probabilities, seen = look(faces, ALL)
    assert probabilities == pytest.approx(original(faces), abs=1e-6)
    assert seen.shape == (VIEWS, 20, 7)
    for view, other in itertools.combinations(seen, 2):
        assert np.abs(view - other).max() > 0.01  # a missing view would be noticed


@pytest.mark.parametrize("order", [[0, 1, 2, 3], [3, 1, 0, 2]])
def test_the_views_one_after_the_other_give_the_probabilities_of_the_original(look, original, order):
    faces, earlier, answers = blobs(3), np.zeros((0, 3, 7), np.float32), []
    for view in order:
        probabilities, seen = look(faces, [view, view + 1], earlier)
        assert seen.shape == (1, 3, 7)
        earlier = np.concatenate([earlier, seen])
        answers.append(probabilities)
    assert answers[-1] == pytest.approx(original(faces), abs=1e-6)
    assert all(np.abs(answer - answers[-1]).max() > 0.005 for answer in answers[:-1])


def test_a_file_with_one_view_stays_as_it_is(tmp_path):
    content = FaceModel(drawn_model(tmp_path / "face.onnx"), threads=1).content
    assert with_chosen_views(content) == content
