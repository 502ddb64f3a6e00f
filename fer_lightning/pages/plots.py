"""Figures of a run folder: curves, confusion matrix, per-class bars and grids of faces.

Each function takes plain data, writes one PNG under a temporary name, flushes and renames it, and returns its path.
The functions do not use pyplot and have no global state, so they are safe in threads and in long runs.
This module does not import torch.
"""

import csv
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter

from fer_lightning.files import replacing
from fer_lightning.statistics import metrics

INK, MUTED, GREY, LIGHT, GRID = "#222222", "#777777", "#999999", "#AAAAAA", "#E6E6E6"
BLUE, ORANGE, SKY = "#0072B2", "#D55E00", "#56B4E9"
TRAIN, TRAIN_EVAL, VAL = LIGHT, BLUE, ORANGE
SHADES = LinearSegmentedColormap.from_list("white_to_blue", ["#F7F9FB", "#9CC7E4", BLUE, "#003D66"])
DPI = 130

Row = Mapping[str, object]
Series = tuple[str, np.ndarray, str]  # name, values per epoch, colour


def curves(rows: Sequence[Row] | str | os.PathLike, path: str | os.PathLike, title: str = "") -> Path:
    """Plot accuracy, loss, overfitting gap and learning rate by epoch, and mark the best epoch.

    rows   one mapping per epoch, or the path of a metrics.csv. Columns: epoch, lr, train/loss, train/acc,
           train_eval/ce, train_eval/acc, val/ce, val/acc (accuracies 0 to 1); any may be missing or NaN.
    """
    rows = _read(rows)
    epoch = _column(rows, "epoch")
    epoch = np.where(np.isnan(epoch), np.arange(len(epoch)), epoch)
    accuracy = [
        ("train, augmented", _column(rows, "train/acc"), TRAIN),
        ("train, as evaluated", _column(rows, "train_eval/acc"), TRAIN_EVAL),
        ("validation", _column(rows, "val/acc"), VAL),
    ]
    loss = [
        ("train, as optimised", _column(rows, "train/loss"), TRAIN),
        ("train, as evaluated", _column(rows, "train_eval/ce", "train_eval/loss"), TRAIN_EVAL),
        ("validation", _column(rows, "val/ce", "val/loss"), VAL),
    ]
    gap = [("", accuracy[1][1] - accuracy[2][1], INK)]
    rate = [("", _column(rows, "lr"), INK)]

    figure = Figure(figsize=(12.5, 6.6), layout="constrained")
    figure.get_layout_engine().set(h_pad=0.07, wspace=0.04, hspace=0.04)
    top, bottom = figure.subplots(2, 2, sharex=True, height_ratios=[3.2, 1])
    for axes in bottom:
        axes.set_xlabel("epoch", color=MUTED)
        axes.xaxis.set_major_locator(MaxNLocator(8, integer=True, min_n_ticks=1, steps=[1, 2, 5, 10]))
        axes.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
    best = _best(accuracy[2][1])
    _lines(top[0], epoch, accuracy, "accuracy", best)
    _lines(top[1], epoch, loss, "cross-entropy; grey: the loss as optimised", best)
    _lines(bottom[0], epoch, gap, "overfitting gap in points: train as evaluated minus validation", best)
    _lines(bottom[1], epoch, rate, "learning rate", best)
    top[0].yaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))
    bottom[0].yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.6g}"))
    bottom[1].yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.6g}"))
    if best is not None:
        value = accuracy[2][1][best]
        top[0].plot(epoch[best], value, "o", color=VAL, markersize=7, markeredgecolor="white", zorder=5)
        note = f"best validation accuracy {_percent(value)} at epoch {epoch[best]:g}"
        title = f"{title} · {note}" if title else note
    _headline(figure, title)
    return _save(figure, path)


