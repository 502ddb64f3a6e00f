"""Table of an ablation as Markdown and as CSV: one row per arm. This module does not import torch."""

from math import isnan
from typing import Any

from fer_lightning.report.arms import Ablation, Arm, Estimate
from fer_lightning.report.verdicts import verdict
from fer_lightning.statistics.metrics import LABEL_METRICS, NAMES
from fer_lightning.statistics.resampling import FEWEST_SEEDS
from fer_lightning.wording import markdown, markdown_table

COLUMNS = (
    (NAMES["acc"], "all", "acc"),
    (f"{NAMES['acc']}, clean rows", "clean", "acc"),
    (NAMES["f1_macro"], "all", "f1_macro"),
    (NAMES["recall_mean"], "all", "recall_mean"),
)
NOTHING = "No run has finished yet.\n"
UNKNOWN = "–"


def as_markdown(ablation: Ablation | None) -> str:
    """Return a table of mean ± standard deviation over seeds with 95 % intervals, in %, and of verdicts."""
    if ablation is None:
        return NOTHING
    columns = [column for column in COLUMNS if column[1] in ablation.sets]
    header = ["arm", "seeds", *(f"{name} %" for name, _, _ in columns)]
    against = f"against {markdown(ablation.baseline)}" if ablation.baseline else ""
    if against:
        header += [f"accuracy {against}", f"mean recall {against}"]
    lines = []
    for arm in ablation.arms:
        values = [in_percent(arm.metrics[rows][name]) for _, rows, name in columns]
        words = [verdict_text(ablation, arm, name) for name in ("acc", "recall_mean")] if against else []
        lines.append([markdown(arm.name), str(len(arm.runs)), *values, *words])
    return markdown_table(header, lines) + "\n"


def as_readme(name: str, table: str, figures: list[str]) -> str:
    """Return a page in Markdown with a table of `as_markdown` and with the figures of these names below it."""
    shown = [f"![{figure.partition('.')[0]} of each arm](figures/{figure})" for figure in figures]
    note = (
        "Mean ± standard deviation over seeds, with 95 % intervals by bootstrap over test rows. From "
        f"{FEWEST_SEEDS} seeds on, the intervals contain the variation between seeds (Student's t). Open `index.html` "
        "in a browser for the whole report."
    )
    return "\n\n".join([f"# Report of the sweep {markdown(name)}", note, table.rstrip(), *shown]) + "\n"


def csv_table(ablation: Ablation | None) -> list[list[Any]]:
    """Return header and rows with all metrics as shares of 1; a missing value is an empty cell."""
    ends = ("mean", "sd", "low", "high")
    compared = ("difference", "difference_low", "difference_high", "p", "p_holm")
    sets = list(ablation.sets) if ablation else []
    names = [(rows, name) for rows in sets for name in LABEL_METRICS]
    columns = [f"{rows}/{name}/{end}" for rows, name in names for end in (*ends, *compared)]
    lines: list[list[Any]] = [["arm", "name", "seeds", "baseline", *columns]]
    for arm in ablation.arms if ablation else []:
        row = [arm.key, arm.name, " ".join(map(str, arm.seeds)), ablation.asked]
        for rows, name in names:
            row += list(vars(arm.metrics[rows][name]).values())
            row += list(vars(arm.differences[rows][name]).values()) if arm.differences else [""] * len(compared)
        lines.append(["" if isinstance(value, float) and isnan(value) else value for value in row])
    return lines


def in_percent(value: Estimate) -> str:
    """Return the estimate in %, for example `66.1 ± 0.4 [64.6, 67.6]`."""
    if isnan(value.mean):
        return UNKNOWN
    return f"{mean_and_deviation(value)} [{100 * value.low:.1f}, {100 * value.high:.1f}]"


def mean_and_deviation(value: Estimate) -> str:
    """Return mean ± standard deviation in %; only the mean for one seed."""
    if isnan(value.mean):
        return UNKNOWN
    mean = f"{100 * value.mean:.1f}"
    return mean if isnan(value.deviation) else f"{mean} ± {100 * value.deviation:.1f}"


def verdict_text(ablation: Ablation, arm: Arm, name: str) -> str:
    """Return an arm's verdict as a phrase, or "baseline"."""
    if not arm.differences:
        return "baseline"
    seeds = min(len(arm.runs), len(ablation.arms[0].runs))
    return verdict(arm.differences["all"][name], seeds, len(ablation.compared), arm.by_seed[name].against)
