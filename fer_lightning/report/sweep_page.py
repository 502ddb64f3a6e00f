"""Report of a sweep as one self-contained page without scripts or requests. This module does not import torch.

Jinja escapes every name of an arm, a file or a command. Names are never written into style attributes.
"""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from math import isnan
from typing import Any

from markupsafe import Markup, escape

from fer_lightning.audit.audit_page import OTHER
from fer_lightning.labels import COLORS
from fer_lightning.pages.templates import environment
from fer_lightning.report.ablation import RESAMPLES
from fer_lightning.report.arms import Ablation, Estimate
from fer_lightning.report.mistakes import Mistake
from fer_lightning.report.overfitting import still_learning
from fer_lightning.report.sweep_figures import Panel, Style, svg
from fer_lightning.report.sweep_runs import Run, Sweep
from fer_lightning.report.sweep_tables import COLUMNS, UNKNOWN, mean_and_deviation, verdict_text
from fer_lightning.report.verdicts import points, verdict
from fer_lightning.runs.run_folder import command_line
from fer_lightning.runs.summary_file import RunTime
from fer_lightning.statistics.resampling import FEWEST_SEEDS
from fer_lightning.statistics.significance import Difference
from fer_lightning.wording import typed

MOST_LISTED = 6  # maximum number of names in a sentence
SMALLEST_RISE = 0.005  # nats of cross-entropy; a smaller rise would be shown as 0.00
NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


@dataclass(frozen=True)
class Figures:
    """Panels of the page, and the colour and dash of each arm."""

    look: dict[str, Style]
    curves: list[Panel] = field(default_factory=list)
    by_arm: list[Panel] = field(default_factory=list)
    overfitting: list[Panel] = field(default_factory=list)
    differences: list[Panel] = field(default_factory=list)
    effects: list[Panel] = field(default_factory=list)
    calibration: list[Panel] = field(default_factory=list)


def render(
    sweep: Sweep, ablation: Ablation | None, figures: Figures, mistakes: Sequence[Mistake], about_mistakes: str
) -> str:
    """Return the page as HTML; `about_mistakes` says why images or votes are missing, "" if none are."""
    filters = {
        "n": lambda value: f"{value:,}",
        "svg": svg,
        "color": lambda name: COLORS.get(name, OTHER),
        "points": points,
        "mean": mean_and_deviation,
        "plain": _plain,
        "name": _breakable,
    }
    return (
        environment(**filters)
        .get_template("sweep.html")
        .render(
            sweep=sweep,
            ablation=ablation,
            figures=figures,
            mistakes=mistakes,
            about_mistakes=about_mistakes,
            summary=summary(sweep, ablation),
            columns=[column for column in COLUMNS if ablation and column[1] in ablation.sets],
            verdict_of=lambda arm, name: verdict_text(ablation, arm, name),
            effect_words=lambda effect, name: verdict(
                effect.differences[name], _fewest(ablation), len(ablation.effects)
            ),
            shared=shared_facts(sweep.done),
            runs=run_rows(sweep.done),
            time_spent=time_spent(sweep.done),
            remedies={run.remedy for run in sweep.others},
            few_seeds=ablation is not None and _fewest(ablation) < FEWEST_SEEDS,
            resamples=RESAMPLES,
            fewest=FEWEST_SEEDS,
            written=time.strftime("%Y-%m-%d %H:%M %Z"),
            command=command_line(),
        )
    )


def summary(sweep: Sweep, ablation: Ablation | None) -> list[tuple[str, str]]:
    """Return the results for a reader who reads nothing else: pairs of a title and one or two sentences."""
    paragraphs = [("Runs.", _about_runs(sweep, ablation))]
    if ablation is None:
        return paragraphs
    if not ablation.compared:
        return [*paragraphs, ("Comparison.", _about_no_comparison(sweep, ablation))]
    return [
        *paragraphs,
        ("Accuracy.", _about_metric(ablation, "acc", "accuracy")),
        ("Mean recall.", _about_metric(ablation, "recall_mean", "mean recall")),
        *([("Overfitting.", text)] if (text := _about_overfitting(ablation)) else []),
        ("Limits.", _about_reach(ablation)),
    ]


