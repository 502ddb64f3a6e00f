"""Classes of a user that break their contract are named, with what they return and what they must return."""

import re
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from fer_lightning.errors import UserError
from fer_lightning.losses.cross_entropy import CrossEntropy
from fer_lightning.models.network import Network
from fer_lightning.schedules.constant import Constant
from fer_lightning.stn.none import Identity
from fer_lightning.training.classifier import FERClassifier

IMAGES, CLASSES = 4, 7
BATCH = {"image": torch.zeros(IMAGES, 1, 2, 2), "target": torch.arange(IMAGES), "key": (0, 0)}


class Answer(nn.Module):
    """Backbone whose answer is a function of correct logits."""

    def __init__(self, answer=lambda logits: logits):
        super().__init__()
        self.head, self.answer = nn.Linear(4, CLASSES), answer

    def forward(self, x):
        return self.answer(self.head(x.flatten(1)))


class Value(nn.Module):
    """Loss whose value is a function of the correct loss of each row."""

    def __init__(self, value):
        super().__init__()
        self.value = value

    def forward(self, logits, target):
        return self.value(nn.functional.cross_entropy(logits, target, reduction="none"))


def classifier(backbone: nn.Module, loss: nn.Module | None = None) -> FERClassifier:
    network = Network(Identity(), backbone, in_channels=1)
    model = FERClassifier(
        network, loss or CrossEntropy(), partial(torch.optim.SGD, lr=0.1), Constant(), num_classes=CLASSES
    )
    model.trainer = SimpleNamespace(num_training_batches=1, world_size=1)
    return model


@pytest.mark.parametrize(
    ("answer", "returned"),
    [
        (lambda logits: torch.cat([logits, logits[:, :1]], dim=1), "shape (4, 8)"),
        (lambda logits: logits[:, :5], "shape (4, 5)"),
        (lambda logits: logits[..., None, None], "shape (4, 7, 1, 1)"),
        (lambda logits: logits.flatten(), "shape (28,)"),
        (lambda logits: logits.long(), "type torch.int64"),
        (lambda logits: (logits, logits), "a tuple"),
        (lambda logits: {"logits": logits}, "a dict"),
        (lambda logits: None, "None"),
    ],
)
@pytest.mark.parametrize("step", [FERClassifier.training_step, FERClassifier.validation_step])
def test_a_network_must_return_a_logit_for_each_class(answer, returned, step):
    with pytest.raises(UserError) as raised:
        step(classifier(Answer(answer)), BATCH, 0)
    message = str(raised.value)
    assert re.match(r"model: test_contracts\.Answer returned ", message)
    assert returned in message
    assert "for 4 images and 7 classes, must return a float tensor (4, 7)" in message


@pytest.mark.parametrize(
    ("value", "returned"),
    [
        (lambda losses: losses, r"a Tensor of type torch\.float32 and shape \(4,\)"),
        (lambda losses: losses.mean().item(), r"\d\.\d+"),
        (lambda losses: {"loss": losses.mean()}, "a dict"),
    ],
)
@pytest.mark.parametrize("step", [FERClassifier.training_step, FERClassifier.validation_step])
def test_a_loss_must_return_a_scalar(value, returned, step):
    with pytest.raises(
        UserError, match=rf"loss: test_contracts\.Value returned {returned}, must return a float tensor"
    ):
        step(classifier(Answer(), Value(value)), BATCH, 0)


@pytest.mark.parametrize(
    ("auxiliary", "words"),
    [
        ({"penalty": 0.1}, r"sets self\.auxiliary\['penalty'\] to 0\.1, must set it to a float tensor"),
        ({"penalty": torch.ones(4)}, r"\['penalty'\] to a Tensor of type torch\.float32 and shape \(4,\)"),
        ({"loss": torch.ones(())}, "names an auxiliary term 'loss', must use another name"),
        ({"confusion": torch.ones(())}, "'confusion'"),
        ({"compute": torch.ones(())}, "'compute'"),
        ({"a.b": torch.ones(())}, r"'a\.b'"),
        (None, "sets self.auxiliary to None, must set it to a dict"),
    ],
)
def test_an_auxiliary_term_must_be_a_scalar_with_a_name_of_its_own(auxiliary, words):
    backbone = Answer()
    backbone.auxiliary = auxiliary
    with pytest.raises(UserError, match=rf"model: test_contracts\.Answer .*{words}"):
        classifier(backbone).training_step(BATCH, 0)


def test_an_auxiliary_term_is_added_to_the_loss_and_logged_at_each_step():
    backbone = Answer()
    plain = classifier(backbone).training_step(BATCH, 0)
    backbone.auxiliary = {"penalty": torch.tensor(0.5)}
    model = classifier(backbone)
    for _ in range(2):
        assert model.training_step(BATCH, 0) == plain + 0.5
    assert model.train_metrics["penalty"].compute() == 0.5
