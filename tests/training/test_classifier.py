"""The system around a network: which weights are evaluated, and means that do not depend on the batches."""

import math
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from fer_lightning.losses.cross_entropy import CrossEntropy
from fer_lightning.models.network import Network
from fer_lightning.schedules.constant import Constant
from fer_lightning.stn.none import Identity
from fer_lightning.training.classifier import NEVER, ConfusionMatrix, FERClassifier, RowMean


class Backbone(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm2d(1)
        self.head = nn.Linear(16, 3)

    def forward(self, x):
        return self.head(self.norm(x).flatten(1))


def classifier(**options) -> FERClassifier:
    torch.manual_seed(0)
    network = Network(Identity(), Backbone(), in_channels=1)
    return FERClassifier(network, CrossEntropy(), partial(torch.optim.SGD, lr=0.1), Constant(), 3, **options)


def shift(module: nn.Module, by: float) -> None:
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(by)


def test_the_average_is_what_is_evaluated():
    model = classifier(ema_decay=0.9).eval()
    model.ema.update(model.network, step=0)
    shift(model.network, 1.0)
    model.ema.update(model.network, step=1)
    x = torch.randn(4, 1, 4, 4)
    torch.testing.assert_close(model(x), model.ema.module(x))
    assert not torch.allclose(model(x), model.network(x))
    assert not any(parameter.requires_grad for parameter in model.ema.parameters())


def test_the_average_follows_quickly_at_first_and_by_its_decay_later():
    model = classifier(ema_decay=0.9)
    model.ema.update(model.network, step=0)
    start = model.ema.module.backbone.head.bias.clone()
    shift(model.network, 1.0)
    model.ema.update(model.network, step=1)
    assert (model.ema.module.backbone.head.bias - start).mean().item() == pytest.approx(1 - 2 / 11)
    start = model.ema.module.backbone.head.bias.clone()
    model.ema.update(model.network, step=1000)
    moved = (model.ema.module.backbone.head.bias - start) / (model.network.backbone.head.bias - start)
    assert moved.mean().item() == pytest.approx(0.1, abs=1e-4)


def test_batch_norm_statistics_are_averaged_too():
    model = classifier(ema_decay=0.9)
    model.ema.update(model.network, step=0)
    model.network.backbone.norm.running_mean += 1
    model.network.backbone.norm.num_batches_tracked += 5
    model.ema.update(model.network, step=1)
    averaged = model.ema.module.backbone.norm
    assert 0 < averaged.running_mean.item() < 1
    assert averaged.num_batches_tracked == 5


def test_without_an_average_the_raw_weights_are_evaluated():
    model = classifier().eval()
    x = torch.randn(4, 1, 4, 4)
    torch.testing.assert_close(model(x), model.network(x))


def test_a_mean_over_rows_does_not_depend_on_the_batches():
    values = torch.arange(10.0)
    for sizes in ([10], [4, 4, 2], [1] * 10):
        mean = RowMean()
        for batch in values.split(sizes):
            mean.update(batch.mean(), len(batch))
        assert mean.compute().item() == pytest.approx(4.5)


def test_the_average_and_the_confusion_matrix_do_not_wait_for_the_device():
    """The meta device fails if a value is read."""
    model = classifier(ema_decay=0.9).to("meta")
    model.ema.update(model.network, step=3)
    confusion = ConfusionMatrix(3).to("meta")
    confusion.update(torch.zeros(4, dtype=torch.int64, device="meta"), torch.ones(4, dtype=torch.int64, device="meta"))
    assert confusion.compute().is_meta


def test_the_confusion_matrix_counts_rows_by_class_and_prediction():
    confusion = ConfusionMatrix(3)
    confusion.update(predicted=torch.tensor([0, 1, 1]), target=torch.tensor([0, 1, 2]))
    confusion.update(predicted=torch.tensor([1]), target=torch.tensor([2]))
    assert confusion.compute().tolist() == [[1, 0, 0], [0, 1, 0], [0, 2, 0]]


def test_noting_a_loss_does_not_wait_for_the_device():
    """The meta device fails if a value is read."""
    model = classifier()
    model.trainer = trainer = SimpleNamespace(num_training_batches=5)
    model._first_bad = torch.tensor(NEVER, device="meta")
    model._note_if_not_finite(torch.tensor(0.0, device="meta"), {"key": (1, 2)})
    assert model._first_bad.is_meta
    model._first_bad = torch.tensor(NEVER)
    for loss, key in ((1.0, (0, 4)), (math.inf, (1, 2)), (math.nan, (1, 4)), (1.0, (2, 0))):
        model._note_if_not_finite(torch.tensor(loss), {"key": key})
    assert model._first_bad == trainer.num_training_batches + 2


def test_an_empty_batch_does_not_change_a_mean():
    mean = RowMean()
    mean.update(torch.tensor(float("nan")), 0)
    mean.update(torch.tensor(2.0), 3)
    assert mean.compute() == 2.0
