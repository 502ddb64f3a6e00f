"""Every YAML of every group composes into a config that the checker accepts."""

import pytest
from conftest import ROOT, composed, pretend_store

from fer_lightning.check import check as checker
from fer_lightning.config.groups import options

CONF = ROOT / "conf"
GROUPS = (
    "data",
    "model",
    "stn",
    "augment",
    "loss",
    "sampler",
    "optim",
    "schedule",
    "trainer",
    "callbacks",
    "logger",
)
MODIFIERS = ("experiment", "scale", "debug")
OPTIONS = [(group, option) for group in (*GROUPS, *MODIFIERS) for option in options(group)]


@pytest.fixture(autouse=True)
def _store_is_there(monkeypatch):
    pretend_store(monkeypatch)


@pytest.mark.parametrize(("group", "option"), OPTIONS, ids=lambda value: str(value))
def test_option_composes_and_passes_the_check(group, option):
    checker.check(composed(f"{group}={option}"))


def test_default_composes():
    assert checker.check(composed()) == []


def test_emonext_brings_its_stn_and_loss():
    cfg = composed("model=emonext")
    assert cfg.stn._target_.endswith("EmoNeXtSTN")
    assert (cfg.loss._target_.rpartition(".")[2], cfg.loss.smoothing) == ("LabelSmoothing", 0.2)


def test_the_command_line_wins_over_what_emonext_brings():
    cfg = composed("model=emonext", "stn=none", "loss=weighted")
    assert cfg.stn._target_.endswith("Identity")
    assert cfg.loss._target_.startswith("fer_lightning.losses.weighted.")


def test_double_correction_is_warned_of():
    assert "twice" in checker.check(composed("sampler=weighted", "loss=weighted"))[0]


def test_muon_with_convnext_gives_a_warning():
    assert "optim=adamw" in checker.check(composed("model=emonext", "optim=muon"))[0]
    assert checker.check(composed("model=whitened_cnn", "optim=muon")) == []
