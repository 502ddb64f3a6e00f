"""The finders of Lightning run on our parts, read no validation row, and end with a verdict."""

import numpy as np
import pytest
from conftest import TINY, composed
from export_runs import QUICKEST

from fer_lightning.compat.lightning import hide_notes
from fer_lightning.errors import UserError
from fer_lightning.training import finders
from fer_lightning.training.classifier import FERClassifier

BASE = (*(word for word in TINY if not word.startswith("model")), *QUICKEST)


@pytest.fixture(autouse=True)
def short(monkeypatch):
    hide_notes()
    monkeypatch.setattr(finders, "STEPS", 20)
    monkeypatch.setattr(finders, "LARGEST_BATCH", {"cpu": 8})

    def refuse(*_):
        raise AssertionError("a validation batch was read")

    monkeypatch.setattr(FERClassifier, "validation_step", refuse)


def test_the_rate_finder_tries_each_rate_and_ends_with_a_verdict(tmp_path, capsys):
    finders.find(composed(*BASE, "debug=lr_find"), tmp_path / "run")
    lines = (tmp_path / "run" / "lr_find.csv").read_text().splitlines()
    rates = [float(line.partition(",")[0]) for line in lines[1:]]
    assert rates[0] == pytest.approx(1e-5)
    assert rates == sorted(rates)
    assert rates[-1] > 0.1 or len(rates) < 20  # it may stop early, if the loss grows
    assert "Does optim.lr=0.05 fit?" in capsys.readouterr().out
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["lr_find.csv"]


@pytest.mark.slow
def test_the_batch_finder_names_a_size_that_was_tried(tmp_path, capsys, monkeypatch):
    tried = set()
    step = FERClassifier.training_step
    monkeypatch.setattr(
        FERClassifier,
        "training_step",
        lambda own, batch, index: tried.add(len(batch["target"])) or step(own, batch, index),
    )
    finders.find(composed(*BASE, "debug=batch_size", "data.batch_size=4"), tmp_path / "run")
    assert tried == {2, 4, 8}
    assert "8 rows: all sizes up to 8 were tried. data.batch_size is 4." in capsys.readouterr().out
    assert not list((tmp_path / "run").iterdir())


@pytest.mark.slow
def test_the_batch_finder_tries_the_largest_images(tmp_path, monkeypatch):
    sides, step = set(), FERClassifier.training_step
    monkeypatch.setattr(
        FERClassifier,
        "training_step",
        lambda own, batch, index: sides.add(batch["image"].shape[-1]) or step(own, batch, index),
    )
    config = composed(*BASE, "debug=batch_size", "data.start_size=32", "model.input_size=48")
    finders.find(config, tmp_path / "run")
    assert sides == {48}


def test_two_rates_in_one_optimiser_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"the optimiser has the learning rates 0\.05, 0\.12, and the finder tries one"):
        finders.find(composed(*BASE, "optim=muon", "debug=lr_find"), tmp_path / "run")


RATES = np.geomspace(1e-5, 1, 100)


def curve(fastest: float, noise: float = 0.05) -> np.ndarray:
    """Losses that fall from 2 to 1 around a rate, and grow above ten times this rate."""
    place = np.log10(RATES / fastest)
    losses = 2 - 1 / (1 + np.exp(-4 * place)) + np.maximum(place - 1, 0) ** 2
    return losses + noise * np.random.default_rng(0).standard_normal(len(losses))


@pytest.mark.parametrize("fastest", [0.001, 0.02])
def test_the_rate_of_the_fastest_fall_is_found_in_noise(fastest):
    assert 1 / finders.NEAR < finders.suggest_rate(RATES, curve(fastest)) / fastest < finders.NEAR


def test_the_fall_before_a_divergence_counts():
    losses = curve(0.01)
    losses[90:] = np.nan
    assert 1 / finders.NEAR < finders.suggest_rate(RATES, losses) / 0.01 < finders.NEAR


def test_without_a_fall_no_rate_is_suggested():
    assert finders.suggest_rate(RATES, np.full(100, 2.0)) is None
    assert finders.suggest_rate(RATES, np.linspace(2, 3, 100)) is None
    assert finders.suggest_rate(RATES, np.full(100, np.nan)) is None
    assert finders.suggest_rate(RATES[:10], np.linspace(2, 1, 10)) is None


def test_the_weights_of_another_run_are_the_start(tmp_path):
    with pytest.raises(UserError, match=r"model\.init=nowhere: no such folder"):
        finders.find(composed(*BASE, "model.init=nowhere", "debug=lr_find"), tmp_path / "run")


@pytest.mark.parametrize(
    ("current", "suggested", "verdict"),
    [
        (0.05, 0.03, "Yes: it is within a factor of 3"),
        (0.05, 0.001, "too high.\nNext: the same command without debug=lr_find, with optim.lr=0.001"),
        (0.001, 0.05, "It may be too low"),
        (0.05, None, "UNKNOWN: the loss falls at no learning rate.\nNext: python train.py debug=overfit"),
    ],
)
def test_a_rate_is_judged(current, suggested, verdict):
    assert verdict in finders.judge_rate(current, suggested)


def test_a_batch_size_is_judged():
    assert "512 rows do not fit" in finders.judge_batch_size(64, largest=256, limit=1024, rate=0.05)
    assert "data.batch_size=256 with optim.lr=0.2 " in finders.judge_batch_size(64, largest=256, limit=256, rate=0.05)
    assert "Next: data.batch_size=16 or less." in finders.judge_batch_size(64, largest=16, limit=1024, rate=0.05)
    untried = finders.judge_batch_size(2048, largest=1024, limit=1024, rate=0.05)
    assert "Larger ones were not tried.\nNext: keep data.batch_size=2048" in untried
