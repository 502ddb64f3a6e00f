"""Classes of a user that break their contract are named, with what they return and what they must return."""

import re
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import TINY, composed
from torch import nn

from fer_lightning.cli import train
from fer_lightning.errors import UserError
from fer_lightning.losses.cross_entropy import CrossEntropy
from fer_lightning.models.network import Network
from fer_lightning.models.se_resnet import SEResNet
from fer_lightning.runs.run_folder import RunFolder
from fer_lightning.samplers.base import GlobalSampler
from fer_lightning.schedules.base import Schedule
from fer_lightning.schedules.constant import Constant
from fer_lightning.stn.none import Identity
from fer_lightning.training import build
from fer_lightning.training.classifier import FERClassifier
from fer_lightning.training.contracts import factor_of

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
    assert "for 4 images and 7 classes; it must return a float tensor (4, 7)" in message


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
        UserError, match=rf"loss: test_contracts\.Value returned {returned}; it must return a float tensor"
    ):
        step(classifier(Answer(), Value(value)), BATCH, 0)


@pytest.mark.parametrize(
    ("auxiliary", "words"),
    [
        ({"penalty": 0.1}, r"sets self\.auxiliary\['penalty'\] to 0\.1; it must set it to a float tensor"),
        ({"penalty": torch.ones(4)}, r"\['penalty'\] to a Tensor of type torch\.float32 and shape \(4,\)"),
        ({"loss": torch.ones(())}, "names an auxiliary term 'loss'; it must use another name"),
        ({"confusion": torch.ones(())}, "'confusion'"),
        ({"compute": torch.ones(())}, "'compute'"),
        ({"a.b": torch.ones(())}, r"'a\.b'"),
        (None, "sets self.auxiliary to None; it must set it to a dict"),
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


class Given(Schedule):
    """Schedule whose factors are a function of the step."""

    def __init__(self, factor):
        super().__init__()
        self.factor = factor


@pytest.mark.parametrize("factor", [-1.0, float("nan"), float("inf"), torch.ones(2), None, "high", 10**400])
def test_a_factor_must_be_a_finite_number_of_at_least_0(factor):
    with pytest.raises(UserError, match=r"schedule: test_contracts\.Given returned the factor .* at step 3; it must"):
        factor_of(Given(lambda step: factor), 3)


@pytest.mark.parametrize("kind", [torch.tensor, np.float64, float])
def test_a_factor_of_any_number_type_becomes_a_float(kind):
    factor = factor_of(Given(lambda step: kind(step / 4)), 3)
    assert type(factor) is float
    assert factor == 0.75


class Falling(Constant):
    """Schedule that is negative near the end of a run."""

    def after_warmup(self, step: int) -> float:
        return 0.9 - step / self.total_steps


class NoConstructor(Schedule):
    def __init__(self):
        self.power = 1.0


class NoRank(GlobalSampler):
    def __init__(self, labels, seed, power=1.0):
        super().__init__(labels, seed)


class NoBase(GlobalSampler):
    def __init__(self, labels, seed, rank, world_size):
        self.rows = labels


class Other:
    def __init__(self, **kwargs):
        pass


@pytest.mark.parametrize(
    ("slot", "kind", "words"),
    [
        (
            "schedule",
            Falling,
            r"schedule: test_contracts\.Falling returned the factor -0\.0\d* at step 91; it must return",
        ),
        (
            "schedule",
            NoConstructor,
            r"schedule: \S+NoConstructor does not call the constructor of \S+\.Schedule; it must be",
        ),
        (
            "schedule",
            Other,
            r"schedule: \S+Other is not a subclass of fer_lightning\.schedules\.base\.Schedule; it must be",
        ),
        (
            "sampler",
            NoRank,
            "NoRank does not take the argument rank, but a run supplies labels, seed, rank, world_size",
        ),
        ("sampler", NoBase, r"sampler: \S+NoBase does not call the constructor of \S+\.GlobalSampler; it must be"),
        ("sampler", Other, r"sampler: \S+Other is not a subclass of fer_lightning\.samplers\.base\.GlobalSampler"),
    ],
)
def test_a_schedule_or_sampler_of_another_form_is_rejected_before_the_run(slot, kind, words):
    cfg = composed("data=synthetic")
    cfg[slot] = {"_target_": f"test_contracts.{kind.__name__}"}
    with pytest.raises(UserError, match=words):
        build.try_small_parts(cfg)


def test_the_learning_rate_of_a_step_is_the_checked_factor():
    model = classifier(Answer())
    model.schedule = Given(lambda step: -1.0)
    model.trainer.global_rank, model.trainer.current_epoch, model.trainer.accumulate_grad_batches = 0, 0, 1
    model.steps_per_epoch = 1
    with pytest.raises(UserError, match="returned the factor -1"):
        model.on_train_batch_start(BATCH, 0)


def test_the_schedule_counts_steps_by_epochs():
    """A run may continue on another number of devices, which changes the steps of an epoch."""
    model = classifier(Answer())
    model.first_epoch, model.steps_per_epoch = 2, 5
    model.trainer.accumulate_grad_batches = 2
    for epoch, batch, step in ((2, 0, 0), (2, 1, 0), (3, 0, 5), (4, 7, 13)):
        model.trainer.current_epoch = epoch
        assert model._scheduled_step(batch) == step


SMALL = (
    *(word for word in TINY if not word.startswith("model")),
    *("model=se_resnet", "model.blocks=[1,1]", "model.channels=[4,8]", "data.rows=150", "trainer.max_epochs=1"),
)


def test_a_network_that_gives_nan_only_in_evaluation_ends_the_run(tmp_path, monkeypatch):
    forward = SEResNet.forward

    def first_row_is_nan(self, x):
        logits = forward(self, x)
        return logits if self.training else logits.index_fill(0, torch.tensor([0]), float("nan"))

    monkeypatch.setattr(SEResNet, "forward", first_row_is_nan)
    with pytest.raises(UserError, match=r"SEResNet returned logits that are not finite .* \(val, rows: 1\); it must"):
        train.fit_and_test(composed(*SMALL), RunFolder(tmp_path), {})
    assert RunFolder(tmp_path).summary()["status"] == "failed"
    assert not (tmp_path / "metrics.csv").exists()
    assert not list(tmp_path.rglob("best.ckpt"))


def test_counting_rows_that_are_not_finite_does_not_wait_for_the_device():
    """The meta device fails if a value is read."""
    model = classifier(Answer()).to("meta")
    for subset in ("val", "test"):
        model._reset(subset)
        model._evaluate({name: BATCH[name].to("meta") for name in ("image", "target")}, subset)
        assert model._bad_rows[subset].is_meta
