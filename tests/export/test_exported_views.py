"""A file with tta=flip or tta=shift averages the views of a face, as an evaluation with the same views does."""

import shutil

import numpy as np
import onnxruntime
import pytest
import torch
from export_runs import untrained_run

from fer_lightning.errors import UserError
from fer_lightning.evaluation import evaluate, tta
from fer_lightning.evaluation.predictions import read_predictions
from fer_lightning.evaluation.torch_predictor import Predictor
from fer_lightning.evaluation.trained_run import open_run
from fer_lightning.export import __main__ as command
from fer_lightning.faces.face_model import FaceModel
from fer_lightning.faces.views import with_chosen_views
from fer_lightning.statistics.calibration import at_temperature


@pytest.fixture(scope="module")
def run(no_pictures, tmp_path_factory):
    return untrained_run(tmp_path_factory.mktemp("runs") / "untrained" / "seed-0", quickest=True)


def test_the_card_needs_the_test_of_the_same_views(run):
    with pytest.raises(UserError, match=r"tta=flip: the model card needs .* Run python -m fer_lightning.evaluate run="):
        command.export(command.config([f"run={run}", "tta=flip"]))
    assert not (run / "face.onnx").exists()


def one_view_after_the_other(content: bytes, faces: np.ndarray, number: int) -> np.ndarray:
    """Return the probabilities of the file for browsers from `number` views of the faces, each in a call of its own."""
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    earlier = np.zeros(0, np.float32)
    for view in range(number):
        inputs = {"faces": faces[..., None], "views": np.array([view, view + 1]), "earlier": earlier}
        probabilities, seen = session.run(["probabilities", "seen"], inputs)
        earlier = np.append(earlier, seen)
    return probabilities


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "number", "words"),
    [("flip", 2, "the face and its mirror image."), ("shift", 4, "each moved by one pixel")],
)
def test_probabilities_and_card_are_those_of_the_evaluation(name, number, words, run, tmp_path):
    evaluated = shutil.copytree(run, tmp_path / "evaluated")  # a command holds its folder until the process ends
    evaluate.evaluate(evaluate.config([f"run={evaluated}", f"tta={name}"]))
    run = shutil.copytree(evaluated, tmp_path / "run")
    command.main([f"run={run}", f"tta={name}"])
    model, opened = FaceModel(run / "face.onnx"), open_run(shutil.copytree(run, tmp_path / "opened"))
    faces, how = opened.faces()[0].pixels[:33], opened.config.model
    network, views = opened.network(7), tta.views(name, how.input_size)
    predict = Predictor(
        network, views, input_size=how.input_size, mean=how.mean, std=how.std, device=torch.device("cpu")
    )
    expected = at_temperature(predict(torch.from_numpy(faces)).numpy(), model.metadata.temperature)
    np.testing.assert_allclose(model(faces), expected, atol=1e-5, rtol=0)
    np.testing.assert_allclose(model(faces[:, :, ::-1].copy()), model(faces), atol=1e-6, rtol=0)
    predictions = read_predictions(run / "evaluation" / name / "predictions.csv")
    np.testing.assert_array_equal(model.metadata.confusion, predictions.confusion())
    card = (run / "face_card.md").read_text()
    assert words in card
    assert f"with the checkpoint and the same {'two' if name == 'flip' else 'four'} views" in card
    seen = one_view_after_the_other(with_chosen_views(model.content), faces, number)
    np.testing.assert_allclose(seen, model(faces), atol=1e-6, rtol=0)
