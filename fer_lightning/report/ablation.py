"""Comparison of a sweep's arms: metrics, differences from the baseline, verdicts. This module does not import torch.

There are up to four families of comparisons. Holm's correction is applied to each family separately:

- accuracy of every arm against the baseline
- mean recall of every arm against the baseline
- main effects on accuracy, for a full factorial design
- main effects on mean recall, for a full factorial design

All verdicts are based on all test rows. Clean rows, macro-F1 and single classes have intervals, but no verdict.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from fer_lightning.errors import UserError
from fer_lightning.evaluation.paired import mcnemar
from fer_lightning.report.sweep_runs import Run, SharedTestRows, Sweep
from fer_lightning.statistics import metrics, resampling
from fer_lightning.statistics.bootstrap import interval
from fer_lightning.statistics.resampling import FEWEST_SEEDS, FIGURES, Difference, difference_of_means

SETS = ("all", "clean")
JUDGED = ("acc", "recall_mean")  # metrics that get a verdict
BINS = 10  # bins of confidence in the reliability diagram
FITTING = ("gap_best", "gap_last", "ce_rise")  # overfitting measures that are compared with the baseline


@dataclass(frozen=True)
class Estimate:
    """Mean over seeds, its standard deviation between seeds (NaN for one seed) and its 95 % interval."""

    mean: float
    deviation: float
    low: float = float("nan")
    high: float = float("nan")


@dataclass(frozen=True)
class Discordance:
    """Rows on which only one of two networks with the same seed is right, and p of the exact McNemar test."""

    seed: int
    only_baseline: int
    only_arm: int
    p: float


@dataclass(frozen=True)
class BySeed:
    """Difference of a metric from the baseline on all rows, with the seeds as the only source of variation.

    each     difference by seed, for the seeds that both arms have
    overall  Student's t over all seeds, Holm-corrected over the arms: an estimate of the result with other seeds
    """

    each: dict[int, float]
    overall: Difference

    @property
    def against(self) -> int:
        """Return the number of seeds whose difference does not have the sign of the mean difference."""
        return sum(one * self.overall.value <= 0 for one in self.each.values())


@dataclass(frozen=True)
class Arm:
    """A method and the results of its finished runs, one run per seed.

    key           its name in the sweep, the value of baseline
    name          its name on the page: `key`, or for combinations the differences from the baseline
    figures       metrics by set of rows and name, as in `statistics.FIGURES`
    differences   the same metrics minus the baseline's; {} for the baseline itself, or without a baseline
    recall        recall of each class, on all rows; recall_differences: the same minus the baseline's
    by_seed       differences of the judged metrics from the baseline for single seeds
    fitting       overfitting measures: `gap_best`, `gap_last` (accuracy on training rows minus validation accuracy, at
                  the selected and at the last epoch), `ce_rise` (rise of validation cross-entropy from its minimum to
                  the last epoch, in nats), `ce_epoch` (epoch of that minimum), `best_epoch`, `epochs`
    fitting_differences   differences of the first three from the baseline, by seed
    confusion     int64 (K, K), all seeds together, all rows
    reliability   (BINS, 3): rows, mean confidence and accuracy by confidence, all seeds together
    calibration   `ece` and `ce`
    """

    key: str
    name: str
    runs: list[Run]
    figures: dict[str, dict[str, Estimate]]
    differences: dict[str, dict[str, Difference]]
    recall: list[Estimate]
    recall_differences: list[Difference]
    discordance: list[Discordance]
    by_seed: dict[str, BySeed]
    fitting: dict[str, Estimate]
    fitting_differences: dict[str, Difference]
    confusion: np.ndarray
    reliability: np.ndarray
    calibration: dict[str, Estimate]

    @property
    def seeds(self) -> tuple[int | None, ...]:
        return tuple(run.seed for run in self.runs)


@dataclass(frozen=True)
class Effect:
    """Main effect of one level of a factor: the mean difference over all pairs of arms that differ only in it."""

    factor: str
    level: str
    reference: str
    pairs: int
    differences: dict[str, Difference]  # by name, on all rows


@dataclass(frozen=True)
class Ablation:
    """Results of all arms that have finished runs. The baseline is the first arm if it has a finished run.

    asked     the key of the baseline
    baseline  its name; "" if it has no finished run, so that nothing is compared
    """

    rows: SharedTestRows
    sets: dict[str, np.ndarray]
    arms: list[Arm]
    asked: str
    baseline: str
    effects: list[Effect]

    @property
    def compared(self) -> list[Arm]:
        return [arm for arm in self.arms if arm.differences]


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
    """Return the results of all arms with finished runs; None if no run has finished."""
    done = sorted(sweep.done, key=lambda run: run.arm != baseline)  # stable: else the order of the sweep
    if not done:
        return None
    rows = done[0].rows
    by_arm: dict[str, list[Run]] = {}
    for run in done:
        by_arm.setdefault(run.arm, []).append(run)
    runs = [sorted(members, key=lambda run: (run.seed is None, run.seed)) for members in by_arm.values()]
    known = next(iter(by_arm)) == baseline
    sets = {"all": np.ones(len(rows.labels), bool), "clean": rows.clean}
    measured = {name: _Measured(rows, mask, runs) for name, mask in sets.items() if mask.any()}
    differences = [_differences(measured, place) if known and place else {} for place in range(len(runs))]
    _correct(differences)
    by_seed = [
        {name: measured["all"].by_seed(name, a, runs) for name in JUDGED if differences[a]} for a in range(len(runs))
    ]
    _correct_by_seed(by_seed)
    fitting = [[_fitting(run) for run in members] for members in runs]
    fitting_differences = [_fitting_differences(runs, fitting, place) if known else {} for place in range(len(runs))]
    _correct_fitting(fitting_differences)
    names = _names([members[0] for members in runs]) if known else [members[0].arm for members in runs]
    arms = [
        Arm(
            key=members[0].arm,
            name=names[place],
            runs=members,
            figures={name: one.estimates(place) for name, one in measured.items()},
            differences=differences[place],
            recall=measured["all"].recall(place),
            recall_differences=measured["all"].recall_differences(place) if differences[place] else [],
            discordance=_discordance(rows, runs[0], members) if differences[place] else [],
            by_seed=by_seed[place],
            fitting=_estimates(fitting[place]),
            fitting_differences=fitting_differences[place],
            confusion=measured["all"].confusions[place],
            reliability=_reliability(rows, members),
            calibration=_estimates([_calibration(rows, run) for run in members]),
        )
        for place, members in enumerate(runs)
    ]
    effects = _effects(measured["all"], runs) if known else []
    sets = {name: sets[name] for name in measured}
    return Ablation(rows, sets, arms, asked=baseline, baseline=names[0] if known else "", effects=effects)


class _Measured:
    """Metrics of all networks on one set of rows, and their bootstrap resamples by arm."""

    def __init__(self, rows: SharedTestRows, mask: np.ndarray, runs: list[list[Run]]) -> None:
        labels, classes = rows.labels[mask], len(rows.classes)
        predicted = np.array([run.answers.predicted[mask] for members in runs for run in members])
        ends = np.cumsum([len(members) for members in runs])
        self.places = [list(range(end - len(members), end)) for end, members in zip(ends, runs, strict=True)]
        self.whole = resampling.figures(labels, predicted, classes)
        matrices = resampling.confusions(labels, predicted, classes)
        self.whole["recall"] = metrics.per_class(matrices)["recall"]
        self.confusions = [matrices[places].sum(axis=0) for places in self.places]
        seeds = [[run.seed for run in members] for members in runs]
        samples = resampling.resampled_figures(labels, predicted, classes, resampling.RESAMPLES)
        self.samples = {
            name: resampling.mean_over_seeds(values, self.places, seeds) for name, values in samples.items()
        }

    def mean(self, name: str, arm: int) -> Any:
        return self.whole[name][self.places[arm]].mean(axis=0)

    def estimates(self, arm: int) -> dict[str, Estimate]:
        return {name: _estimate(self.whole[name][self.places[arm]], self.samples[name][:, arm]) for name in FIGURES}

    def recall(self, arm: int) -> list[Estimate]:
        values, samples = self.whole["recall"][self.places[arm]], self.samples["recall"][:, arm]
        return [_estimate(values[:, k], samples[:, k]) for k in range(values.shape[1])]

    def recall_differences(self, arm: int) -> list[Difference]:
        values = self.mean("recall", arm) - self.mean("recall", 0)
        samples = self.samples["recall"][:, arm] - self.samples["recall"][:, 0]
        return [Difference(float(v), *interval(samples[:, k]), float("nan")) for k, v in enumerate(values)]

    def by_seed(self, name: str, arm: int, runs: list[list[Run]]) -> BySeed:
        before, after = (
            {run.seed: float(self.whole[name][i]) for run, i in zip(runs[a], self.places[a], strict=True)}
            for a in (0, arm)
        )
        each = {seed: after[seed] - before[seed] for seed in after if seed in before}
        return BySeed(each, difference_of_means(before, after))


def _estimate(values: np.ndarray, samples: np.ndarray | None = None) -> Estimate:
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")
    return Estimate(float(np.mean(values)), deviation, *(() if samples is None else interval(samples)))


def _estimates(runs: list[dict[str, float]]) -> dict[str, Estimate]:
    """Return the estimate of each value that all runs have, by name."""
    names = [name for name in runs[0] if all(name in run for run in runs)]
    return {name: _estimate(np.array([run[name] for run in runs])) for name in names}


def _differences(measured: dict[str, _Measured], arm: int) -> dict[str, dict[str, Difference]]:
    """Return the arm's differences from the baseline by set of rows and metric, without Holm's correction."""
    return {
        name: {
            figure: _difference(
                one.mean(figure, arm) - one.mean(figure, 0), one.samples[figure][:, arm] - one.samples[figure][:, 0]
            )
            for figure in FIGURES
        }
        for name, one in measured.items()
    }


def _difference(value: float, samples: np.ndarray) -> Difference:
    return Difference(float(value), *interval(samples), resampling.two_sided_p(samples))


def _correct(differences: list[dict[str, dict[str, Difference]]]) -> None:
    """Apply Holm's correction over the arms to the judged metrics on all rows, in place."""
    for figure in JUDGED:
        family = [of_arm["all"] for of_arm in differences if of_arm]
        for of_arm, one in zip(family, resampling.corrected([f[figure] for f in family]), strict=True):
            of_arm[figure] = one


