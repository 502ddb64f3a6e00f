"""Figures of an ablation: curves by epoch, overfitting, differences, calibration. This module does not import torch.

A figure is a list of panels. On the page each panel is a separate SVG, so that a narrow window can stack them. As a
file, all panels of a figure are in one PNG with a legend.
"""

import base64
import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, FigureBase
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from fer_lightning.files import replacing
from fer_lightning.pages.plots import DPI, INK, MUTED, style
from fer_lightning.report.arms import Ablation, Arm
from fer_lightning.report.factors import Effect
from fer_lightning.report.sweep_runs import Run
from fer_lightning.statistics.significance import Difference

BASELINE = "#333333"
# Okabe and Ito's palette without its yellow, and two colours of Tol's; colour-blind readers can distinguish them.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#882255", "#999933")
DASHES = ("solid", (0, (5, 2)), (0, (1.2, 1.6)), (0, (6, 2, 1.2, 2)))
MOST_BANDS = 8  # maximum number of arms with bands; more bands would hide each other
CURVES = (
    ("val/ce", "validation cross-entropy"),
    ("val/acc", "validation accuracy, %"),
    ("test/ce", "test cross-entropy"),
    ("test/acc", "test accuracy, %"),
)
FEWEST_POINTS = 4  # minimum number of points of a curve without markers
LONGEST_NAME = 32  # characters
SMALLEST_SPAN = 0.01  # of an axis, in its unit: labels of smaller steps would overlap and show only rounding errors
ROW = 0.34  # height of one arm's line in a panel that lists arms, in inches


@dataclass(frozen=True)
class Panel:
    """Part of a figure: `draw` fills a matplotlib figure of `width` by `height` inches; `title` is its caption."""

    title: str
    draw: Callable[[FigureBase], None]
    width: float = 5.4
    height: float = 3.5


@dataclass(frozen=True)
class Style:
    color: str
    dash: str | tuple

    @property
    def css(self) -> str:
        """Return the CSS border style of the line in a legend."""
        return "solid" if self.dash == "solid" else "dashed" if self.dash == DASHES[1] else "dotted"


def styles(ablation: Ablation) -> dict[str, Style]:
    """Return a style per arm: dark grey for the baseline, then a palette, which repeats with dashes."""
    others = [arm.name for arm in ablation.arms if arm.name != ablation.baseline]
    by_arm = {ablation.baseline: Style(BASELINE, "solid")} if ablation.baseline else {}
    for index, name in enumerate(others):
        turn, color = divmod(index, len(PALETTE))
        by_arm[name] = Style(PALETTE[color], DASHES[turn % len(DASHES)])
    return by_arm


def svg(panel: Panel) -> str:
    """Return the panel as a data: URL; the same panel gives the same bytes."""
    figure = Figure(figsize=(panel.width, panel.height))
    panel.draw(figure)
    content = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "fer_lightning"}):
        figure.savefig(content, format="svg", metadata={"Date": None, "Creator": None}, transparent=True)
    return "data:image/svg+xml;base64," + base64.b64encode(content.getvalue()).decode()


def png(panels: Sequence[Panel], columns: int, path: Path, legend: dict[str, Style] | None = None) -> None:
    """Write panels of the same size as a grid into one PNG file."""
    rows = math.ceil(len(panels) / columns)
    width, height = columns * panels[0].width, rows * panels[0].height
    lines = math.ceil(len(legend) / max(1, int(width / 2.2))) if legend else 0
    foot = 0.1 + 0.28 * lines if lines else 0
    figure = Figure(figsize=(width, height + foot))
    grid = figure.subfigures(1 + bool(foot), 1, height_ratios=[height, foot] if foot else None)
    body = grid[0] if foot else grid
    cells = np.atleast_1d(body.subfigures(rows, columns, wspace=0, hspace=0)).ravel()
    for panel, cell in zip(panels, cells, strict=False):
        panel.draw(cell)
    if legend:
        keys = [
            Line2D([], [], color=s.color, linestyle=s.dash, linewidth=2.4, label=name) for name, s in legend.items()
        ]
        grid[1].legend(handles=keys, loc="center", ncols=max(1, int(width / 2.2)), frameon=False, labelcolor=INK)
    with replacing(path) as file:
        figure.savefig(file, format="png", dpi=DPI, facecolor="white")


