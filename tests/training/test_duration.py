"""A run that would take very long on a CPU says so before it begins."""

from types import SimpleNamespace

import pytest
import torch
from conftest import composed
from torch import nn

from fer_lightning.training import build, duration

ROWS = {"train": 28_709, "evaluated": 7178}


def test_a_long_run_names_its_hours_and_an_experiment_that_fits():
    warning = duration.warn_if_long(0.05, epochs=60, **ROWS)
    assert warning.startswith("this run takes about 78 hours on this CPU.")
    assert "python train.py experiment=fer2013_cpu" in warning
    assert duration.warn_if_long(0.005, epochs=60, **ROWS) is None


def test_the_measurement_changes_neither_the_network_nor_the_random_numbers():
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    state = torch.get_rng_state()
    assert duration.seconds_per_image(network, 8) > 0
    assert network.training
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


@pytest.mark.parametrize(
    ("device", "limit", "warned"), [("cpu", 1.0, True), ("cpu", 5, False), ("cpu", 0.01, False), ("cuda", 1.0, False)]
)
def test_the_images_and_the_device_of_the_run_decide(device, limit, warned, monkeypatch):
    monkeypatch.setattr(duration, "seconds_per_image", lambda network, size: 0.05)
    trainer = SimpleNamespace(
        strategy=SimpleNamespace(root_device=torch.device(device)), limit_train_batches=limit, max_epochs=60
    )
    data = SimpleNamespace(train_rows=range(28_709), train_eval_rows=range(100), split=SimpleNamespace(val=range(100)))
    warning = build.duration_warning(composed(), data, SimpleNamespace(network=None, first_epoch=0), trainer)
    assert bool(warning) == warned
