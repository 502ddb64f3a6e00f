"""Probabilities of stored faces: averaged views, device and precision."""

import numpy as np
import pytest
import torch
from torch import nn

from fer_lightning.augment.warp import warp
from fer_lightning.data.table import FaceTable
from fer_lightning.errors import UserError
from fer_lightning.evaluation import torch_predictor, tta
from fer_lightning.labels import TAXONOMIES
from fer_lightning.models.network import Network
from fer_lightning.stn.none import Identity

CLASSES = TAXONOMIES["fer2013"].classes


class Backbone(nn.Module):
    def __init__(self, size: int):
        super().__init__()
        self.dropout = nn.Dropout(0.5)
        self.head = nn.Linear(size * size, 7)

    def forward(self, x):
        return self.head(self.dropout(x.flatten(1)))


def faces(n: int = 10) -> torch.Tensor:
    return torch.randint(0, 256, (n, 48, 48), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


def made(views: str = "none", size: int = 48, precision: str = "32-true") -> torch_predictor.Predictor:
    torch.manual_seed(0)
    network = Network(Identity(), Backbone(size), in_channels=1)
    device = torch.device("cpu")
    return torch_predictor.Predictor(
        network, tta.views(views, size), input_size=size, mean=0.5, std=0.25, device=device, precision=precision
    )


def test_probabilities_are_those_of_the_network_in_evaluation_mode():
    one = made()
    with torch.no_grad():
        expected = one.network(warp(faces(), None, 48, mean=0.5, std=0.25)).softmax(dim=1)
    torch.testing.assert_close(one(faces()), expected, rtol=0, atol=0)


def test_views_are_averaged_as_probabilities():
    flip = made("flip")
    expected = (made()(faces()) + made()(faces().flip(-1))) / 2
    torch.testing.assert_close(flip(faces()), expected)
    torch.testing.assert_close(flip(faces()), flip(faces().flip(-1)), rtol=0, atol=0)


def test_precision_is_the_runs_and_16_bit_floats_stay_on_a_gpu():
    full, half = made(precision="32-true"), made(precision="bf16-mixed")
    change = (full(faces()) - half(faces())).abs().max()
    assert 0 < change < 0.05
    assert half(faces()).dtype == torch.float32
    assert made(precision="16-mixed").facts()["precision"] == "32-true"


def test_each_row_is_predicted_once_and_in_order():
    pixels = faces(20).numpy()
    table = FaceTable(
        "test", pixels, np.arange(20) % 7, np.zeros(20, np.uint8), np.arange(20).astype(str), CLASSES, checksum=""
    )
    rows = np.array([1, 2, 5, 8, 13, 17, 19])
    one = made()
    batches = torch_predictor.batches_of(table, rows, batch_size=3)
    found, labels, probabilities = torch_predictor.predict_rows(one, batches)
    np.testing.assert_array_equal(found, rows)
    np.testing.assert_array_equal(labels, rows % 7)
    torch.testing.assert_close(torch.from_numpy(probabilities), one(faces(20)[rows]))


def test_a_probability_that_is_not_finite_is_rejected():
    one = made()
    one.network.backbone.head.bias.data[2] = float("nan")
    batch = {"row": torch.tensor([4, 1]), "target": torch.tensor([0, 0]), "image": faces(2)}
    with pytest.raises(UserError, match=r"2 of 2 rows, the first of them row 4, .* precision"):
        torch_predictor.predict_rows(one, [batch])


def test_latency_names_what_it_was_measured_on(monkeypatch):
    monkeypatch.setattr("fer_lightning.evaluation.stopwatch.REPEATS", (1, 1))
    seen = []
    one = made("flip")
    monkeypatch.setattr(one.network.stn, "forward", lambda x: seen.append(len(x)) or x)
    found = torch_predictor.latency(one, faces(10), batch_size=25)
    assert set(seen) == {1, 25}
    assert found["milliseconds_of_one_image"] > 0
    assert found["images_per_second"] > 0
    assert (found["batch_size"], found["views"], found["device"]) == (25, 2, "cpu")
    assert found["threads"] == torch.get_num_threads()


def test_the_device_is_chosen_by_name():
    assert torch_predictor.select_device("cpu").type == "cpu"
    if torch.cuda.is_available():
        assert torch_predictor.select_device("auto").type == torch_predictor.select_device("cuda").type == "cuda"
        return
    assert torch_predictor.select_device("auto").type == "cpu"
    with pytest.raises(UserError, match=r"device=cuda: .* Use device=cpu or device=auto"):
        torch_predictor.select_device("cuda")