def curve_panels(ablation: Ablation, look: dict[str, Style]) -> list[Panel]:
    """Return panels of the recorded validation and test metrics by epoch: one line and one band per arm."""
    return [
        Panel(title, partial(_draw_curves, arms=ablation.arms, look=look, column=column, title=title))
        for column, title in CURVES
        if any(column in run.history for arm in ablation.arms for run in arm.runs)
    ]


def _draw_curves(figure: FigureBase, arms: Sequence[Arm], look: dict[str, Style], column: str, title: str) -> None:
    axes = _one(figure, title)
    bands = len(arms) <= MOST_BANDS
    for arm in reversed(arms):  # the baseline on top
        kind = look[arm.name]
        _draw_mean(axes, arm.runs, column, kind.color, kind.dash, bands)
    low, high = axes.dataLim.intervaly
    if high - low < SMALLEST_SPAN:
        axes.set_ylim(_with_margin(low, high))
    _epochs(axes)


def _draw_mean(axes: Axes, runs: Sequence[Run], column: str, color: str, dash: str | tuple, band: bool) -> None:
    """Draw the mean over seeds and their range.

    The line is dotted after the first seed has ended, and a dot marks the end of each seed. A curve with few points
    has a dot per epoch, an open dot if the line is not solid.
    """
    values = by_epoch(runs, column) * (100 if column.endswith("acc") else 1)
    if not values.size:
        return
    epoch = np.arange(1, values.shape[1] + 1)
    counts = (~np.isnan(values)).sum(axis=0)
    recorded = counts > 0
    mean = np.nanmean(values[:, recorded], axis=0)
    epoch, counts = epoch[recorded], counts[recorded]
    together = counts == counts.max()
    short = len(epoch) < FEWEST_POINTS
    dots = {"marker": "o", "markersize": 5, "markerfacecolor": color if dash == "solid" else "white"} if short else {}
    axes.plot(epoch[together], mean[together], color=color, linestyle=dash, linewidth=1.8, **dots)
    if not together.all():
        tail = np.flatnonzero(together)[-1]
        axes.plot(epoch[tail:], mean[tail:], color=color, linestyle=":", linewidth=1.4)
        ends = [int(np.flatnonzero(~np.isnan(line))[-1]) + 1 for line in values if not np.isnan(line).all()]
        axes.plot(ends, mean[np.searchsorted(epoch, ends)], "o", color=color, markersize=3.5)
    if band and len(values) > 1:
        low, high = np.nanmin(values[:, recorded], axis=0), np.nanmax(values[:, recorded], axis=0)
        edge = 0 if len(epoch) > 1 else 4  # a single epoch's band has no width
        axes.fill_between(epoch, low, high, color=color, alpha=0.14, linewidth=edge)


def by_epoch(runs: Sequence[Run], column: str) -> np.ndarray:
    """Return a column of metrics.csv as (runs, epochs), NaN after a run's end; runs without the column are omitted."""
    histories = [run.history for run in runs if column in run.history]
    longest = max((int(history["epoch"][-1]) for history in histories), default=0)
    values = np.full((len(histories), longest), np.nan)
    for line, history in zip(values, histories, strict=True):
        line[history["epoch"].astype(int) - 1] = history[column]
    return values


def arm_panels(ablation: Ablation, look: dict[str, Style]) -> list[Panel]:
    """Return one panel per arm: training and validation rows, accuracy above cross-entropy, the same axes for all."""
    arms = [arm for arm in ablation.arms if any("train_eval/acc" in run.history for run in arm.runs)]
    limits = {kind: _limits(arms, kind) for kind in ("acc", "ce")}
    longest = max((by_epoch(arm.runs, "val/acc").shape[1] for arm in arms), default=0)
    return [
        Panel(arm.name, partial(_draw_arm, arm=arm, look=look, limits=limits, longest=longest), 2.7) for arm in arms
    ]


