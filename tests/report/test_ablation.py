"""Results of a sweep's arms: computed by hand from the predictions, with verdicts that claim no more than is shown."""

import math

import numpy as np
import pytest
from sweep_folders import write_run, write_sweep

from fer_lightning.errors import UserError
from fer_lightning.evaluation.predictions import read_predictions
from fer_lightning.report import ablation as analysis
from fer_lightning.report.ablation import analyse, baseline_of
from fer_lightning.report.arms import Ablation
from fer_lightning.report.factors import factors
from fer_lightning.report.sweep_runs import read_sweep
from fer_lightning.report.verdicts import verdict
from fer_lightning.statistics.metrics import RowOutcomes
from fer_lightning.statistics.significance import Difference

SKILLS = {"plain": 0.0, "same": 0.0, "better": 0.5}


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch):
    monkeypatch.setattr(analysis, "RESAMPLES", 800)


def analysed(folder, baseline: str | None = None) -> Ablation:
    sweep = read_sweep(folder)
    return analyse(sweep, baseline_of(sweep, baseline))


def metrics_of(run, rows=slice(None)) -> dict:
    """The metrics of one network on these rows."""
    metrics = RowOutcomes.of(run.labels[rows], run.probabilities[rows]).metrics()
    return {name: values[0] for name, values in metrics.items()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_sweep(tmp_path_factory.mktemp("sweeps") / "sweep", SKILLS, rows=900)


def test_figures_are_means_of_the_runs_own(folder):
    ablation = analysed(folder)
    assert [arm.name for arm in ablation.arms] == list(SKILLS)
    for arm in ablation.arms:
        runs = [read_predictions(run.folder / "predictions.csv") for run in arm.runs]
        for name, rows in ablation.sets.items():
            each = [metrics_of(run, rows) for run in runs]
            for metric, estimate in arm.metrics[name].items():
                assert estimate.mean == pytest.approx(np.mean([one[metric] for one in each]))
                assert estimate.deviation == pytest.approx(np.std([one[metric] for one in each], ddof=1))
                assert estimate.low < estimate.mean < estimate.high
        metrics = [metrics_of(run) for run in runs]
        for name in ("ece", "ce"):
            assert arm.calibration[name].mean == pytest.approx(np.mean([one[name] for one in metrics]), rel=1e-5)
        assert [one.mean for one in arm.recall] == pytest.approx(np.mean([f["recall"] for f in metrics], axis=0))
        assert (arm.confusion == sum(run.confusion() for run in runs)).all()
        assert arm.reliability[:, 0].sum() == 2700


def test_a_better_arm_is_told_from_an_equal_one(folder):
    same, better = analysed(folder).compared
    found = better.differences["all"]["acc"]
    assert found.shown
    assert found.value == pytest.approx(
        better.metrics["all"]["acc"].mean - analysed(folder).arms[0].metrics["all"]["acc"].mean
    )
    assert not same.differences["all"]["acc"].shown
    assert found.corrected == pytest.approx(2 * found.p)
    assert math.isnan(better.differences["clean"]["acc"].corrected)


def test_seeds_are_described_one_by_one(folder):
    arm = analysed(folder).arms[2]
    base = [read_predictions(folder / f"plain_seed-{seed}" / "predictions.csv") for seed in range(3)]
    others = [read_predictions(folder / f"better_seed-{seed}" / "predictions.csv") for seed in range(3)]
    for found, a, b in zip(arm.discordance, base, others, strict=True):
        first, second = a.predicted == a.labels, b.predicted == b.labels
        assert (found.only_baseline, found.only_arm) == ((first & ~second).sum(), (second & ~first).sum())


def test_seeds_that_go_the_other_way_are_counted(folder):
    _, same, better = analysed(folder).arms
    assert better.by_seed["acc"].against == 0
    each = list(same.by_seed["acc"].each.values())
    assert np.mean(each) == pytest.approx(same.differences["all"]["acc"].value)
    assert same.by_seed["acc"].against == sum(np.sign(one) != np.sign(np.mean(each)) for one in each)
    assert better.by_seed["acc"].overall.low > 0
    words = verdict(Difference(-0.01, -0.02, -0.005, 0.01, 0.02), 3, 2, against=1)
    assert words == "lower by 1.0 points [0.5, 2.0] for these 3 seeds, though not lower for 1 of them"


def test_overfitting_is_read_from_the_curves(tmp_path):
    run = write_run(tmp_path / "seed-0")
    (run / "metrics.csv").write_text(
        "epoch,val/acc,val/ce,train_eval/acc\n1,0.5,1.2,0.5\n2,0.64,1.0,0.7\n3,0.64,1.1,0.8\n4,0.6,1.35,0.9\n"
    )
    (arm,) = analysed(tmp_path).arms
    found = {name: estimate.mean for name, estimate in arm.overfitting.items()}
    expected = {"gap_best": 0.06, "gap_last": 0.3, "ce_rise": 0.35, "ce_epoch": 2, "best_epoch": 2, "epochs": 4}
    assert found == pytest.approx(expected)


def test_less_overfitting_is_shown_over_seeds(folder):
    base, _, better = analysed(folder).arms
    gap = better.overfitting_differences["gap_last"]
    assert gap.shown
    assert gap.value == pytest.approx(better.overfitting["gap_last"].mean - base.overfitting["gap_last"].mean)
    assert gap.low < gap.value < gap.high < 0


def test_runs_without_curves_are_compared_all_the_same(tmp_path):
    folder = write_sweep(tmp_path / "sweep", {"plain": 0, "ensemble": 0.4}, seeds=(0, 1))
    (folder / "ensemble_seed-0" / "metrics.csv").unlink()
    ablation = analysed(folder)
    assert ablation.arms[1].overfitting == {}
    assert ablation.compared[0].overfitting_differences == {}


def test_another_baseline_may_be_chosen(folder):
    ablation = analysed(folder, "better")
    assert ablation.baseline == "better"
    assert [arm.name for arm in ablation.compared] == ["plain", "same"]
    assert ablation.compared[0].differences["all"]["acc"].value < 0
    with pytest.raises(UserError, match=r"baseline=best: .* has no such arm\. .* its arms: plain, same, better\."):
        analysed(folder, "best")


def test_without_a_finished_baseline_nothing_is_compared(tmp_path):
    folder = write_sweep(tmp_path / "sweep", {"plain": 0, "stn": 0.1}, seeds=(0,))
    (folder / "plain_seed-0" / "summary.json").write_text('{"status": "failed"}')
    ablation = analysed(folder)
    assert (ablation.asked, ablation.baseline, ablation.compared) == ("plain", "", [])
    assert [arm.name for arm in ablation.arms] == ["stn"]


def test_without_a_finished_run_there_is_nothing_to_analyse(tmp_path):
    write_run(tmp_path / "seed-0", status="running")
    assert analysed(tmp_path) is None


def test_without_clean_rows_there_is_no_set_of_them(tmp_path):
    path = write_run(tmp_path / "seed-0") / "predictions.csv"
    path.write_text(path.read_text().replace(",true,true,", ",true,false,"))
    assert list(analysed(tmp_path).sets) == ["all"]


def test_combinations_are_recognised():
    assert factors([["stn=none", "seed=0"], ["stn=affine", "seed=0"]]) == []
    assert factors([["stn=none", "loss=a"], ["stn=affine"]]) == []
    cells = factors([["x=1", "stn=none", "loss=a", "seed=0"], ["x=1", "stn=affine", "loss=b", "seed=1"]])
    assert cells == [{"stn": "none", "loss": "a"}, {"stn": "affine", "loss": "b"}]


def factorial(path, without: str = ""):
    """2 x 3 arms of which augmentation helps."""
    overrides = {
        f"augment-{a}_loss-{b}": [f"augment={a}", f"loss={b}"]
        for a in ("none", "strong")
        for b in ("ce", "focal", "poly")
    }
    overrides.pop(without, None)
    skills = {name: 0.5 * ("strong" in name) for name in overrides}
    return write_sweep(path / "sweep", skills, seeds=(0, 1), overrides=overrides, rows=700)


def test_main_effects_are_means_over_pairs(tmp_path):
    ablation = analysed(factorial(tmp_path))
    assert [arm.name for arm in ablation.arms] == [
        "baseline",
        "loss=focal",
        "loss=poly",
        "augment",
        "augment + loss=focal",
        "augment + loss=poly",
    ]
    means = [arm.metrics["all"]["acc"].mean for arm in ablation.arms]
    effects = {(one.factor, one.level): one for one in ablation.effects}
    augment, focal = effects["augment", "strong"], effects["loss", "focal"]
    assert (augment.pairs, focal.pairs, len(effects)) == (3, 2, 3)
    assert augment.differences["acc"].value == pytest.approx(np.mean(means[3:]) - np.mean(means[:3]))
    assert focal.differences["acc"].value == pytest.approx((means[1] + means[4] - means[0] - means[3]) / 2)
    assert augment.differences["acc"].shown
    assert not focal.differences["acc"].shown


def test_half_a_factorial_has_no_main_effects(tmp_path):
    ablation = analysed(factorial(tmp_path, without="augment-strong_loss-poly"))
    assert ablation.effects == []
    assert ablation.arms[1].name == "loss=focal"


VERDICTS = {
    "shown": (Difference(0.012, 0.004, 0.020, 0.01, 0.02), 5, "higher by 1.2 points [0.4, 2.0] over 5 seeds"),
    "few seeds": (
        Difference(-0.012, -0.020, -0.004, 0.01, 0.02),
        3,
        "lower by 1.2 points [0.4, 2.0] for these 3 seeds",
    ),
    "one seed": (Difference(0.012, 0.004, 0.02, 0.01, 0.02), 1, "higher by 1.2 points [0.4, 2.0] for this one seed"),
    "not shown": (Difference(0.003, -0.005, 0.011, 0.4, 1.0), 3, "no difference shown: +0.3 [−0.5, +1.1]"),
    "corrected": (
        Difference(-0.012, -0.02, -0.001, 0.03, 0.12),
        3,
        "no difference shown after correction for 4 comparisons: −1.2 [−2.0, −0.1]",
    ),
    "nothing": (Difference(0.0, 0.0, 0.0, 1.0, 1.0), 5, "no difference shown: 0.0 [0.0, 0.0]"),
}


@pytest.mark.parametrize(("difference", "seeds", "words"), VERDICTS.values(), ids=VERDICTS)
def test_a_verdict_is_in_words(difference, seeds, words):
    assert verdict(difference, seeds, comparisons=4) == words
