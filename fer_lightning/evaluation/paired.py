"""Paired comparison of two runs on the same test rows: differences with intervals, an exact test and a verdict.

Imports no torch.

    {"all": SET, "clean": SET}
    SET = {"rows": 3589, "acc": DIFFERENCE, "f1_macro": DIFFERENCE, "recall_mean": DIFFERENCE, "ece": DIFFERENCE,
           "only_a_right": 210, "only_b_right": 252, "mcnemar_p": 0.056, "smallest_shown": 0.012, "better": None,
           "verdict": "..."}
    DIFFERENCE = {"a": 0.645, "b": 0.657, "difference": 0.012, "low": -0.001, "high": 0.024, "b_is": "no difference
                  shown"}, difference = b - a; `b_is` may also be "higher" or "lower". For `ece`, lower is better.

Both runs are resampled together, row by row (2,000 resamples, 95 % percentile interval). So rows that are hard for both
runs do not count as a difference. The exact form of McNemar's test (1947, doi:10.1007/BF02295996) uses the rows on
which only one run is right. It tests whether they are split between the runs as a fair coin would split them.

The calibration error of a resample is on average above that of its rows, and the excess is larger if the error is
small. So the interval of its difference is shifted towards 0: it claims too little rather than too much.
"""

from typing import Any

import numpy as np
from rich.table import Table

from fer_lightning.errors import UserError
from fer_lightning.evaluation.predictions import Predictions
from fer_lightning.evaluation.tables import metric_table
from fer_lightning.statistics import resampling
from fer_lightning.statistics.metrics import NAMES, RowOutcomes
from fer_lightning.statistics.resampling import interval, resampled
from fer_lightning.statistics.significance import ALPHA, mcnemar, only_one_right, smallest_shown

METRICS = ("acc", "f1_macro", "recall_mean", "ece")
UNDECIDED = "no difference shown"


def compare(
    a: Predictions, b: Predictions, resamples: int = resampling.RESAMPLES, seed: int = resampling.SEED
) -> dict[str, dict[str, Any]]:
    """Return every difference on all rows and on the rows that are clean for both. Raise UserError if rows differ."""
    require_same_rows(a, b)
    sets = {"all": np.ones(len(a), bool), "clean": a.clean & b.clean}
    return {name: _on_rows(name, a, b, rows, resamples, seed) for name, rows in sets.items()}


def require_same_rows(a: Predictions, b: Predictions) -> None:
    """Raise UserError if A and B differ in rows, labels or classes, or if both are empty."""
    if a.classes != b.classes:
        raise UserError(f"A has the classes {', '.join(a.classes)}, B {', '.join(b.classes)}. They must be equal.")
    if not np.array_equal(a.rows, b.rows) or not np.array_equal(a.images, b.images):
        common = len(np.intersect1d(a.images, b.images))
        raise UserError(
            f"A was tested on {len(a):,} rows and B on {len(b):,}, with {common:,} images in common. A paired test "
            "needs the same rows. Train both with the same data and data.split."
        )
    if not np.array_equal(a.labels, b.labels):
        other = int((a.labels != b.labels).sum())
        raise UserError(
            f"A and B have different labels on {other:,} of {len(a):,} rows. Train both with the same data."
        )
    if not len(a):
        raise UserError("A and B are empty. Compare runs with at least one row.")


def row_set(name: str) -> str:
    """Return the name of a set of rows: "rows" for all, which may be test or validation rows, or "clean rows"."""
    return "rows" if name == "all" else f"{name} rows"


def difference_table(entry: dict[str, Any], title: str) -> Table:
    """Return a table of the metrics of both runs, in %, and of their differences with intervals, in points."""
    table = metric_table(title, "A", "B", "B − A, points", "B is")
    for name in METRICS:
        metric = entry[name]
        both = [_percent(metric[run]) for run in ("a", "b")]
        table.add_row(
            NAMES[name], *both, _points(metric["difference"], metric["low"], metric["high"], unit=""), metric["b_is"]
        )
    return table


def _on_rows(name: str, a: Predictions, b: Predictions, rows: np.ndarray, resamples: int, seed: int) -> dict[str, Any]:
    outcomes = RowOutcomes.of(a.labels[rows], a.probabilities[rows], b.probabilities[rows])
    whole, samples = outcomes.metrics(METRICS), resampled(outcomes, METRICS, resamples, seed)
    only_a, only_b = only_one_right(outcomes.labels, *outcomes.predicted)
    entry: dict[str, Any] = {"rows": len(outcomes)}
    for metric in METRICS:
        low, high = interval(samples[metric][:, 1] - samples[metric][:, 0])
        before, after = whole[metric].tolist()
        difference = {"a": before, "b": after, "difference": after - before, "low": low, "high": high}
        entry[metric] = difference | {"b_is": _side(low, high)}
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
    """Return the side of 0 on which an interval is, or UNDECIDED if it includes 0 or is NaN."""
    return "higher" if low > 0 else "lower" if high < 0 else UNDECIDED


def _better(entry: dict[str, Any]) -> str | None:
    """Return the run with the higher accuracy if both the interval and the exact test show it, else None."""
    if entry["mcnemar_p"] >= ALPHA:
        return None
    return {"higher": "B", "lower": "A"}.get(entry["acc"]["b_is"])


def _verdict(name: str, entry: dict[str, Any]) -> str:
    metric, where = entry["acc"], f"on the {entry['rows']:,} {row_set(name)}"
    difference, low, high = metric["difference"], metric["low"], metric["high"]
    counts = f"only A is right on {entry['only_a_right']:,} rows, only B on {entry['only_b_right']:,}"
    if not entry["rows"]:
        return f"the runs have no {row_set(name)} to compare."
    if entry["better"]:
        sign = 1 if entry["better"] == "B" else -1
        ends = sorted((sign * low, sign * high))
        return (
            f"{entry['better']} is better by {_points(abs(difference), *ends)} {where} ({counts}; exact McNemar "
            f"test, p {_probability(entry['mcnemar_p'])})."
        )
    least = entry["smallest_shown"]
    power = (
        f"the smallest difference that this test can show is about {100 * least:.1f} points"
        if least is not None
        else "the runs differ on too few rows for this test to show a difference"
    )
    return (
        f"{UNDECIDED} {where}: B − A is {_points(difference, low, high)} ({counts}; exact McNemar test, "
        f"p {_probability(entry['mcnemar_p'])}); {power}."
    )


def _points(difference: float, low: float, high: float, unit: str = " points") -> str:
    return f"{_signed(difference)}{unit} [{_signed(low)}, {_signed(high)}]"


def _signed(share: float) -> str:
    """Return a share in points, with a minus sign and without a negative zero."""
    return f"{round(100 * share, 2) + 0:.2f}".replace("-", "−")


def _percent(share: float) -> str:
    return f"{100 * share:.2f}"


def _probability(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"= {p:.3f}"