def _correct_by_seed(by_seed: list[dict[str, BySeed]]) -> None:
    """Apply Holm's correction over the arms to the differences by seed, in place."""
    for figure in JUDGED:
        family = [of_arm for of_arm in by_seed if of_arm]
        for of_arm, one in zip(family, resampling.corrected([f[figure].overall for f in family]), strict=True):
            of_arm[figure] = BySeed(of_arm[figure].each, one)


def _fitting(run: Run) -> dict[str, float]:
    """Return the overfitting measures of a run; {} if metrics.csv lacks a column that they need."""
    history = run.history
    monitor, mode = run.summary.get("monitor", "val/acc"), run.summary.get("mode", "max")
    needed = {"epoch", "val/acc", "train_eval/acc", "val/ce", monitor}
    if not needed <= history.keys() or any(np.isnan(history[name]).all() for name in needed):
        return {}
    gap = history["train_eval/acc"] - history["val/acc"]
    best = int((np.nanargmax if mode == "max" else np.nanargmin)(history[monitor]))
    least = int(np.nanargmin(history["val/ce"]))
    return {
        "gap_best": gap[best],
        "gap_last": gap[-1],
        "ce_rise": history["val/ce"][-1] - history["val/ce"][least],
        "ce_epoch": history["epoch"][least],
        "best_epoch": history["epoch"][best],
        "epochs": history["epoch"][-1],
    }


