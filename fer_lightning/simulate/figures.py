"""Figure of a simulation: results of each policy, results by minute, and the effect of other assumptions."""

import math
from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from fer_lightning.files import replacing
from fer_lightning.pages.plots import DPI, GRID, INK, MUTED, style
from fer_lightning.simulate.study import BASELINE, MetricValue, Result

COLORS = {
    "fixed": "#8A8F98",
    BASELINE: "#0072B2",
    "affect": "#D55E00",
    "affect, camera off": "#009E73",
    "oracle": "#222222",
}
PANELS = (
    ("flow", "Time in flow, %", 100),
    ("left", "Left before the end, %", 100),
    ("reversals", "Turns per 10 min", 1),
)


def draw(results: dict[str, list[Result]], path: Path, title: str) -> None:
    """Draw `simulation.png`: metrics with the main assumptions above; minutes and other assumptions below."""
    first = next(iter(results.values()))
    canvas = Figure(figsize=(12.5, 4.6 + 0.34 * len(results)), layout="constrained")
    canvas.get_layout_engine().set(h_pad=0.12, w_pad=0.06, hspace=0.05, wspace=0.03)
    canvas.suptitle(title, x=0.012, ha="left", size=13, weight="bold", color=INK)
    top, bottom = canvas.subfigures(2, 1, height_ratios=[0.55 + 0.3 * len(first), 1.6 + 0.34 * len(results)])
    for axes, (name, words, scale) in zip(top.subplots(1, 3, sharey=True), PANELS, strict=True):
        _listed(axes, [arm.arm.name for arm in first])
        style(axes, words)
        axes.grid(visible=False, axis="y")
        axes.grid(axis="x", color=GRID, linewidth=0.8)
        axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
        for row, result in enumerate(first):
            _point(axes, row, result.metrics[name], COLORS[result.arm.name], scale=scale)
    left, right = bottom.subplots(1, 2, width_ratios=[1, 1.15])
    _minutes(left, first)
    _differences(right, results)
    with replacing(path) as file:
        canvas.savefig(file, format="png", dpi=DPI, facecolor="white", bbox_inches="tight", pad_inches=0.2)


def _minutes(axes: Axes, results: Sequence[Result]) -> None:
    style(axes, "Players in flow by minute of the game, % of all players")
    ends = []
    for result in results:
        values = [100 * share for share in result.by_minute]
        minutes = [minute + 0.5 for minute in range(len(values))]
        color = COLORS[result.arm.name]
        dash = (0, (4, 2)) if result.arm.name == "affect, camera off" else "solid"
        axes.plot(minutes, values, color=color, linewidth=2, linestyle=dash)
        ends.append((values[-1], result.arm.name, color))
    axes.set_xlabel("minute", color=MUTED)
    axes.set_ylim(0, None)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    _name_ends(axes, ends)


def _differences(axes: Axes, results: dict[str, list[Result]]) -> None:
    """Draw the difference in time in flow from the policy `performance`, for every set of assumptions."""
    style(axes, "Difference in time in flow from performance, points")
    _listed(axes, list(results))
    axes.grid(visible=False, axis="y")
    axes.grid(axis="x", color=GRID, linewidth=0.8)
    axes.axvline(0, color=COLORS[BASELINE], linewidth=1.4, zorder=1)
    axes.axhline(0.5, color=GRID, linewidth=1)
    shown = [result.arm.name for result in next(iter(results.values())) if result.arm.name not in ("fixed", BASELINE)]
    for row, world in enumerate(results.values()):
        for result in world:
            if result.arm.name in shown:
                shift = 0.22 * (shown.index(result.arm.name) - (len(shown) - 1) / 2)
                _point(axes, row + shift, result.differences["flow"], COLORS[result.arm.name], small=True)
    axes.xaxis.set_major_locator(MaxNLocator(8, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:+g}".replace("-", "−") if value else "0"))
    axes.get_yticklabels()[0].set(weight="bold", color=INK)


def _point(axes: Axes, row: float, metric: MetricValue, color: str, *, scale: float = 100, small: bool = False) -> None:
    """Draw a metric as a dot on the line of its interval, with its number unless `small`."""
    if math.isnan(metric.value):
        return
    low, value, high = (scale * end for end in (metric.low, metric.value, metric.high))
    axes.plot([low, high], [row, row], color=color, linewidth=2 if small else 2.5, solid_capstyle="round")
    axes.plot(value, row, "o", color=color, markersize=5 if small else 7, markeredgecolor="white", zorder=5)
    if not small:
        number = f"{value:.1f}" if scale == 100 else f"{value:.2f}"
        axes.annotate(number, (value, row), (0, 7), textcoords="offset points", ha="center", color=color, size=9)


def _listed(axes: Axes, names: Sequence[str]) -> None:
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.7)
    axes.margins(x=0.12)


def _name_ends(axes: Axes, ends: list[tuple[float, str, str]]) -> None:
    """Write the names next to the last points, and move them apart if they would overlap."""
    low, high = axes.get_ylim()
    ends = sorted(ends)
    heights = [(value - low) / (high - low) for value, _, _ in ends]
    for index in range(1, len(heights)):
        heights[index] = max(heights[index], heights[index - 1] + 0.075)
    over = max(heights[-1] - 1, 0.0)
    for height, (_, name, color) in zip(heights, ends, strict=True):
        axes.text(1.015, height - over, name, transform=axes.transAxes, color=color, va="center", size=10)
