"""A file with tta=flip or tta=shift averages the views of a face, as an evaluation with the same views does."""

import shutil

import numpy as np
import onnxruntime
import pytest
import torch
from export_runs import untrained_run

from fer_lightning.data import synthetic
from fer_lightning.errors import UserError
from fer_lightning.evaluation import evaluate, tta
from fer_lightning.evaluation.predictions import read_predictions
from fer_lightning.evaluation.torch_predictor import Predictor
from fer_lightning.evaluation.trained_run import open_run
from fer_lightning.export import __main__ as command
from fer_lightning.export import weights
from fer_lightning.export.recogniser import Checkpoint, CheckpointEnsemble, MirroredCheckpoint
from fer_lightning.faces.face_model import FaceModel
from fer_lightning.faces.products import with_products
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


class Mixing(torch.nn.Module):
    """Network whose graph joins slices, and a stored array with an image.

    counts  True: it repeats the stored array for each image, as a transformer does its class token
    """

    def __init__(self, *, counts: bool) -> None:
        super().__init__()
        self.patches, self.token = torch.nn.Conv2d(1, 4, 8, stride=8), torch.nn.Parameter(torch.ones(1, 1, 4))
        self.head, self.counts = torch.nn.Linear(4, 7), counts

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        tokens = self.patches(x).roll(1, -1).flatten(2).transpose(1, 2).tanh()
        repeated = self.token.expand(tokens.shape[0], -1, -1) if self.counts else tokens[:, :1] * 0 + self.token
        return self.head(torch.cat([repeated, tokens], dim=1).mean(dim=1))


def seen_with(views: str, *, counts: bool = False) -> Checkpoint:
    torch.manual_seed(0)
    return Checkpoint(Mixing(counts=counts).eval(), 48, 0.5, 0.25, views=views)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("checkpoint", "number", "temperature"),
    [
        (MirroredCheckpoint(seen_with("none")), 2, 1.5),
        (seen_with("shift"), 4, 1.5),
        (seen_with("shift"), 4, 1.0),
        (MirroredCheckpoint(CheckpointEnsemble([seen_with("none")] * 3)), 2, 1.5),
    ],
    ids=["flip", "shift", "without a temperature", "ensemble, flip"],
)
def test_views_take_turns_in_networks_that_join_other_arrays(checkpoint, number, temperature):
    faces = synthetic.load(rows=100).pixels[:20]
    content = checkpoint.to_onnx(temperature).SerializeToString()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    expected = session.run(None, {"faces": faces[..., None]})[0]
    changed = with_chosen_views(content)
    assert np.abs(one_view_after_the_other(changed, faces, 1) - expected).max() > 1e-3
    np.testing.assert_allclose(one_view_after_the_other(changed, faces, number), expected, atol=1e-6, rtol=0)


@pytest.mark.slow
@pytest.mark.parametrize(
    "checkpoint",
    [
        seen_with("none"),
        CheckpointEnsemble([seen_with("shift")] * 2),
        seen_with("shift", counts=True),
        MirroredCheckpoint(seen_with("none", counts=True)),
    ],
    ids=["one view", "ensemble, shift", "counted, shift", "counted, flip"],
)
def test_a_file_whose_views_cannot_take_turns_stays_as_it_is(checkpoint):
    content = checkpoint.to_onnx().SerializeToString()
    assert with_chosen_views(content) == content


@pytest.mark.slow
def test_a_file_with_4_bits_per_weight_is_written_and_read(run, tmp_path, monkeypatch):
    monkeypatch.setattr(weights, "LEAST_CODEBOOK", 5000)
    run, out = shutil.copytree(run, tmp_path / "run"), tmp_path / "small.onnx"
    command.main([f"run={run}", "weights=codebook4", f"out={out}"])
    model, faces = FaceModel(out), synthetic.load(rows=100).pixels[:20]
    assert model.metadata.weights["form"] == "codebook4"
    assert "- Weights as codebook4" in (tmp_path / "small_card.md").read_text()
    content = with_products(model)
    assert content != model.content
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(session.run(None, {"faces": faces[..., None]})[0], model(faces), atol=1e-5)


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
