"""Results of a sweep's arms, as `ablation.analyse` returns them."""

from dataclasses import dataclass, field

import numpy as np

from fer_lightning.report.factors import Effect
from fer_lightning.report.sweep_runs import Run, SharedTestRows
from fer_lightning.statistics.significance import Difference

BINS = 10  # bins of confidence in the reliability diagram


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
    metrics       metrics by set of rows and name, as in `metrics.LABEL_METRICS`
    recall        recall of each class, on all rows
    overfitting   overfitting measures: `gap_best`, `gap_last` (accuracy on training rows minus validation accuracy, at
                  the selected and at the last epoch), `ce_rise` (rise of validation cross-entropy from its minimum to
                  the last epoch, in nats), `ce_epoch` (epoch of that minimum), `best_epoch`, `epochs`
    confusion     int64 (K, K), all seeds together, all rows
    reliability   (BINS, 3): rows, mean confidence and accuracy by confidence, all seeds together
    calibration   `ece` and `ce`

    Differences from the baseline are empty for the baseline itself, and without a baseline:

    differences              of `metrics`
    recall_differences       of `recall`
    discordance              rows on which only one of two networks with the same seed is right
    by_seed                  of the judged metrics, for single seeds
    overfitting_differences  of the first three overfitting measures, over seeds
    """

    key: str
    name: str
    runs: list[Run]
    metrics: dict[str, dict[str, Estimate]]
    recall: list[Estimate]
    overfitting: dict[str, Estimate]
    confusion: np.ndarray
    reliability: np.ndarray
    calibration: dict[str, Estimate]
    differences: dict[str, dict[str, Difference]] = field(default_factory=dict)
    recall_differences: list[Difference] = field(default_factory=list)
    discordance: list[Discordance] = field(default_factory=list)
    by_seed: dict[str, BySeed] = field(default_factory=dict)
    overfitting_differences: dict[str, Difference] = field(default_factory=dict)

    @property
    def seeds(self) -> tuple[int | None, ...]:
        return tuple(run.seed for run in self.runs)


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
