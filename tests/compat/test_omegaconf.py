"""Errors of this version of OmegaConf are recognised by their texts."""

from dataclasses import dataclass
from enum import Enum

import pytest
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from fer_lightning.compat.hydra import read_fault


class Colour(Enum):
    red = "red"
    blue = "blue"


@dataclass
class Inner:
    colour: Colour = Colour.red
    count: int = 1
    share: float = 0.5
    shown: bool = True


@dataclass
class Outer:
    inner: Inner


@pytest.mark.parametrize(
    ("key", "value", "kind", "subject", "expected"),
    [
        ("colour", "green", "choice", "green", "[red, blue]"),
        ("count", "many", "type", "many", "a whole number"),
        ("share", "half", "type", "half", "a number"),
        ("nothing", 1, "key", "nothing", ""),
    ],
)
def test_a_rejected_value_has_its_reason(key, value, kind, subject, expected):
    config = OmegaConf.structured(Outer(Inner()))
    with pytest.raises(OmegaConfBaseException) as error:
        config.inner[key] = value
    fault = read_fault(error.value)
    assert (fault.kind, fault.subject, fault.expected) == (kind, subject, expected)
    assert fault.key == f"inner.{key}"