def _draw_arm(
    figure: FigureBase, arm: Arm, look: dict[str, Style], limits: dict[str, tuple[float, float]], longest: int
) -> None:
    both = figure.subplots(2, 1, sharex=True)
    _margins(figure, left=0.42, right=0.1, top=0.55, bottom=0.28, hspace=0.3)
    color = look[arm.name].color
    figure.text(
        0.02, 1 - 0.08 / _inches(figure)[1], _shortened(arm.name), color=color, weight="bold", size=9.5, va="top"
    )
    for axes, kind, title in zip(both, ("acc", "ce"), ("accuracy, %", "cross-entropy"), strict=True):
        style(axes, "")
        axes.set_title(title, loc="left", size=9.5, color=MUTED, pad=4)
        _draw_mean(axes, arm.runs, f"train_eval/{kind}", color, (0, (1.2, 1.2)), band=False)
        _draw_mean(axes, arm.runs, f"val/{kind}", color, "solid", band=True)
        axes.set(ylim=limits[kind], xlim=(0, longest + 1))
        axes.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
    _epochs(both[1], label=False)


def _limits(arms: Sequence[Arm], kind: str) -> tuple[float, float]:
    scale = 100 if kind == "acc" else 1
    names = (f"train_eval/{kind}", f"val/{kind}")
    values = [by_epoch(arm.runs, name).ravel() for arm in arms for name in names]
    numbers = np.concatenate(values) if values else np.zeros(1)
    numbers = numbers[~np.isnan(numbers)] * scale
    low, high = (numbers.min(), numbers.max()) if numbers.size else (0, 1)
    return _with_margin(low, high)


def _with_margin(low: float, high: float) -> tuple[float, float]:
    """Return limits of an axis with a margin on both sides, also if all values are equal or nearly so."""
    margin = 0.04 * (high - low) if high - low >= SMALLEST_SPAN else 0.5
    return low - margin, high + margin


def gap_panels(ablation: Ablation, look: dict[str, Style]) -> list[Panel]:
    """Return panels of the overfitting gap (selected and last epoch) and of the rise of cross-entropy, by arm."""
    arms = [arm for arm in ablation.arms if arm.overfitting]
    if not arms:
        return []
    names, height = [arm.name for arm in arms], 0.95 + ROW * len(arms)

    def gap(figure: FigureBase) -> None:
        axes = _listing(figure, names, "training minus validation accuracy, points")
        for y, arm in enumerate(arms):
            color = look[arm.name].color
            best, last = (100 * arm.overfitting[name].mean for name in ("gap_best", "gap_last"))
            axes.plot([best, last], [y, y], color=color, linewidth=1.6)
            dot = {"marker": "o", "markeredgecolor": color, "markersize": 7, "markeredgewidth": 1.6, "clip_on": False}
            axes.plot(best, y, color="white", zorder=3, **dot)
            axes.plot(last, y, color=color, zorder=3, **dot)
        _show_zero(axes, left=0.04)

    def rise(figure: FigureBase) -> None:
        axes = _listing(figure, names, "rise of validation cross-entropy, nats")
        for y, arm in enumerate(arms):
            axes.barh(y, arm.overfitting["ce_rise"].mean, 0.5, color=look[arm.name].color, alpha=0.85)
        _show_zero(axes)

    return [
        Panel("overfitting gap", gap, height=height),
        Panel("rise of validation cross-entropy", rise, height=height),
    ]


def _show_zero(axes: Axes, left: float = 0.0) -> None:
    """Make the horizontal axis contain 0, and no narrower than its labels need.

    left  margin at the left of 0, as a share of the axis
    """
    low, high = axes.dataLim.intervalx
    low, high = min(0, low), max(0, high)
    span = max(high - low, SMALLEST_SPAN)
    axes.set_xlim(low - (0.04 if low else left) * span, low + 1.04 * span)


def difference_panels(ablation: Ablation, look: dict[str, Style]) -> list[Panel]:
    """Return panels of the differences from the baseline in points with 95 % intervals, on one scale."""
    arms = ablation.compared
    kinds = [
        ("accuracy, all test rows", "all", "acc"),
        ("accuracy, clean rows", "clean", "acc"),
        ("mean recall, all test rows", "all", "recall_mean"),
    ]
    rows = [
        (title, [arm.differences[rows][name] for arm in arms]) for title, rows, name in kinds if rows in ablation.sets
    ]
    return _difference_panels(rows, [arm.name for arm in arms], [look[arm.name].color for arm in arms])


