"""Comparison of a sweep's arms: metrics, differences from the baseline, verdicts. This module does not import torch.

There are up to four families of comparisons. Holm's correction is applied to each family separately:

- accuracy of every arm against the baseline
- mean recall of every arm against the baseline
- main effects on accuracy, for a full factorial design
- main effects on mean recall, for a full factorial design

All verdicts are based on all test rows. Clean rows, macro-F1 and single classes have intervals, but no verdict.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from fer_lightning.errors import UserError
from fer_lightning.report.arms import BINS, Ablation, Arm, BySeed, Discordance, Estimate
from fer_lightning.report.factors import arm_names, factors, main_effects
from fer_lightning.report.overfitting import overfitting
from fer_lightning.report.sweep_runs import Run, SharedTestRows, Sweep
from fer_lightning.statistics import calibration, metrics, resampling
from fer_lightning.statistics.metrics import LABEL_METRICS, RowOutcomes
from fer_lightning.statistics.resampling import interval, mean_over_seeds, resampled
from fer_lightning.statistics.significance import (
    Difference,
    corrected,
    difference_of_means,
    mcnemar,
    only_one_right,
    two_sided_p,
)

JUDGED = ("acc", "recall_mean")  # metrics that get a verdict
OVERFITTING = ("gap_best", "gap_last", "ce_rise")  # overfitting measures that are compared with the baseline
RESAMPLES = 10_000  # smallest p is then 0.0002, which Holm's correction can still reject among 250 comparisons


def baseline_of(sweep: Sweep, wanted: str | None) -> str:
    """Return the key of the baseline: `wanted`, or the first arm of the sweep. Raise UserError for an unknown arm."""
    if wanted is None:
        return sweep.arms[0]
    if wanted not in sweep.arms:
        raise UserError(
            f"baseline={wanted}: {sweep.folder} has no such arm. Choose one of its arms: {', '.join(sweep.arms)}."
        )
    return wanted


def analyse(sweep: Sweep, baseline: str) -> Ablation | None:
    """Compare the arms with finished runs; None if no run has finished."""
    runs = runs_by_arm(sweep, baseline)
    if not runs:
        return None
    rows, has_baseline = runs[0][0].rows, runs[0][0].arm == baseline
    sets = {"all": np.ones(len(rows.labels), bool), "clean": rows.clean}
    sets = {name: mask for name, mask in sets.items() if mask.any()}
    measured = {name: _Measured(rows, mask, runs) for name, mask in sets.items()}
    cells = factors([members[0].overrides for members in runs]) if has_baseline else []
    names = arm_names([members[0].arm for members in runs], cells)
    arms = [
        _describe(name, rows, measured, members, index)
        for index, (name, members) in enumerate(zip(names, runs, strict=True))
    ]
    if not has_baseline:
        return Ablation(rows, sets, arms, asked=baseline, baseline="", effects=[])
    arms = [arms[0], *_compare(rows, measured, arms)]
    return Ablation(rows, sets, arms, baseline, names[0], main_effects(cells, *measured["all"].judged()))


def runs_by_arm(sweep: Sweep, baseline: str) -> list[list[Run]]:
    """Return the finished runs of each arm by seed, the baseline first, then in the order of the sweep."""
    by_arm: dict[str, list[Run]] = {}
    for run in sorted(sweep.done, key=lambda run: run.arm != baseline):
        by_arm.setdefault(run.arm, []).append(run)
    return [sorted(members, key=lambda run: (run.seed is None, run.seed)) for members in by_arm.values()]


class _Measured:
    """Metrics of all networks on one set of rows, and resamples of the arms' means."""

    def __init__(self, rows: SharedTestRows, mask: np.ndarray, runs: list[list[Run]]) -> None:
        answers = [run.answers for members in runs for run in members]
        predicted, confidence, likelihood = (
            np.array([getattr(one, name)[mask] for one in answers])
            for name in ("predicted", "confidence", "likelihood")
        )
        outcomes = RowOutcomes(rows.labels[mask], predicted, confidence, likelihood, len(rows.classes))
        ends = np.cumsum([len(members) for members in runs])
        self.networks = [range(end - len(members), end) for end, members in zip(ends, runs, strict=True)]
        self.seeds = [[run.seed for run in members] for members in runs]
        self.whole = outcomes.metrics((*LABEL_METRICS, "recall", "ece", "ce"))
        self.samples = {
            name: mean_over_seeds(values, self.networks, self.seeds) for name, values in _resampled(outcomes).items()
        }

    def of(self, name: str, arm: int) -> np.ndarray:
        """Return the metric of each network of the arm."""
        return self.whole[name][self.networks[arm]]

    def by_seed(self, name: str, arm: int) -> dict[int | None, float]:
        return dict(zip(self.seeds[arm], self.of(name, arm).tolist(), strict=True))

    def estimate(self, name: str, arm: int) -> Estimate:
        return _estimate(self.of(name, arm), self.samples[name][:, arm])

    def recall(self, arm: int) -> list[Estimate]:
        values, samples = self.of("recall", arm), self.samples["recall"][:, arm]
        return [_estimate(values[:, k], samples[:, k]) for k in range(values.shape[1])]

    def difference(self, name: str, arm: int) -> Difference:
        """Return the arm's difference from the baseline, without Holm's correction."""
        value, samples = self._from_baseline(name, arm)
        return Difference(float(value), *interval(samples), two_sided_p(samples))

    def recall_differences(self, arm: int) -> list[Difference]:
        values, samples = self._from_baseline("recall", arm)
        return [Difference(float(v), *interval(samples[:, k]), float("nan")) for k, v in enumerate(values)]

    def judged(self) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """Return the means (A,) and their resamples (R, A) of the metrics that get a verdict, by name."""
        arms = range(len(self.networks))
        means = {name: np.array([self.of(name, arm).mean() for arm in arms]) for name in JUDGED}
        return means, {name: self.samples[name] for name in JUDGED}

    def _from_baseline(self, name: str, arm: int) -> tuple[np.ndarray, np.ndarray]:
        value = self.of(name, arm).mean(axis=0) - self.of(name, 0).mean(axis=0)
        return value, self.samples[name][:, arm] - self.samples[name][:, 0]


