"""The checker reads from sources the same signatures that Python reports for the classes."""

import inspect

import pytest
from hydra.utils import get_object

from fer_lightning.check.annotations import TargetNotFound, signature
from fer_lightning.check.check import check_node, check_type
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


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("nowhere.Thing", "'nowhere' is not installed"),
        ("fer_lightning.losses.focal.Fokal", "Did you mean Focal"),
        ("fer_lightning.losses.focl.Focal", "Did you mean focal"),
        ("torch.no.such.Module", "does not exist"),
    ],
)
def test_a_target_that_is_nowhere_is_told(target, words):
    with pytest.raises(TargetNotFound, match=words):
        signature(target)


def test_a_module_with_a_syntax_error_is_named_with_its_line(tmp_path, monkeypatch):
    (tmp_path / "ideas").mkdir()
    (tmp_path / "ideas" / "__init__.py").touch()
    (tmp_path / "ideas" / "poly.py").write_text("import math\n\nclass Poly(:\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(TargetNotFound, match=r"ideas/poly\.py, line 3: invalid syntax\. Fix this line\."):
        signature("ideas.poly.Poly")


def test_an_option_without_a_class_says_what_its_yaml_lacks():
    with pytest.raises(UserError, match=r"loss=.*does not name a class\..*_target_: fer_lightning\.losses\.\*"):
        check_node("loss", {"epsilon": 1.0}, set())


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
