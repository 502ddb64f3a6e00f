"""Every network and transformer becomes a file that says what it says; test_export.py looks at one in full."""

from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch
from conftest import composed
from export_runs import distinct
from face_models import drawn_metadata

from fer_lightning.data import synthetic
from fer_lightning.evaluation import tta
from fer_lightning.evaluation.torch_predictor import Predictor
from fer_lightning.export.comparison import LARGEST_DIFFERENCE
from fer_lightning.export.recogniser import Checkpoint, Recogniser, View, resize_matrices
from fer_lightning.faces.face_model import FaceModel
from fer_lightning.faces.image_form import ImageForm
from fer_lightning.faces.metadata import crop_rule, embed
from fer_lightning.training import build

EMONEXT = ("model=emonext", "model.size=atto", "model.input_size=64")
NETWORKS = {
    "whitened_cnn": ("model=whitened_cnn", "stn=none", "model.channels=[8,16,24]"),
    "resemotenet": ("model=resemotenet", "stn=none", "model.width=0.0625"),
    "se_resnet": (
        "model=se_resnet",
        "stn=emonext",
        "model.channels=[4,8]",
        "model.blocks=[1,1]",
        "model.input_size=75",
    ),
    "emonext": EMONEXT,
    "emonext with tokens": (*EMONEXT, "stn=affine", "model.attention=tokens"),
    "emonext without attention": (*EMONEXT, "stn=none", "model.attention='off'"),
    "timm": ("model=timm", "stn=none", "model.name=test_vit", "model.input_size=64"),
}


class Spread(torch.nn.Module):
    """A backbone whose logits differ from face to face, as those of a trained one do."""

    def __init__(self, backbone, example):
        super().__init__()
        self.backbone = backbone
        with torch.no_grad():
            logits = backbone(example)
        self.register_buffer("middle", logits.mean(0))
        self.register_buffer("width", logits.std(0) / 2)

    def forward(self, x):
        return (self.backbone(x) - self.middle) / self.width


@pytest.fixture(scope="module")
def faces():
    return synthetic.load(rows=100).pixels[:33]


def checkpoint_of(overrides, faces):
    """An untrained network with other logits for each face."""
    config = composed("data=synthetic", *overrides)
    network = distinct(build.build_network(config, 7)).eval()
    how = {"input_size": config.model.input_size, "mean": config.model.mean, "std": config.model.std}
    evaluated = Predictor(network, [None], device=torch.device("cpu"), **how)
    image = evaluated.transform.evaluate(torch.from_numpy(faces)).expand(-1, network.in_channels, -1, -1)
    with torch.no_grad():
        network.backbone = Spread(network.backbone, network.stn(image))
    return Checkpoint(network, **how)


@pytest.mark.parametrize("size", [32, 40, 47, 64, 75, 96, 100, 128, 224, 299])
def test_faces_are_resized_to_the_same_grey_levels(faces, size):
    down, across = resize_matrices(size)
    resized = torch.floor(down @ torch.from_numpy(faces).float() @ across.T + 0.5)
    evaluated = Predictor(torch.nn.Identity(), [], input_size=size, mean=0.0, std=1 / 255, device=torch.device("cpu"))
    torch.testing.assert_close(resized, evaluated.transform.evaluate(torch.from_numpy(faces))[:, 0], atol=1e-3, rtol=0)


@pytest.mark.parametrize("size", [32, 48, 64, 75, 100])
def test_views_are_those_of_an_evaluation(faces, size):
    how = {"input_size": size, "mean": 0.0, "std": 1 / 255}
    evaluated = Predictor(torch.nn.Identity(), [], device=torch.device("cpu"), **how).transform
    for theta in (*tta.views("shift", size), *tta.views("flip", size)):
        seen = View(size, 48, theta)(torch.from_numpy(faces).float())
        torch.testing.assert_close(seen, evaluated.evaluate(torch.from_numpy(faces), theta)[:, 0], atol=1e-3, rtol=0)


def checkpoint_of_rgb(faces):
    """An untrained network on RGB faces of 64 pixels, which it receives at 48, and such faces."""
    form = ImageForm(64, color=True)
    config = composed("data=synthetic", *NETWORKS["whitened_cnn"], "model.in_channels=3", "model.input_size=48")
    how = {"input_size": 48, "mean": config.model.mean, "std": config.model.std}
    rgb = form.fit_all(np.stack([faces, faces[::-1], 255 - faces], axis=3))
    return Checkpoint(distinct(build.build_network(config, 7)).eval(), form=form, **how), rgb


def test_rgb_faces_of_another_size_are_recognised_as_in_an_evaluation(faces):
    checkpoint, rgb = checkpoint_of_rgb(faces)
    module = Recogniser(checkpoint.network, form=checkpoint.form, **checkpoint._how)
    with torch.no_grad():
        found = module(torch.from_numpy(rgb).permute(0, 3, 1, 2).float()).numpy()
    np.testing.assert_allclose(found, checkpoint(rgb), atol=LARGEST_DIFFERENCE / 2, rtol=0)


@pytest.mark.slow
def test_a_file_of_a_network_on_rgb_faces_takes_crops_of_any_size(tmp_path, faces):
    checkpoint, rgb = checkpoint_of_rgb(faces)
    graph = checkpoint.to_onnx()
    embed(graph, replace(drawn_metadata(), crop=crop_rule(checkpoint.form)))
    onnx.save(graph, tmp_path / "face.onnx")
    model = FaceModel(tmp_path / "face.onnx")
    assert model.metadata.form == checkpoint.form
    np.testing.assert_allclose(model(rgb), checkpoint(rgb), atol=LARGEST_DIFFERENCE / 2, rtol=0)
    large = rgb.repeat(2, axis=1).repeat(2, axis=2)
    np.testing.assert_allclose(model(large), checkpoint(rgb), atol=LARGEST_DIFFERENCE / 2, rtol=0)


VARIANTS = ("emonext with tokens", "emonext without attention")


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.long if name in VARIANTS else ()) for name in NETWORKS]
)
def test_every_network_and_transformer(tmp_path, faces, name):
    checkpoint = checkpoint_of(NETWORKS[name], faces)
    graph = checkpoint.to_onnx()
    embed(graph, drawn_metadata())
    onnx.save(graph, tmp_path / "face.onnx")
    model = FaceModel(tmp_path / "face.onnx")
    assert model(faces).std(axis=0).mean() > 0.02  # the comparison could fail
    np.testing.assert_allclose(model(faces), checkpoint(faces), atol=LARGEST_DIFFERENCE / 2, rtol=0)
    np.testing.assert_allclose(model(faces[:1]), checkpoint(faces[:1]), atol=LARGEST_DIFFERENCE / 2, rtol=0)
