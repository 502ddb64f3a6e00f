"""The checker reads from sources the same signatures that Python reports for the classes."""

import inspect

import pytest
from conftest import composed
from hydra.utils import get_object
from omegaconf import open_dict

from fer_lightning.check.allowed_targets import refuse_foreign_targets
from fer_lightning.check.annotations import TargetNotFound, signature
from fer_lightning.check.check import FEED_KEYS, _smallest_input, check, check_node, check_type
from fer_lightning.errors import UserError
from fer_lightning.runs.trained_folder import faces_of
from fer_lightning.training.datamodule import FERDataModule

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


def module_with(tmp_path, monkeypatch, text: str, name: str) -> str:
    """Return the dotted name of a module with this text, in a package that is not imported."""
    package = tmp_path / name
    package.mkdir()
    (package / "__init__.py").write_text("from .mine import Mine as Exported\nfrom torch import load\n")
    (package / "mine.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    return f"{name}.mine"


BASES = """
import typing as t
import torch.nn as other
from torch import nn
from torch.nn.modules.loss import CrossEntropyLoss
from nowhere import Unknown

class Mine(nn.CrossEntropyLoss): pass
class Renamed(other.CrossEntropyLoss): pass
class CrossEntropyLoss(CrossEntropyLoss): pass
class Second(t.Generic[int], Mine): pass
class Plain(nn.Module): smallest_input = {"": 96}
class Derived(Plain): pass
class Computed(nn.Module): smallest_input = {"": 32 * 2}
class Number(nn.Module): smallest_input = 96
class Dict(nn.Module): smallest_input: dict = dict()
class Open(Unknown): pass
class Typed(nn.Module):
    def __init__(self, depth: 'int' = 3, mode: t.Literal['a', -1] = 'a', n: t.Optional['int'] = None,
                 sides: t.Tuple[int, ...] = (1,)): pass
def mine(logits, target): pass
"""


@pytest.mark.parametrize("name", ["Mine", "Renamed", "Second"])
def test_keywords_of_a_base_are_followed_through_reexports(name, tmp_path, monkeypatch):
    module = module_with(tmp_path, monkeypatch, BASES, "bases")
    check_node("loss", {"_target_": f"{module}.{name}", "label_smoothing": 0.1}, set())
    with pytest.raises(UserError, match=r"no key 'label_smothing'\. Did you mean loss\.label_smoothing"):
        check_node("loss", {"_target_": f"{module}.{name}", "label_smothing": 0.1}, set())


def test_a_base_that_cannot_be_read_accepts_any_keyword_and_a_module_none(tmp_path, monkeypatch):
    module = module_with(tmp_path, monkeypatch, BASES, "bases_open")
    for name in ("Open", "CrossEntropyLoss"):
        check_node("loss", {"_target_": f"{module}.{name}", "anything": 0.1}, set())
    with pytest.raises(UserError, match=r"It does not have keys"):
        check_node("loss", {"_target_": f"{module}.Plain", "anything": 0.1}, set())


def test_a_package_exports_the_classes_of_its_modules_and_of_no_other_package(tmp_path, monkeypatch):
    package, _, _ = module_with(tmp_path, monkeypatch, BASES, "bases_exported").partition(".")
    assert "label_smoothing" in signature(f"{package}.Exported").parameters
    assert signature("torch.optim.RMSprop") == signature("torch.optim.rmsprop.RMSprop")
    for target, words in (
        (f"{package}.load", r"does not define 'load'\. Its classes and functions: Exported\."),
        ("torch.optim.RMSpro", r"Did you mean RMSprop\?"),
    ):
        with pytest.raises(TargetNotFound, match=words):
            signature(target)


def test_a_function_for_a_class_is_named(tmp_path, monkeypatch):
    module = module_with(tmp_path, monkeypatch, BASES, "bases_function")
    with pytest.raises(UserError, match=r"loss\._target_=.*mine is a function.* argument logits; loss needs a class"):
        check_node("loss", {"_target_": f"{module}.mine"}, {"num_classes"})


@pytest.mark.parametrize(
    ("key", "value", "allowed"),
    [
        ("depth", "deep", "a whole number"),
        ("mode", "c", "one of 'a', -1"),
        ("n", "x", "a whole number or null"),
        ("sides", [1, "x"], "a list, each item a whole number"),
    ],
)
def test_annotations_in_other_spellings_are_checked(key, value, allowed, tmp_path, monkeypatch):
    module = module_with(tmp_path, monkeypatch, BASES, f"spellings_{key}")
    fits = {"depth": 1, "mode": -1, "n": None, "sides": [1, 2, 3]}
    check_node("model", {"_target_": f"{module}.Typed", **fits}, set())
    with pytest.raises(UserError, match=rf"model\.{key}=.*: must be {allowed}\."):
        check_node("model", {"_target_": f"{module}.Typed", **fits, key: value}, set())


@pytest.mark.parametrize("name", ["Computed", "Number", "Dict", "Plain", "Derived"])
def test_the_smallest_input_of_a_class_is_read_or_its_form_is_named(name, tmp_path, monkeypatch):
    module = module_with(tmp_path, monkeypatch, BASES, f"smallest_{name.lower()}")
    if name in ("Plain", "Derived"):
        assert _smallest_input({"_target_": f"{module}.{name}"}) == {"": 96}
        return
    with pytest.raises(UserError, match=rf"\.{name}: its smallest_input must be a mapping .*such as {{\"\": 32}}"):
        _smallest_input({"_target_": f"{module}.{name}"})


def test_a_data_source_may_leave_out_the_keys_of_the_batches():
    cfg = composed("data=synthetic", "data.rows=300")
    with open_dict(cfg):
        for key in set(FEED_KEYS) - {"split"}:
            del cfg.data[key]
    check(cfg)
    defaults = inspect.signature(FERDataModule).parameters
    assert {key: cfg.data[key] for key in FEED_KEYS} == {key: defaults[key].default for key in FEED_KEYS}
    table, split = faces_of(cfg.data)
    assert (len(table.labels), split.name) == (300, "official")


def test_the_name_of_the_function_of_a_data_source_is_in_the_message():
    with pytest.raises(UserError, match=r"data\._target_=.*\.read: not allowed here.*name it load\."):
        refuse_foreign_targets({"data": {"_target_": "fer_lightning.data.mine.read"}})
