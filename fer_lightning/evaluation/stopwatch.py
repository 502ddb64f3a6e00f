"""How long a call takes, for what a run, an evaluation or an export says of its speed."""

import statistics
import time
from collections.abc import Callable

SECONDS = 2.0  # about as long is measured
REPEATS = (2, 100)


def median_seconds(call: Callable[[], object]) -> float:
    """After one call to warm up; a call whose result comes to the CPU makes a GPU finish its work."""
    call()
    times: list[float] = []
    while len(times) < REPEATS[0] or (sum(times) < SECONDS and len(times) < REPEATS[1]):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return statistics.median(times)