def still_learning(run: Run) -> bool:
    """Return True if the selected epoch is in the last tenth of the epochs: the run may have ended too soon."""
    fitting = _fitting(run)
    return bool(fitting) and fitting["best_epoch"] > 0.9 * fitting["epochs"]


def _fitting_differences(
    runs: list[list[Run]], fitting: list[list[dict[str, float]]], arm: int
) -> dict[str, Difference]:
    """Return the arm's differences from the baseline over seeds, without Holm's correction."""
    if not arm or not all(fitting[0]) or not all(fitting[arm]):
        return {}
    return {
        name: difference_of_means(
            *({run.seed: f[name] for run, f in zip(runs[a], fitting[a], strict=True)} for a in (0, arm))
        )
        for name in FITTING
    }


def _correct_fitting(differences: list[dict[str, Difference]]) -> None:
    for name in FITTING:
        family = [of_arm for of_arm in differences if of_arm]
        for of_arm, one in zip(family, resampling.corrected([f[name] for f in family]), strict=True):
            of_arm[name] = one


def _discordance(rows: SharedTestRows, baseline: list[Run], arm: list[Run]) -> list[Discordance]:
    """Return one entry for each seed that both arms have."""
    others = {run.seed: run for run in baseline}
    found = []
    for run in arm:
        if run.seed is not None and run.seed in others:
            here, there = (one.answers.predicted == rows.labels for one in (run, others[run.seed]))
            only_baseline, only_arm = int((there & ~here).sum()), int((here & ~there).sum())
            found.append(Discordance(run.seed, only_baseline, only_arm, mcnemar(only_baseline, only_arm)))
    return found


def _reliability(rows: SharedTestRows, runs: list[Run]) -> np.ndarray:
    confidence = np.concatenate([run.answers.confidence for run in runs]).astype(float)
    right = np.concatenate([run.answers.predicted == rows.labels for run in runs])
    place = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    counts = np.bincount(place, minlength=BINS)
    sums = [np.bincount(place, weights=values, minlength=BINS) for values in (confidence, right)]
    with np.errstate(invalid="ignore"):
        return np.column_stack([counts, *(total / counts for total in sums)])


