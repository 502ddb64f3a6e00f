"""An ensemble becomes one file whose probabilities are the mean that `train.py experiment=ensemble` has evaluated."""

import json
import shutil
from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch
from export_runs import untrained_run
from face_models import drawn_metadata
from fer_forms import drawn_store
from torch import nn

from fer_lightning.data.store import open_store
from fer_lightning.errors import UserError
from fer_lightning.evaluation import ensemble, evaluate
from fer_lightning.evaluation.predictions import read_predictions
from fer_lightning.export import __main__ as command
from fer_lightning.export import members
from fer_lightning.export.recogniser import Checkpoint, CheckpointEnsemble
from fer_lightning.export.weights import store_weights, stored_bytes
from fer_lightning.faces.face_model import FaceModel
from fer_lightning.faces.image_form import ImageForm
from fer_lightning.faces.metadata import crop_rule, embed
from fer_lightning.models.network import Network
from fer_lightning.runs.run_folder import RunFolder
from fer_lightning.statistics.calibration import at_temperature
from fer_lightning.stn.none import Identity

pytestmark = pytest.mark.slow

SECOND = ("model.input_size=64", "model.in_channels=3")


@pytest.fixture(scope="module")
def averaged(no_pictures, tmp_path_factory):
    """Folder of an ensemble of two networks with other sizes and channels."""
    root = tmp_path_factory.mktemp("runs")
    runs = [
        untrained_run(root / f"seed-{seed}", *words, quickest=True, own_predictions=True)
        for seed, words in enumerate([(), SECOND])
    ]
    folder = RunFolder(root / "ensemble" / "seed-0")
    ensemble.run(folder, [str(run) for run in runs], [])
    folder.release()
    return root / "ensemble" / "seed-0"


@pytest.fixture
def copied(averaged, tmp_path):
    """A copy of all folders, whose ensemble names the copies."""
    root = shutil.copytree(averaged.parents[1], tmp_path / "runs")
    folder = root / "ensemble" / "seed-0"
    text = (folder / "summary.json").read_text()
    (folder / "summary.json").write_text(text.replace(str(averaged.parents[1]), str(root)))
    return folder


def with_summary(folder, change):
    summary = json.loads((folder / "summary.json").read_text())
    change(summary)
    (folder / "summary.json").write_text(json.dumps(summary))
    return folder


@pytest.fixture(scope="module")
def exported(averaged):
    command.main([f"run={averaged}"])
    return FaceModel(averaged / "face.onnx")


def test_probabilities_are_the_evaluated_mean(averaged, exported):
    predictions = read_predictions(averaged / "predictions.csv")
    opened = members.open_subject(averaged)
    pixels = opened.faces()[0].pixels[predictions.rows]
    expected = at_temperature(predictions.probabilities, exported.metadata.temperature)
    assert expected.std(axis=0).mean() > 0.002  # the comparison could fail
    np.testing.assert_allclose(exported(pixels), expected, atol=1e-5, rtol=0)
    mean = command.load_checkpoint(opened, 7)(pixels)
    np.testing.assert_allclose(mean, predictions.probabilities, atol=1e-5, rtol=0)


def test_the_card_and_the_metadata_name_each_member(averaged, exported):
    first, second = exported.metadata.network["members"]
    assert (first["name"], first["input_size"], second["input_size"]) == ("untrained/seed-0", 48, 64)
    assert exported.metadata.network["parameters"] == first["parameters"] + second["parameters"]
    text = (averaged / "face_card.md").read_text()
    assert "of 2 networks" in text
    assert f"| 64 x 64 | {second['parameters']:,} |" in text
    assert exported.metadata.confusion == tuple(
        tuple(row) for row in read_predictions(averaged / "predictions.csv").confusion().tolist()
    )


def test_the_weights_of_every_member_can_be_stored_as_int8(exported):
    graph = onnx.load(exported.path)
    store_weights(graph, "int8")
    large = [array for array in graph.graph.initializer if ".int8" in array.name]
    assert {array.name.partition("members.")[2][0] for array in large} == {"0", "1"}
    assert stored_bytes(graph) < 0.4 * exported.metadata.weights["bytes"]


class Tiny(nn.Module):
    """A backbone with one convolution, whose export takes no time."""

    def __init__(self):
        super().__init__()
        self.convolution, self.head = nn.Conv2d(3, 8, 8, stride=8), nn.Linear(8, 7)

    def forward(self, x):
        return 20 * self.head(self.convolution(x).relu().mean(dim=(2, 3)))


