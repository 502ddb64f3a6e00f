"""The checker reads from sources the same signatures that Python reports for the classes."""

import inspect

import pytest
from hydra.utils import get_object

from fer_lightning.check.annotations import TargetNotFound, signature
from fer_lightning.check.check import check_type
from fer_lightning.errors import UserError

TARGETS = [
    "fer_lightning.models.resemotenet.ResEmoteNet",
    "fer_lightning.samplers.weighted.Weighted",
    "fer_lightning.data.synthetic.load",
    "fer_lightning.augment.pipeline.Augmentation",
    "torch.optim.sgd.SGD",
    "torch.optim.adamw.AdamW",
    "lightning.pytorch.trainer.trainer.Trainer",
]


@pytest.mark.parametrize("target", TARGETS)
def test_source_and_python_agree_on_the_parameters(target):
    known = inspect.signature(get_object(target)).parameters
    plain = {name for name, p in known.items() if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)}
    read = signature(target)
    assert read.parameters.keys() == plain
    assert read.open_ended == any(p.kind == p.VAR_KEYWORD for p in known.values())
    required = {name for name in plain if known[name].default is inspect.Parameter.empty}
    assert {name for name, parameter in read.parameters.items() if parameter.required} == required


@pytest.mark.parametrize("target", ["nowhere.Thing", "fer_lightning.losses.focal.Nothing", "torch.no.such.Module"])
def test_a_target_that_is_nowhere_is_told(target):
    with pytest.raises(TargetNotFound):
        signature(target)


@pytest.mark.parametrize(
    ("value", "annotation"),
    [
        (1, "int"),
        (1, "float"),
        (None, "float | None"),
        ("a", "Literal['a', 'b']"),
        ([0.1, 2], "tuple[float, float]"),
        (["a"], "list[str]"),
        (0.1, "float | Tensor"),
        ("anything", "SomeClassOfTheirs"),
        (None, "Optional[Union[int, float]]"),
    ],
)
def test_values_that_fit_pass(value, annotation):
    check_type("key", value, annotation)


@pytest.mark.parametrize(
    ("value", "annotation"),
    [
        (1.5, "int"),
        (True, "int"),
        (True, "float"),
        (1, "bool"),
        (None, "int"),
        ("c", "Literal['a', 'b']"),
        ([0.1], "tuple[float, float]"),
        ([1], "list[str]"),
        ("abc", "float | Tensor"),
        ("abc", "Optional[Union[int, float]]"),
    ],
)
def test_values_that_do_not_fit_are_refused_by_key_and_value(value, annotation):
    with pytest.raises(UserError, match=r"some\.key="):
        check_type("some.key", value, annotation)