def confusion(matrix: np.ndarray, classes: Sequence[str], path: str | os.PathLike, title: str = "") -> Path:
    """Plot a confusion matrix (K, K) of counts: rows true, columns predicted, colour by share of the row."""
    matrix = np.asarray(matrix)
    size, support = len(classes), matrix.sum(axis=1)
    shares = matrix / np.maximum(support, 1)[:, None]
    figure = Figure(figsize=(2.4 + 0.92 * size, 1.9 + 0.82 * size), layout="constrained")
    axes = figure.subplots()
    axes.imshow(shares, cmap=SHADES, vmin=0, vmax=1, aspect="auto")
    for (i, j), count in np.ndenumerate(matrix):
        if count:
            color = "white" if shares[i, j] > 0.57 else INK
            weight = "bold" if i == j else "normal"
            axes.text(
                j,
                i - 0.1,
                f"{100 * shares[i, j]:.0f} %",
                ha="center",
                va="center",
                color=color,
                size=13,
                weight=weight,
            )
            axes.text(j, i + 0.24, f"{count:,}", ha="center", va="center", color=color, size=8.5, alpha=0.8)
    axes.set_xticks(range(size), classes, size=11)
    names = [f"{name}\n{_count(n)}" for name, n in zip(classes, support, strict=True)]
    axes.set_yticks(range(size), names, size=11)
    axes.set_xticks(np.arange(size + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(size + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=2)
    axes.tick_params(which="both", length=0, colors=INK)
    axes.spines[:].set_visible(False)
    axes.set_xlabel("predicted", color=MUTED, size=11, labelpad=8)
    axes.set_ylabel("true", color=MUTED, size=11, labelpad=8)
    figures = f"accuracy {_percent(metrics.accuracy(matrix))}, mean recall {_percent(metrics.recall_mean(matrix))}"
    _headline(figure, f"{title} · {figures}" if title else figures)
    return _save(figure, path)


def per_class(
    matrix: np.ndarray,
    classes: Sequence[str],
    path: str | os.PathLike,
    title: str = "",
    intervals: Mapping[str, np.ndarray] | None = None,
) -> Path:
    """Plot recall, precision and F1 of each class from a confusion matrix (K, K), above the class's row count.

    intervals  (K, 2), low and high, for each of `recall`, `precision` and `f1`; drawn as whiskers
    """
    matrix = np.asarray(matrix)
    support = matrix.sum(axis=1)
    scores = metrics.per_class(matrix)
    figures = [("recall", "recall", BLUE), ("precision", "precision", SKY), ("f1", "F1", GREY)]
    figure = Figure(figsize=(2.5 + 1.35 * len(classes), 5.6), layout="constrained")
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=[3.6, 1])
    positions = np.arange(len(classes))
    for shift, (key, name, color) in zip((-0.27, 0, 0.27), figures, strict=True):
        values, ends = scores[key], np.nan_to_num(scores[key])
        top.bar(positions + shift, ends, 0.25, color=color, label=name)
        if intervals is not None:
            low, high = np.nan_to_num(intervals[key].T)
            top.vlines(positions + shift, low, high, color=INK, linewidth=1.2)
            ends = np.maximum(ends, high)
        for x, value, end in zip(positions + shift, values, ends, strict=True):
            text = "–" if np.isnan(value) else f"{100 * value:.0f}"
            top.text(x, end + 0.012, text, ha="center", va="bottom", size=9, color=INK)
    top.set_ylim(0, 1.08)
    top.set_yticks(np.arange(0, 1.01, 0.25))
    top.yaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
    style(top, "")
    top.legend(
        loc="lower left",
        bbox_to_anchor=(0, 1),
        ncols=3,
        frameon=False,
        borderpad=0,
        handlelength=1,
        fontsize=11,
    )
    bottom.bar(positions, support, 0.6, color=LIGHT)
    for x, count in zip(positions, support, strict=True):
        bottom.text(x, count, f"{count:,}", ha="center", va="bottom", size=9, color=INK)
    bottom.set_ylim(0, 1.3 * max(support.max(), 1))
    bottom.yaxis.set_major_locator(MaxNLocator(2, integer=True))
    style(bottom, "rows")
    bottom.set_xticks(positions, classes, size=11, color=INK)
    _headline(figure, title)
    return _save(figure, path)


def face_grid(
    images: Sequence[Sequence[np.ndarray | None]],
    row_labels: Sequence[str],
    column_labels: Sequence[str],
    path: str | os.PathLike,
    title: str = "",
) -> Path:
    """Plot a grid of faces, one list per row: an original and its augmented views, or an STN's input and output.

    images   (H, W), (1, H, W), (3, H, W) or (H, W, 3), integers 0 to 255 or floats in [0, 1] (clipped),
             of any size; None leaves a gap.
    row_labels, column_labels   may be shorter than the grid, or empty.
    """
    rows, columns = len(images), max((len(row) for row in images), default=0)
    cell, gap = 1.15, 0.07  # inches
    left = 0.15 + 0.095 * max((len(label) for label in row_labels), default=0)
    top = 0.12 + 0.3 * bool(column_labels) + 0.42 * bool(title)
    width, height = left + columns * (cell + gap) + 0.1, top + rows * (cell + gap) + 0.1
    figure = Figure(figsize=(width, height))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.axis("off")
    for i, row in enumerate(images):
        for j, image in enumerate(row):
            if image is not None:
                x, y = left + j * (cell + gap), top + i * (cell + gap)
                axes.imshow(_pixels(image), cmap="gray", vmin=0, vmax=1, extent=(x, x + cell, y + cell, y))
    axes.set(xlim=(0, width), ylim=(height, 0), aspect="equal")
    for i, label in enumerate(row_labels[:rows]):
        y = top + i * (cell + gap) + cell / 2
        axes.text(left - 0.1, y, label, ha="right", va="center", size=10, color=INK)
    for j, label in enumerate(column_labels[:columns]):
        x = left + j * (cell + gap) + cell / 2
        axes.text(x, top - 0.08, label, ha="center", va="bottom", size=10, color=INK)
    axes.text(left, 0.16, title, ha="left", va="top", size=13, weight="bold", color=INK)
    return _save(figure, path)


def _read(rows: Sequence[Row] | str | os.PathLike) -> list[Row]:
    if isinstance(rows, str | os.PathLike):
        with open(rows, newline="") as file:
            return list(csv.DictReader(file))
    return list(rows)


def _column(rows: Sequence[Row], *names: str) -> np.ndarray:
    """Return the first column with a number as float (N,); missing and infinite values become NaN."""
    values = np.full(len(rows), np.nan)
    for name in names:
        values = np.array([_number(row.get(name)) for row in rows], np.float64)
        if not np.isnan(values).all():
            break
    return values


def _number(value: object) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return math.nan
    return number if math.isfinite(number) else math.nan


def _best(values: np.ndarray) -> int | None:
    """Return the index of the earliest maximum; None if all values are NaN."""
    return None if np.isnan(values).all() else int(np.nanargmax(values))


def _lines(axes: Axes, epoch: np.ndarray, series: Sequence[Series], title: str, best: int | None) -> None:
    """Draw lines with their names at the right ends, and the best epoch as a thin vertical line."""
    style(axes, title)
    if len(epoch):
        margin = 0.02 * np.ptp(epoch) or 0.5
        axes.set_xlim(epoch.min() - margin, epoch.max() + margin)
    ends = []
    for name, values, color in series:
        recorded = ~np.isnan(values)
        if not recorded.any():
            continue
        marker = "o" if recorded.sum() < 4 else None
        axes.plot(epoch[recorded], values[recorded], color=color, linewidth=2, marker=marker, markersize=5)
        ends.append((epoch[recorded][-1], values[recorded][-1], name, color))
    if not ends:
        axes.text(0.5, 0.5, "not recorded", transform=axes.transAxes, ha="center", va="center", color=MUTED)
        axes.set_yticks([])
        return
    if best is not None:
        axes.axvline(epoch[best], color=MUTED, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
    _name_ends(axes, ends)


def _name_ends(axes: Axes, ends: list[tuple[float, float, str, str]], apart: float = 0.06) -> None:
    """Write names next to the last points, at least `apart` of the axes' height from each other."""
    low, high = axes.get_ylim()
    ends = sorted(ends, key=lambda end: end[1])
    heights = [(value - low) / (high - low) for _, value, _, _ in ends]
    wanted = list(heights)
    for i in range(1, len(heights)):
        heights[i] = max(heights[i], heights[i - 1] + apart)
    shift = sum(wanted) / len(wanted) - sum(heights) / len(heights)
    for height, (_, _, name, color) in zip(heights, ends, strict=True):
        axes.text(1.015, height + shift, name, transform=axes.transAxes, color=_dark(color), va="center", size=10)


def _dark(color: str) -> str:
    return MUTED if color == TRAIN else color


def style(axes: Axes, title: str) -> None:
    """Apply the project's plot style to one set of axes."""
    axes.set_title(title, loc="left", size=11, color=INK)
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color("#BBBBBB")
    axes.tick_params(length=0, labelcolor=MUTED, labelsize=10)


def _headline(figure: Figure, title: str) -> None:
    if title:
        figure.suptitle(title, x=0.012, ha="left", size=13, weight="bold", color=INK)


def _count(rows: int) -> str:
    return "1 row" if rows == 1 else f"{rows:,} rows"


def _percent(share: float) -> str:
    return "–" if math.isnan(share) else f"{100 * share:.2f} %"


def _pixels(image: np.ndarray) -> np.ndarray:
    """Return the image as float (H, W) or (H, W, 3) in [0, 1]."""
    image = np.asarray(image)
    image = image / 255 if np.issubdtype(image.dtype, np.integer) else np.clip(np.nan_to_num(image), 0, 1)
    if image.ndim == 3 and image.shape[0] in (1, 3):
        image = np.moveaxis(image, 0, -1)
    return image[..., 0] if image.ndim == 3 and image.shape[-1] == 1 else image


def _save(figure: Figure, path: str | os.PathLike) -> Path:
    with replacing(Path(path)) as file:
        figure.savefig(file, format="png", dpi=DPI, facecolor="white", bbox_inches="tight", pad_inches=0.2)
    return Path(path)