def _calibration(rows: SharedTestRows, run: Run) -> dict[str, float]:
    """Return `ece` and `ce` as `metrics.FIGURES` defines them, on all rows."""
    answers, size = run.answers, metrics.BINS
    confidence = answers.confidence.astype(float)
    place = np.clip(np.ceil(confidence * size).astype(int) - 1, 0, size - 1)
    surplus = np.bincount(place, weights=(answers.predicted == rows.labels) - confidence, minlength=size)
    likelihood = np.maximum(answers.likelihood.astype(float), metrics.LEAST_PROBABILITY)
    return {"ece": float(np.abs(surplus).sum() / len(place)), "ce": float(-np.log(likelihood).mean())}


def factors(arms: Sequence[Sequence[str]]) -> list[dict[str, str]]:
    """Return, for each arm, the value of each override that varies between arms.

    The result is [] unless two or more overrides vary and every arm sets all of them.

    arms  the overrides `key=value` of each arm
    """
    chosen = [dict(o.split("=", 1) for o in arm if "=" in o and not o.startswith(("seed=", "hydra."))) for arm in arms]
    keys = [key for key in chosen[0] if len({arm.get(key) for arm in chosen}) > 1]
    if len(keys) < 2 or any(key not in arm for arm in chosen for key in keys):
        return []
    return [{key: arm[key] for key in keys} for arm in chosen]


def _levels(cells: list[dict[str, str]]) -> dict[str, list[str]]:
    """Return the levels of each factor, the baseline's level first."""
    return {key: list(dict.fromkeys(cell[key] for cell in cells)) for key in cells[0]}


def _names(runs: Sequence[Run]) -> list[str]:
    """Return the arms' names; an arm of a factorial design is named by its differences from the first arm.

    Examples: `stn + loss`, or `stn=affine` if a factor has more than two levels.
    """
    keys, cells = [run.arm for run in runs], factors([run.overrides for run in runs])
    if not cells:
        return keys
    levels, base = _levels(cells), cells[0]
    names = [
        " + ".join(key if len(levels[key]) == 2 else f"{key}={cell[key]}" for key in cell if cell[key] != base[key])
        for cell in cells
    ]
    return ["baseline", *names[1:]] if len(set(names)) == len(names) else keys


def _effects(measured: _Measured, runs: list[list[Run]]) -> list[Effect]:
    """Return the effect of every level except the baseline's; [] unless the finished arms form a full factorial."""
    cells = factors([members[0].overrides for members in runs])
    levels = _levels(cells) if cells else {}
    place = {tuple(cell.values()): arm for arm, cell in enumerate(cells)}
    if not cells or not len(place) == len(runs) == prod(map(len, levels.values())):
        return []
    contrasts = []
    for axis, (factor, (reference, *others)) in enumerate(levels.items()):
        for level in others:
            weights = np.zeros(len(runs))
            for cell, arm in place.items():
                weights[arm] = {level: 1, reference: -1}.get(cell[axis], 0)
            contrasts.append((factor, level, reference, weights / (weights > 0).sum()))
    weights = np.array([contrast[-1] for contrast in contrasts])
    families = []
    for figure in JUDGED:
        means = np.array([measured.mean(figure, arm) for arm in range(len(runs))])
        families.append(resampling.differences(weights @ means, measured.samples[figure] @ weights.T))
    return [
        Effect(factor, level, reference, int((w > 0).sum()), dict(zip(JUDGED, found, strict=True)))
        for (factor, level, reference, w), *found in zip(contrasts, *families, strict=True)
    ]


def verdict(difference: Difference, seeds: int, comparisons: int, against: int = 0) -> str:
    """Return a phrase that says whether a difference was shown, with its interval and the number of seeds.

    seeds    number of seeds, the smaller of both arms; fewer than five seeds were not resampled
    against  number of seeds whose difference has not the same sign
    """
    if difference.shown:
        word = "higher" if difference.value > 0 else "lower"
        low, high = sorted(100 * abs(end) for end in (difference.low, difference.high))
        amount = f"{word} by {100 * abs(difference.value):.1f} points [{low:.1f}, {high:.1f}]"
        return f"{amount}{_which_seeds(seeds)}{f', though not {word} for {against} of them' if against else ''}"
    found = f"{points(difference.value)} [{points(difference.low)}, {points(difference.high)}]"
    if difference.low > 0 or difference.high < 0:
        return f"no difference shown after correction for {comparisons} comparisons: {found}"
    return f"no difference shown: {found}"


def _which_seeds(seeds: int) -> str:
    if seeds >= FEWEST_SEEDS:
        return f" over {seeds} seeds"
    return f" for {'this one seed' if seeds == 1 else f'these {seeds} seeds'}"


def points(share: float) -> str:
    """Return the share in percentage points, for example `+1.2`, `−0.3` or `0.0`."""
    text = f"{100 * share:+.1f}".replace("-", "−")
    return "0.0" if text in ("+0.0", "−0.0") else text