def _about_runs(sweep: Sweep, ablation: Ablation | None) -> str:
    text = f"{len(sweep.done)} of {len(sweep.runs)} runs have finished"
    if ablation is not None:
        text += f": {_count(len(ablation.arms), 'arm')} with {_seeds(ablation)}"
    kinds = Counter(run.status for run in sweep.others)
    if not kinds:
        return f"{text}."
    words = {"other": "not comparable with the others", "missing": "not started"}
    rest = ", ".join(f"{number} {words.get(kind, kind)}" for kind, number in kinds.items())
    return f"{text}. Other runs: {rest}; see the end of this page."


def _about_no_comparison(sweep: Sweep, ablation: Ablation) -> str:
    if not ablation.baseline:
        return (
            f"The baseline, {ablation.asked}, has no finished run, so nothing is compared. Choose another baseline: "
            f"python -m fer_lightning.report {typed('sweep', sweep.folder)} {typed('baseline', ablation.arms[0].key)}"
        )
    if len(sweep.arms) > 1:
        return f"Only one arm, {ablation.baseline}, has finished runs, so a comparison is not possible yet."
    return "There is one arm, so there is nothing to compare."


def _about_metric(ablation: Ablation, name: str, title: str) -> str:
    """Return sentences about one metric: the arms by verdict, or the main effects if there are any."""
    base = ablation.arms[0]
    by_verdict: dict[str, list[str]] = {"higher": [], "lower": [], "none": []}
    for changed, one in _judged(ablation, name):
        kind = "none" if not one.shown else "higher" if one.value > 0 else "lower"
        ends = sorted(100 * abs(end) for end in (one.low, one.high))
        amount = f"{100 * abs(one.value):.1f} points [{ends[0]:.1f}, {ends[1]:.1f}]"
        by_verdict[kind].append(changed if kind == "none" else f"{changed} by {amount}")
    mean = mean_and_deviation(base.metrics["all"][name])
    parts = [f"{base.name} reaches {mean} % on all {len(ablation.rows.labels):,} test rows."]
    parts += [
        f"{kind.capitalize()} with {_listed(by_verdict[kind])}." for kind in ("higher", "lower") if by_verdict[kind]
    ]
    if by_verdict["none"]:
        parts.append(f"No difference in {title} was shown for {_listed(by_verdict['none'])}.")
    return " ".join(parts)


def _judged(ablation: Ablation, name: str) -> list[tuple[str, Difference]]:
    if ablation.effects:
        return [(f"{effect.factor}={effect.level}", effect.differences[name]) for effect in ablation.effects]
    return [(arm.name, arm.differences["all"][name]) for arm in ablation.compared]


def _about_overfitting(ablation: Ablation) -> str:
    base = ablation.arms[0]
    if not base.overfitting:
        return ""
    rise, epoch, gap = (base.overfitting[name].mean for name in ("ce_rise", "ce_epoch", "gap_last"))
    rises = f"and then rises by {rise:.2f} nats" if rise >= SMALLEST_RISE else "and does not rise after it"
    side = "above" if gap >= 0 else "below"
    text = (
        f"With {base.name}, validation cross-entropy is lowest at epoch {epoch:.0f} {rises}. At the end, accuracy on "
        f"training rows is {abs(100 * gap):.1f} points {side} accuracy on validation rows."
    )
    gaps = {
        arm.name: arm.overfitting_differences["gap_last"] for arm in ablation.compared if arm.overfitting_differences
    }
    for word, sign in (("smaller", -1), ("larger", 1)):
        arms = [
            f"{name} by {100 * abs(one.value):.1f} points"
            for name, one in gaps.items()
            if one.shown and sign * one.value > 0
        ]
        if arms:
            text += f" This gap is {word} with {_listed(arms)}."
    none = [name for name, one in gaps.items() if not one.shown and not isnan(one.p)]
    if gaps and all(isnan(one.p) for one in gaps.values()):
        text += " Differences in the gap are not tested, because the test needs two seeds."
    if none:
        text += f" No difference in the gap was shown for {_listed(none)}."
    return text


