"""Two runs on the same test rows: paired differences with intervals, an exact test and a verdict in words. No torch.

    {"all": SET, "clean": SET}
    SET = {"rows": 3589, "acc": DIFFERENCE, "f1_macro": DIFFERENCE, "recall_mean": DIFFERENCE, "ece": DIFFERENCE,
           "only_a_right": 210, "only_b_right": 252, "mcnemar_p": 0.056, "smallest_shown": 0.012, "better": None,
           "verdict": "..."}
    DIFFERENCE = {"a": 0.645, "b": 0.657, "difference": 0.012, "low": -0.001, "high": 0.024, "b_is": "no difference
                  shown"}, difference = b - a; `b_is` may also be "higher" or "lower", which for `ece` is better

The calibration error of a resample is on average above that of its rows, and more so where it is small. An interval of
its difference leans towards 0, and claims too little rather than too much.

Both runs are resampled together, row by row (2,000 resamples, 95 % percentile interval), so that what is hard for both
does not count as a difference. McNemar's test (1947, doi:10.1007/BF02295996) in its exact form asks whether the rows
on which one alone is right could fall either way by chance.
"""

import math
from typing import Any

import numpy as np
from rich.table import Table

from fer_lightning.errors import UserError
from fer_lightning.evaluation.predictions import Predictions
from fer_lightning.evaluation.tables import NAMES, table_of_figures
from fer_lightning.statistics import bootstrap
from fer_lightning.statistics.bootstrap import interval, resampled
from fer_lightning.statistics.metrics import RowOutcomes

SETS = ("all", "clean")
FIGURES = ("acc", "f1_macro", "recall_mean", "ece")
UNDECIDED = "no difference shown"
LEVEL = 0.05


def compare(
    a: Predictions, b: Predictions, resamples: int = bootstrap.RESAMPLES, seed: int = bootstrap.SEED
) -> dict[str, dict[str, Any]]:
    """Every difference on all rows and on those that are clean for both; UserError where rows differ."""
    _refuse_other_rows(a, b)
    sets = {"all": np.ones(len(a), bool), "clean": a.clean & b.clean}
    return {name: _on_rows(name, a, b, rows, resamples, seed) for name, rows in sets.items()}


def set_in_words(name: str) -> str:
    """`test` or `clean`, before the word rows."""
    return "test" if name == "all" else name


def mcnemar(only_a: int, only_b: int) -> float:
    """Two-sided p of the exact test: of the rows on which one alone is right, how lopsided the split is."""
    discordant, fewer = only_a + only_b, min(only_a, only_b)
    return min(1.0, 2 * sum(_fair_share(discordant, hits) for hits in range(fewer + 1)))


def smallest_shown(discordant: int, rows: int) -> float | None:
    """The least difference of accuracy that the exact test calls significant at 5 %; None where none could be."""
    tail, most = 0.0, -1
    while most < discordant and 2 * (tail := tail + _fair_share(discordant, most + 1)) < LEVEL:
        most += 1
    return None if most < 0 else (discordant - 2 * most) / rows


def difference_table(entry: dict[str, Any], title: str) -> Table:
    """Figures of both runs and their difference with its interval, in % and points."""
    table = table_of_figures(title, "A", "B", "B − A, points", "B is")
    for name in FIGURES:
        figure = entry[name]
        both = [_percent(figure[run]) for run in ("a", "b")]
        table.add_row(
            NAMES[name], *both, _points(figure["difference"], figure["low"], figure["high"], unit=""), figure["b_is"]
        )
    return table


def _refuse_other_rows(a: Predictions, b: Predictions) -> None:
    if a.classes != b.classes:
        raise UserError(f"A has the classes {', '.join(a.classes)}, B {', '.join(b.classes)}: nothing to compare.")
    if not np.array_equal(a.rows, b.rows) or not np.array_equal(a.images, b.images):
        common = len(np.intersect1d(a.images, b.images))
        raise UserError(
            f"A was tested on {len(a):,} rows and B on {len(b):,}, with {common:,} images in common: another split or "
            "other data. A paired test needs the same rows; train both with the same data and data.split."
        )
    if not np.array_equal(a.labels, b.labels):
        other = int((a.labels != b.labels).sum())
        raise UserError(
            f"A and B have other labels on {other:,} of {len(a):,} rows: other data. Train both on the same."
        )
    if not len(a):
        raise UserError("A and B have no test rows.")


