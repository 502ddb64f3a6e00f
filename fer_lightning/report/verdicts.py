"""Phrases about the differences of a sweep: verdicts with intervals, in percentage points."""

from fer_lightning.statistics.resampling import FEWEST_SEEDS
from fer_lightning.statistics.significance import Difference


def verdict(difference: Difference, seeds: int, comparisons: int, against: int = 0) -> str:
    """Return a phrase that says whether a difference was shown, with its interval and the number of seeds.

    seeds    number of seeds, the smaller of both arms; with fewer than five, the interval does not contain the
             variation between seeds
    against  number of seeds whose difference has not the same sign
    """
    if difference.shown:
        word = "higher" if difference.value > 0 else "lower"
        low, high = sorted(100 * abs(end) for end in (difference.low, difference.high))
        amount = f"{word} by {100 * abs(difference.value):.1f} points [{low:.1f}, {high:.1f}]"
        return f"{amount}{_which_seeds(seeds)}{f', though not {word} for {against} of them' if against else ''}"
    interval = f"{points(difference.value)} [{points(difference.low)}, {points(difference.high)}]"
    if difference.low > 0 or difference.high < 0:
        return f"no difference shown after correction for {comparisons} comparisons: {interval}"
    return f"no difference shown: {interval}"


def _which_seeds(seeds: int) -> str:
    if seeds >= FEWEST_SEEDS:
        return f" over {seeds} seeds"
    return f" for {'this one seed' if seeds == 1 else f'these {seeds} seeds'}"


def points(share: float) -> str:
    """Return the share in percentage points, for example `+1.2`, `−0.3` or `0.0`."""
    text = f"{100 * share:+.1f}".replace("-", "−")
    return "0.0" if text in ("+0.0", "−0.0") else text
