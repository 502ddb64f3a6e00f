"""Comparison of two runs of one config, bit for bit, without their times."""

import csv
from pathlib import Path
from typing import Any

import torch

TIMINGS = ("seconds", "images_per_second")


def table_without_timings(folder: Path) -> list[dict[str, str]]:
    """metrics.csv of a run, less the columns that no two runs share."""
    with open(folder / "metrics.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    return [{k: v for k, v in row.items() if k not in TIMINGS} for row in rows]


def assert_same_outcome(folder: Path, undisturbed: Path) -> None:
    """Weights, averages, optimiser, loops, metrics and predictions of two finished runs are equal."""
    assert table_without_timings(folder) == table_without_timings(undisturbed)
    assert (folder / "predictions.csv").read_bytes() == (undisturbed / "predictions.csv").read_bytes()
    for name in ("last.ckpt", "best.ckpt"):
        ours, theirs = (torch.load(path / "checkpoints" / name, weights_only=True) for path in (folder, undisturbed))
        assert difference(ours, theirs) is None, name


def difference(ours: Any, theirs: Any, place: str = "") -> str | None:
    """Return the first difference between two nested values, apart from times; None if they are equal."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        if ours.keys() != theirs.keys():
            return f"{place}: {sorted(map(str, ours.keys() ^ theirs.keys()))}"
        pairs = [(f"{place}/{key}", ours[key], theirs[key]) for key in ours if key not in TIMINGS]
    elif isinstance(ours, list | tuple) and isinstance(theirs, list | tuple) and len(ours) == len(theirs):
        pairs = [(f"{place}/{i}", *pair) for i, pair in enumerate(zip(ours, theirs, strict=True))]
    elif isinstance(ours, torch.Tensor):
        return None if torch.equal(ours, theirs) else f"{place}: {(ours - theirs).abs().max()}"
    else:
        return None if ours == theirs else f"{place}: {ours} or {theirs}"
    return next((found for pair in pairs if (found := difference(pair[1], pair[2], pair[0]))), None)
