"""Time of a call, for the speeds that a run, an evaluation or an export reports."""

import statistics
import time
from collections.abc import Callable

SECONDS = 2.0  # approximate time of all calls
REPEATS = (2, 100)  # least and largest number of calls


def median_seconds(call: Callable[[], object]) -> float:
    """Return the median seconds of a call, after one warm-up call.

    On a GPU the call must copy its result to the CPU. Otherwise it returns before the GPU has finished.
    """
    call()
    times: list[float] = []
    while len(times) < REPEATS[0] or (sum(times) < SECONDS and len(times) < REPEATS[1]):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return statistics.median(times)
