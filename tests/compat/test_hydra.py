"""Errors of this version of Hydra are recognised by their texts."""

import pytest
from conftest import composed
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from fer_lightning.compat.hydra import first_lines, read_fault, wants_search
from fer_lightning.config.messages import explain


@pytest.mark.parametrize(
    ("override", "kind", "key"),
    [
        ("model=emonet", "option", "model/emonet"),
        ("modle=emonext", "key", "modle"),
        ("seeed=1", "key", "seeed"),
        ("~seeed", "key", "seeed"),
        ("model.widht=3", "key", "model.widht"),
    ],
)
def test_a_rejected_override_has_its_reason(override, kind, key):
    with pytest.raises(HydraException) as error:
        composed(override)
    fault = read_fault(error.value)
    assert (fault.kind, fault.key or fault.subject) == (kind, key)


def test_the_file_of_a_fault_is_found():
    error = HydraException("In 'experiment/mine': Could not find 'model/emonet'\n\nAvailable options:\n\tresemotenet\n")
    assert read_fault(error).file == "experiment/mine"
    assert read_fault(error).options == ["resemotenet"]


def test_an_interval_without_a_search_is_recognised():
    words = OverridesParser.create().parse_overrides(["optim.lr=interval(0.01,0.1)"])
    with pytest.raises(HydraException) as error:
        BasicSweeper.split_arguments(words, None)
    assert wants_search(error.value)
    assert explain(error.value).endswith("Add sweep=search.")


def test_the_list_of_folders_is_dropped():
    with pytest.raises(HydraException) as error:
        composed("model=emonet")
    assert "Config search path" in str(error.value)
    assert "search path" not in first_lines(error.value)