def _about_reach(ablation: Ablation) -> str:
    fewest, comparisons = _fewest(ablation), len(_judged(ablation, "acc"))
    text = ""
    if fewest < FEWEST_SEEDS:
        text = (
            f"With {_seeds(ablation)}, the verdicts hold for these networks on other faces of the same kind. "
            f"Other seeds may give other results. With {NUMBERS[FEWEST_SEEDS]} or more seeds, the intervals include "
            "the variation between seeds. "
        )
        text += _about_other_seeds(ablation)
    if comparisons > 1:
        text += f"The verdicts are corrected for {comparisons} comparisons (Holm). "
    runs = [run for arm in ablation.arms for run in arm.runs]
    learning = sum(map(still_learning, runs))
    if 2 * learning >= len(runs):
        text += (
            f"{learning} of {len(runs)} runs were best in the last tenth of their epochs, so longer training may "
            "change the order of the arms. "
        )
    return f"{text}All results are only about this training recipe, network size and data set."


def _about_other_seeds(ablation: Ablation) -> str:
    """Return a sentence that names the arms whose accuracy differs if only the variation between seeds counts."""
    judged = [arm for arm in ablation.compared if not isnan(arm.by_seed["acc"].overall.p)]
    if not judged:
        return ""
    shown = [arm.name for arm in judged if arm.by_seed["acc"].overall.shown]
    which = f"{_listed(shown)} {'only' if len(shown) < len(judged) else 'too'}" if shown else "no arm"
    return f"With only the variation between seeds (Student's t), a difference in accuracy is shown for {which}. "


def _seeds(ablation: Ablation) -> str:
    """Return, for example, `three seeds each` or `two or three seeds each`."""
    counts = [len(arm.runs) for arm in ablation.arms]
    least, most = min(counts), max(counts)
    joint = "or" if most == least + 1 else "to"
    seeds = _count(most, "seed") if least == most else f"{_spelt(least)} {joint} {_count(most, 'seed')}"
    return f"{seeds} each" if len(counts) > 1 else seeds


def _fewest(ablation: Ablation) -> int:
    return min(len(arm.runs) for arm in ablation.arms)


def shared_facts(runs: Sequence[Run]) -> list[tuple[str, str]]:
    """Return the facts that are the same for all runs, by name."""
    return [(name, next(iter(values))) for name, values in _facts(runs).items() if len(set(values)) == 1]


def run_rows(runs: Sequence[Run]) -> tuple[list[str], list[tuple[Run, list[str], str]]]:
    """Return the names of the facts that vary between runs, and for each run these facts and its command."""
    varying = {name: values for name, values in _facts(runs).items() if len(set(values)) > 1}
    rows = [
        (run, [values[index] for values in varying.values()], str(run.summary.get("command", "")))
        for index, run in enumerate(runs)
    ]
    return list(varying), rows


