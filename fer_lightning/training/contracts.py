"""Checks of what the classes behind model, loss and schedule return in training.

The checks of tensors read only their types and shapes, so that the host does not wait for a GPU.
"""

import math

from torch import Tensor, nn
from torchmetrics import MetricCollection

from fer_lightning.errors import contract_error, described
from fer_lightning.models.network import Network
from fer_lightning.schedules.base import Schedule

METRICS = ("loss", "confusion", "acc", "f1_macro", "recall_mean")  # metrics of training beside the auxiliary terms
TRIAL_STEPS, TRIAL_EPOCHS = 100, 10  # length of the run for which a schedule is tried


def check_logits(network: Network, logits: object, images: int, classes: int) -> None:
    """Raise UserError if the logits of a batch are not a float tensor (images, classes)."""
    if not (_is_float(logits) and logits.shape == (images, classes)):
        fault = f"returned {described(logits)} for {images} images and {classes} classes"
        raise contract_error("model", network.backbone, fault, f"must return a float tensor ({images}, {classes})")


def check_loss(loss: nn.Module, value: object) -> None:
    """Raise UserError if the value of a loss is not a float tensor without dimensions."""
    if not _is_scalar(value):
        fault = f"returned {described(value)}"
        raise contract_error("loss", loss, fault, "must return a float tensor of shape (), such as a mean over rows")


def check_auxiliary(network: Network, metrics: MetricCollection) -> None:
    """Raise UserError if the auxiliary terms are not a dict of scalars, or if one cannot be logged by its name."""
    backbone, terms = network.backbone, network.auxiliary
    if not isinstance(terms, dict):
        raise contract_error("model", backbone, f"sets self.auxiliary to {described(terms)}", "must set it to a dict")
    for name, term in terms.items():
        if not _is_free(name, metrics):
            allowed = f"must use another name: letters, digits and _, but not one of {', '.join(METRICS)}"
            raise contract_error("model", backbone, f"names an auxiliary term {name!r}", allowed)
        if not _is_scalar(term):
            fault = f"sets self.auxiliary[{name!r}] to {described(term)}"
            raise contract_error("model", backbone, fault, "must set it to a float tensor of shape ()")


def factor_of(schedule: Schedule, step: int) -> float:
    """Return a schedule's factor. Raise UserError if it is not a finite number of at least 0."""
    factor = schedule.factor(step)
    try:
        value = float(factor)
    except (TypeError, ValueError, RuntimeError, OverflowError):  # RuntimeError: a tensor with several elements
        value = math.nan
    if not 0 <= value < math.inf:
        fault = f"returned the factor {factor!r:.60} at step {step}"
        raise contract_error("schedule", schedule, fault, "must return a finite number of at least 0")
    return value


def try_factors(schedule: Schedule) -> None:
    """Raise UserError if a factor of a short run is not a finite number of at least 0."""
    schedule.bind(TRIAL_STEPS, TRIAL_STEPS // TRIAL_EPOCHS)
    for step in range(TRIAL_STEPS):
        factor_of(schedule, step)


def require_base(slot: str, part: object, base: type, attribute: str) -> None:
    """Raise UserError if an object is not of this base class, or lacks an attribute that the base class sets."""
    if not (isinstance(part, base) and hasattr(part, attribute)):
        name = f"{base.__module__}.{base.__qualname__}"
        fault = "is not a subclass" if not isinstance(part, base) else "does not call the constructor"
        raise contract_error(
            slot, part, f"{fault} of {name}", "must be a subclass whose __init__ calls super().__init__"
        )


def _is_free(name: object, metrics: MetricCollection) -> bool:
    """Return True if a metric may have this name, or has it since an earlier step. torch reserves its own names."""
    if not isinstance(name, str) or not name.isidentifier() or name in METRICS:
        return False
    return name in metrics or not hasattr(metrics, name)


def _is_scalar(value: object) -> bool:
    return _is_float(value) and value.ndim == 0


def _is_float(value: object) -> bool:
    return isinstance(value, Tensor) and value.is_floating_point()