def effect_panels(effects: Sequence[Effect]) -> list[Panel]:
    """Return panels of the main effects in points with 95 % intervals, on one scale."""
    kinds = [("main effect on accuracy", "acc"), ("main effect on mean recall", "recall_mean")]
    rows = [(title, [effect.differences[name] for effect in effects]) for title, name in kinds]
    return _difference_panels(rows, [f"{e.factor}: {e.level}" for e in effects], [PALETTE[0]] * len(effects))


def _difference_panels(
    kinds: Sequence[tuple[str, list[Difference]]], names: Sequence[str], colors: Sequence[str]
) -> list[Panel]:
    if not names:
        return []
    ends = [100 * end for _, family in kinds for one in family for end in (one.low, one.high, 0)]
    limits = _with_margin(min(ends), max(ends))

    def draw(figure: FigureBase, title: str, family: Sequence[Difference]) -> None:
        axes = _listing(figure, names, title)
        axes.axvline(0, color=INK, linewidth=1)
        for y, (one, color) in enumerate(zip(family, colors, strict=True)):
            axes.plot([100 * one.low, 100 * one.high], [y, y], color=color, linewidth=1.8)
            fill, size = (color, 4) if math.isnan(one.corrected) else (color if one.shown else "white", 7)
            axes.plot(100 * one.value, y, "o", color=fill, markeredgecolor=color, markersize=size, markeredgewidth=1.6)
        axes.set_xlim(limits)

    height = 0.95 + ROW * len(names)
    return [Panel(title, partial(draw, title=title, family=family), height=height) for title, family in kinds]


def calibration_panels(ablation: Ablation, look: dict[str, Style]) -> list[Panel]:
    """Return a panel of accuracy by confidence, all seeds of an arm together; bins below 20 rows are omitted."""

    def draw(figure: FigureBase) -> None:
        axes = _one(figure, "accuracy by confidence, %")
        axes.plot([0, 100], [0, 100], color="#BBBBBB", linewidth=1)
        for arm in reversed(ablation.arms):
            kept = arm.reliability[arm.reliability[:, 0] >= 20]
            kind = look[arm.name]
            axes.plot(
                100 * kept[:, 1],
                100 * kept[:, 2],
                color=kind.color,
                linestyle=kind.dash,
                linewidth=1.8,
                marker="o",
                markersize=3,
                clip_on=False,
            )
        axes.set(xlim=(0, 102), ylim=(0, 102))
        axes.set_xlabel("confidence, %", color=MUTED, size=10)

    return [Panel("reliability", draw, height=4.2)]


def _one(figure: FigureBase, title: str) -> Axes:
    axes = figure.subplots()
    _margins(figure, left=0.5, right=0.12, top=0.38, bottom=0.48)
    style(axes, title)
    axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    return axes


def _listing(figure: FigureBase, names: Sequence[str], title: str) -> Axes:
    """Return axes with one line per name, the first name on top."""
    axes = figure.subplots()
    shown = [_shortened(name) for name in names]
    left = 0.25 + 0.082 * max(map(len, shown))
    _margins(figure, left=left, right=0.15, top=0.38, bottom=0.36)
    style(axes, "")
    figure_title = axes.set_title(title, loc="left", size=11, color=INK)
    figure_title.set_x(-left / max(0.1, _inches(figure)[0] - left - 0.15))
    axes.grid(axis="y", visible=False)
    axes.grid(axis="x", color="#E6E6E6", linewidth=0.8)
    axes.set_yticks(range(len(names)), shown, color=INK)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}".replace("-", "−")))
    return axes


def _shortened(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…"


def _epochs(axes: Axes, label: bool = True) -> None:
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True, min_n_ticks=1, steps=[1, 2, 5, 10]))
    if label:
        axes.set_xlabel("epoch", color=MUTED, size=10)


def _inches(figure: FigureBase) -> tuple[float, float]:
    box = figure.bbox
    return box.width / figure.dpi, box.height / figure.dpi


def _margins(figure: FigureBase, left: float, right: float, top: float, bottom: float, hspace: float = 0.2) -> None:
    """Set the margins of a figure, in inches."""
    width, height = _inches(figure)
    figure.subplots_adjust(left / width, bottom / height, 1 - right / width, 1 - top / height, hspace=hspace)