def _facts(runs: Sequence[Run]) -> dict[str, list[str]]:
    """Return the origin of each run (commit, data, hardware and more) as text, by name of the fact."""
    readers: dict[str, Callable[[dict[str, Any]], Any]] = {
        "commit": _commit,
        "split": lambda s: f"{s['split']['name']} {s['split']['checksum'][:10]}",
        "rows": lambda s: " / ".join(f"{count:,}" for count in s["split"]["rows"].values()),
        "data": lambda s: f"{s['data']['name']} {s['data']['checksum'][:10]}",
        "weights": lambda s: f"{s['parameters']['total']:,}",
        "hardware": lambda s: s["hardware"],
        "device": lambda s: s["device"] if s.get("world_size", 1) == 1 else f"{s['world_size']} × {s['device']}",
        "precision": lambda s: s["precision"],
        "threads": lambda s: s["threads"],
        "torch": lambda s: s["versions"]["torch"],
        "SLURM job": lambda s: s["slurm"]["job"],
        "epochs": lambda s: s["epochs"],
        "selected": lambda s: s["best"]["epoch"],
        "seconds": lambda s: f"{RunTime.of(s).seconds:,.0f}",
        "test reads": lambda s: s["test"]["reads"]["run"],
    }
    facts = {name: [_read_fact(read, run.summary) for run in runs] for name, read in readers.items()}
    return {name: values for name, values in facts.items() if set(values) != {UNKNOWN}}


def _read_fact(read: Callable[[dict[str, Any]], Any], summary: dict[str, Any]) -> str:
    """Return the fact as text; a dash if the summary does not have it."""
    try:
        value = read(summary)
    except (KeyError, TypeError, AttributeError, ValueError):
        return UNKNOWN
    return UNKNOWN if value is None else str(value)


def _commit(summary: dict[str, Any]) -> str:
    return summary["commit"][:10] + (" and uncommitted changes" if summary.get("dirty") else "")


def time_spent(runs: Sequence[Run]) -> str:
    """Return a sentence with the sum of all run times and the time from the first start to the last end."""
    times = [RunTime.of(run.summary) for run in runs]
    stamps = [(spent.started, run.summary.get("finished")) for spent, run in zip(times, runs, strict=True)]
    if not runs or not all(map(all, stamps)):
        return ""
    try:
        starts, ends = zip(*(map(_moment, pair) for pair in stamps), strict=True)
    except ValueError:
        return ""
    span = (max(ends) - min(starts)).total_seconds()
    least = "" if all(spent.complete for spent in times) else "at least "
    total = _hours(sum(spent.seconds for spent in times))
    return f"The finished runs took {least}{total} in total, and {_hours(span)} from the first start to the last end."


def _moment(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S%z")


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:.1f} h" if seconds >= 5400 else f"{seconds / 60:.0f} min"


def _plain(value: Estimate | Difference, digits: int = 1, scale: float = 1) -> str:
    """Return mean ± standard deviation, or a difference with its interval ("" if unknown), in units of 1 / scale."""
    if isinstance(value, Difference):
        if isnan(value.low):
            return ""
        middle, low, high = (_signed(scale * end, digits) for end in (value.value, value.low, value.high))
        return f"{middle} [{low}, {high}]"
    if isnan(value.mean):
        return UNKNOWN
    mean = _signed(scale * value.mean, digits).lstrip("+")
    return mean if isnan(value.deviation) else f"{mean} ± {scale * value.deviation:.{digits}f}"


def _signed(value: float, digits: int) -> str:
    """Return the value with its sign, and zero without a minus sign."""
    return f"{round(value, digits) + 0:+.{digits}f}".replace("-", "−")


def _breakable(name: str) -> Markup:
    """Return the name as HTML that may break after an underscore."""
    return Markup(str(escape(name)).replace("_", "_<wbr>"))  # nosec B704: the name is escaped


def _count(number: int, noun: str) -> str:
    return f"{_spelt(number)} {noun}" if number == 1 else f"{_spelt(number)} {noun}s"


def _spelt(number: int) -> str:
    return NUMBERS[number] if number < len(NUMBERS) else f"{number:,}"


def _listed(items: Sequence[str]) -> str:
    """Return the items as `a, b and c`; of many items only the first ones."""
    if len(items) > MOST_LISTED:
        items = [*items[: MOST_LISTED - 1], f"{len(items) - MOST_LISTED + 1} more"]
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"
