"""Take and print the measurements of the benchmarks, one JSON line each."""

import json
import re
import statistics
import time
from collections.abc import Callable


def compare(name: str, unit: str, ours: Callable[[], float], reference: Callable[[], float], repeats: int) -> None:
    """Print one ratio; `ours` and `reference` each do the work once and return their measurement."""
    compare_with_each(unit, ours, {name: reference}, repeats)


def compare_with_each(
    unit: str, ours: Callable[[], float], references: dict[str, Callable[[], float]], repeats: int
) -> None:
    """Print one ratio per reference, with its name; `ours` and all references run in turn."""
    works = [ours, *references.values()]
    turns = [[work() for work in works] for _ in range(1 + repeats)][1:]  # the first turn warms up
    reached, *others = (statistics.median(values) for values in zip(*turns, strict=True))
    for name, expected in zip(references, others, strict=True):
        line = {
            "name": name,
            "ours": round(reached, 3),
            "reference": round(expected, 3),
            "unit": unit,
            "ratio": round(reached / expected, 3),
            "repeats": repeats,
        }
        print(json.dumps(line), flush=True)


def bounded(name: str, unit: str, reached: float, limit: float) -> None:
    """Print one measurement that has an absolute limit."""
    print(json.dumps({"name": name, "ours": round(reached, 3), "limit": limit, "unit": unit}), flush=True)


def measured(name: str, unit: str, reached: float) -> None:
    """Print one measurement without a reference or limit."""
    print(json.dumps({"name": name, "ours": round(reached, 3), "unit": unit}), flush=True)


def seconds(work: Callable[[], object]) -> float:
    """Return the seconds that `work` takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def cpu_seconds(work: Callable[[], object]) -> float:
    """Return the CPU time of the process, which equals the wall time of one thread on an idle machine."""
    start = time.process_time()
    work()
    return time.process_time() - start


def megabytes(key: str, status: str) -> float:
    """Return a value of Linux's /proc/PID/status, which is in kB, in MB."""
    return int(re.search(rf"{key}:\s+(\d+) kB", status)[1]) / 1024
