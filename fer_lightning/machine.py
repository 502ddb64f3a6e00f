"""Properties of this machine."""

import os
from pathlib import Path


def cpu_cores() -> int:
    """Return the number of CPU cores that this process may use, or of all cores if the system does not say."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def fitting_experiment() -> str:
    """Return the word that `python train.py` needs here: on a CPU, its default network would train for days."""
    return "" if Path("/proc/driver/nvidia").exists() else " experiment=fer2013_cpu"