def test_one_file_holds_the_mean_of_networks_on_rgb_faces(tmp_path):
    torch.manual_seed(0)
    form, networks = ImageForm(64, color=True), [Network(Identity(), Tiny(), in_channels=3).eval() for _ in range(2)]
    sizes = zip(networks, (48, 64), strict=True)
    mean = CheckpointEnsemble([Checkpoint(one, input_size=size, mean=0.5, std=0.2, form=form) for one, size in sizes])
    graph = mean.to_onnx(temperature=1.5)
    embed(graph, replace(drawn_metadata(), crop=crop_rule(form)))
    onnx.save(graph, tmp_path / "face.onnx")
    faces = np.random.default_rng(0).integers(0, 256, (5, 64, 64, 3), np.uint8) // np.arange(1, 4, dtype=np.uint8)
    faces[1:3, 16:] = (255, 0, 60)
    expected = at_temperature(mean(faces), 1.5)
    assert expected.std(axis=0).mean() > 0.002  # the comparison could fail
    model = FaceModel(tmp_path / "face.onnx")
    np.testing.assert_allclose(model(faces), expected, atol=1e-5, rtol=0)
    larger = faces.repeat(2, axis=1).repeat(2, axis=2)
    np.testing.assert_allclose(model(larger), expected, atol=1e-5, rtol=0)


def test_an_ensemble_of_runs_on_rgb_faces_is_exported(no_pictures, tmp_path):
    form = ImageForm(64, color=True)
    rgb = ("data=fer2013", f"data.root={drawn_store(tmp_path / 'faces', form)}", "model.in_channels=3")
    runs = [
        untrained_run(tmp_path / f"seed-{size}", *rgb, f"model.input_size={size}", quickest=True, own_predictions=True)
        for size in (48, 64)
    ]
    folder = RunFolder(tmp_path / "ensemble" / "seed-0")
    ensemble.run(folder, [str(run) for run in runs], [])
    folder.release()
    command.main([f"run={folder.path}"])
    model = FaceModel(folder.path / "face.onnx")
    assert model.metadata.form == form
    predictions = read_predictions(folder.path / "predictions.csv")
    faces = open_store(tmp_path / "faces" / "store").pixels[predictions.rows]
    expected = at_temperature(predictions.probabilities, model.metadata.temperature)
    assert expected.std(axis=0).mean() > 0.002  # the comparison could fail
    np.testing.assert_allclose(model(faces), expected, atol=1e-5, rtol=0)


def refusal(folder, tta="none"):
    with pytest.raises(UserError) as error:
        members.open_subject(folder, tta)
    return str(error.value)


def test_a_member_that_has_changed_is_refused(copied):
    (copied.parents[1] / "seed-1" / "predictions.csv").write_text("of another training")
    assert "seed-1/predictions.csv has changed since it was averaged" in refusal(copied)


def test_a_missing_member_is_named(copied):
    shutil.rmtree(copied.parents[1] / "seed-1")
    assert f"a member of the ensemble cannot be read. run={copied.parents[1] / 'seed-1'}: no such" in refusal(copied)


def test_an_ensemble_of_views_is_exported_with_these_views(copied):
    runs = [copied.parents[1] / f"seed-{seed}" for seed in range(2)]
    message = refusal(copied, "flip")
    assert f"python -m fer_lightning.evaluate run={runs[0]} tta=flip" in message
    assert "python train.py experiment=ensemble name=ensemble_flip" in message
    for run in runs:
        evaluate.evaluate(evaluate.config([f"run={run}", "tta=flip"]))
    folder = RunFolder(copied.parents[1] / "ensemble_flip" / "seed-0")
    ensemble.run(folder, [str(run / "evaluation" / "flip") for run in runs], [])
    folder.release()
    assert "was averaged with tta=flip, and a file shows all networks the same views. Use tta=flip" in refusal(
        folder.path
    )
    command.main([f"run={folder.path}", "tta=flip"])
    model, predictions = FaceModel(folder.path / "face.onnx"), read_predictions(folder.path / "predictions.csv")
    faces = members.open_subject(folder.path, "flip").faces()[0].pixels[predictions.rows]
    expected = at_temperature(predictions.probabilities, model.metadata.temperature)
    np.testing.assert_allclose(model(faces), expected, atol=1e-5, rtol=0)
    assert model.metadata.confusion == tuple(tuple(row) for row in predictions.confusion().tolist())


def test_an_unfinished_ensemble_is_refused(copied):
    folder = with_summary(copied, lambda summary: summary.update(status="failed", command="python train.py x"))
    assert "the ensemble is not finished (failed). Resume it: python train.py x" in refusal(folder)


def test_weights_that_no_file_can_hold_are_refused(copied):
    opened = members.open_subject(copied)
    opened.summary["parameters"]["total"] = 10**9
    with pytest.raises(UserError, match=r"its weights take 4\.0 GB as float32, and an ONNX file holds at most 2\.1 GB"):
        members.refuse_large_file(opened, "float32")
    members.refuse_large_file(opened, "int8")
    opened.summary["parameters"]["total"] = 10**10
    with pytest.raises(UserError, match=r"10\.0 GB as int8.* Average fewer members, or use weights=codebook4\.$"):
        members.refuse_large_file(opened, "int8")
    with pytest.raises(UserError, match=r"5\.0 GB as codebook4.* Average fewer members\.$"):
        members.refuse_large_file(opened, "codebook4")


def test_other_commands_name_the_members(averaged):
    from fer_lightning.evaluation.trained_run import open_run

    with pytest.raises(UserError, match=r"is an ensemble, which has no checkpoint of its own\. Name one .*seed-0, "):
        open_run(averaged)