def _resampled(outcomes: RowOutcomes) -> dict[str, np.ndarray]:
    """Return resampled metrics; macro-F1 gets fewer resamples, because it takes most of the time and gets no p."""
    few = resampled(outcomes, ("f1_macro",), min(RESAMPLES, resampling.RESAMPLES))
    return few | resampled(outcomes, (*JUDGED, "recall"), RESAMPLES)


def _describe(name: str, rows: SharedTestRows, measured: dict[str, _Measured], runs: list[Run], index: int) -> Arm:
    """Return the results of an arm without its differences from the baseline."""
    answers = [run.answers for run in runs]
    everything = measured["all"]
    return Arm(
        key=runs[0].arm,
        name=name,
        runs=runs,
        metrics={of: {metric: one.estimate(metric, index) for metric in LABEL_METRICS} for of, one in measured.items()},
        recall=everything.recall(index),
        overfitting=_estimates([overfitting(run) for run in runs]),
        confusion=sum(metrics.confusion_matrix(rows.labels, one.predicted, len(rows.classes)) for one in answers),
        reliability=calibration.reliability(
            np.concatenate([one.confidence for one in answers]).astype(float),
            np.concatenate([one.predicted == rows.labels for one in answers]),
            BINS,
        ),
        calibration={metric: _estimate(everything.of(metric, index)) for metric in ("ece", "ce")},
    )


def _estimate(values: np.ndarray, samples: np.ndarray | None = None) -> Estimate:
    """Return the estimate of an arm from its networks' values (M,); `samples` (R,) are of a metric from 0 to 1."""
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")
    ends = () if samples is None else interval(np.clip(samples, 0, 1))
    return Estimate(float(np.mean(values)), deviation, *ends)


def _estimates(runs: list[dict[str, float]]) -> dict[str, Estimate]:
    """Return the estimate of each value that all runs have, by name."""
    names = [name for name in runs[0] if all(name in run for run in runs)]
    return {name: _estimate(np.array([run[name] for run in runs])) for name in names}


def _compare(rows: SharedTestRows, measured: dict[str, _Measured], arms: list[Arm]) -> list[Arm]:
    """Return the arms after the first with their differences from it; Holm's correction is applied over the arms."""
    everything, baseline, others = measured["all"], arms[0], range(1, len(arms))
    differences = {
        name: [{metric: one.difference(metric, arm) for metric in LABEL_METRICS} for arm in others]
        for name, one in measured.items()
    }
    differences["all"] = _correct(differences["all"], JUDGED)
    seeds = _correct([_over_seeds(everything, arm) for arm in others], JUDGED)
    overfitting_differences = _correct(
        [_overfitting_differences(baseline.runs, arms[arm].runs) for arm in others], OVERFITTING
    )
    return [
        replace(
            arms[arm],
            differences={name: of_arms[arm - 1] for name, of_arms in differences.items()},
            recall_differences=everything.recall_differences(arm),
            discordance=_discordance(rows, baseline.runs, arms[arm].runs),
            by_seed={name: BySeed(_each_seed(everything, name, arm), one) for name, one in seeds[arm - 1].items()},
            overfitting_differences=overfitting_differences[arm - 1],
        )
        for arm in others
    ]


def _correct(by_arm: Sequence[dict[str, Difference]], names: Sequence[str]) -> list[dict[str, Difference]]:
    """Return the same differences with Holm's correction over the arms, for each of these names separately."""
    result = [dict(of_arm) for of_arm in by_arm]
    for name in names:
        family = [of_arm for of_arm in result if name in of_arm]
        for of_arm, one in zip(family, corrected([of_arm[name] for of_arm in family]), strict=True):
            of_arm[name] = one
    return result


def _over_seeds(measured: _Measured, arm: int) -> dict[str, Difference]:
    """Return the arm's differences from the baseline with the seeds as the only source of variation."""
    return {name: difference_of_means(measured.by_seed(name, 0), measured.by_seed(name, arm)) for name in JUDGED}


def _each_seed(measured: _Measured, name: str, arm: int) -> dict[int | None, float]:
    """Return the difference from the baseline for each seed that both arms have."""
    before, after = measured.by_seed(name, 0), measured.by_seed(name, arm)
    return {seed: after[seed] - before[seed] for seed in after if seed in before}


def _overfitting_differences(baseline: Sequence[Run], arm: Sequence[Run]) -> dict[str, Difference]:
    """Return the differences of the overfitting measures over seeds; {} if a run has no measures."""
    before, after = ({run.seed: overfitting(run) for run in runs} for runs in (baseline, arm))
    if not all((*before.values(), *after.values())):
        return {}
    return {
        name: difference_of_means(*({seed: one[name] for seed, one in side.items()} for side in (before, after)))
        for name in OVERFITTING
    }


def _discordance(rows: SharedTestRows, baseline: Sequence[Run], arm: Sequence[Run]) -> list[Discordance]:
    """Return one entry for each seed that both arms have."""
    others = {run.seed: run for run in baseline}
    entries = []
    for run in arm:
        if run.seed is not None and run.seed in others:
            counts = only_one_right(rows.labels, others[run.seed].answers.predicted, run.answers.predicted)
            entries.append(Discordance(run.seed, *counts, mcnemar(*counts)))
    return entries
