"""Every YAML of every group composes into a config that the checker accepts."""

from dataclasses import replace
from pathlib import Path

import pytest
from conftest import ROOT, composed, pretend_store
from teacher_runs import teacher_for

from fer_lightning.check import check as checker
from fer_lightning.config.groups import options
from fer_lightning.data.synthetic import load
from fer_lightning.data.teacher import write_teacher

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
def _store_and_teacher_are_there(monkeypatch, tmp_path):
    pretend_store(monkeypatch)
    monkeypatch.chdir(tmp_path)
    write_teacher(Path("teacher.npz"), replace(teacher_for(load(rows=100)), data="da7a"))


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