def _on_rows(name: str, a: Predictions, b: Predictions, rows: np.ndarray, resamples: int, seed: int) -> dict[str, Any]:
    outcomes = [RowOutcomes(run.labels[rows], run.probabilities[rows]) for run in (a, b)]
    whole = [outcome.tally().figures() for outcome in outcomes]
    samples = resampled(*outcomes, resamples=resamples, seed=seed)
    right = [(run.predicted == run.labels)[rows] for run in (a, b)]
    only_a, only_b = int((right[0] & ~right[1]).sum()), int((right[1] & ~right[0]).sum())
    entry: dict[str, Any] = {"rows": int(rows.sum())}
    for figure in FIGURES:
        low, high = interval(samples[1][figure] - samples[0][figure])
        before, after = whole[0][figure], whole[1][figure]
        difference = {"a": before, "b": after, "difference": after - before, "low": low, "high": high}
        entry[figure] = difference | {"b_is": _side(low, high)}
    entry |= {
        "only_a_right": only_a,
        "only_b_right": only_b,
        "mcnemar_p": mcnemar(only_a, only_b),
        "smallest_shown": smallest_shown(only_a + only_b, max(1, entry["rows"])),
    }
    entry["better"] = _better(entry)
    if entry["better"] is None:
        entry["acc"]["b_is"] = UNDECIDED
    return entry | {"verdict": _verdict(name, entry)}


def _side(low: float, high: float) -> str:
    """Return which side of 0 an interval lies on; NaN lies on none."""
    return "higher" if low > 0 else "lower" if high < 0 else UNDECIDED


def _better(entry: dict[str, Any]) -> str | None:
    """The run whose accuracy is higher, where both the interval and the exact test say so."""
    if entry["mcnemar_p"] >= LEVEL:
        return None
    return {"higher": "B", "lower": "A"}.get(entry["acc"]["b_is"])


def _verdict(name: str, entry: dict[str, Any]) -> str:
    figure, where = entry["acc"], f"on the {entry['rows']:,} {set_in_words(name)} rows"
    difference, low, high = figure["difference"], figure["low"], figure["high"]
    counts = f"A alone is right on {entry['only_a_right']:,} rows, B alone on {entry['only_b_right']:,}"
    if not entry["rows"]:
        return f"there are no {set_in_words(name)} rows to compare."
    if entry["better"]:
        sign = 1 if entry["better"] == "B" else -1
        ends = sorted((sign * low, sign * high))
        return (
            f"{entry['better']} is better by {_points(abs(difference), *ends)} {where} ({counts}; exact McNemar "
            f"test, p {_probability(entry['mcnemar_p'])})."
        )
    least = entry["smallest_shown"]
    power = (
        f"the smallest difference this test could have shown is about {100 * least:.1f} points"
        if least is not None
        else "runs that differ in so few rows could not have been told apart"
    )
    return (
        f"{UNDECIDED} {where}: B − A is {_points(difference, low, high)} ({counts}; exact McNemar test, "
        f"p {_probability(entry['mcnemar_p'])}); {power}."
    )


def _fair_share(trials: int, hits: int) -> float:
    """Probability of so many hits in fair trials."""
    ways = math.lgamma(trials + 1) - math.lgamma(hits + 1) - math.lgamma(trials - hits + 1)
    return math.exp(ways - trials * math.log(2))


def _points(difference: float, low: float, high: float, unit: str = " points") -> str:
    return f"{_signed(difference)}{unit} [{_signed(low)}, {_signed(high)}]"


def _signed(share: float) -> str:
    """In points, with a minus sign and without a negative zero."""
    return f"{round(100 * share, 2) + 0:.2f}".replace("-", "−")


def _percent(share: float) -> str:
    return f"{100 * share:.2f}"


def _probability(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"= {p:.3f}"
