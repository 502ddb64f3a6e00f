"""States of a player, and their log-likelihoods, which fade with time."""

import math
from collections.abc import Sequence

STATES = ("frustrated", "bored", "engaged")
Evidence = tuple[float, float, float]  # log-likelihoods of STATES in nats, mean 0; three zeros: no evidence
NOTHING: Evidence = (0.0, 0.0, 0.0)
CLIP = 3.0  # nats; largest evidence of one look at a face, or of all texts together
LOOK = 1.0  # seconds that one look at a face counts for at most, however long ago the previous one was


def centred(values: Sequence[float]) -> Evidence:
    """Return the values minus their mean, clipped to +-CLIP."""
    first, second, third = values
    mean = (first + second + third) / 3
    return _clipped(first - mean), _clipped(second - mean), _clipped(third - mean)


def softmax(values: Sequence[float]) -> Evidence:
    """Return exp(values), divided by their sum."""
    most = max(values)
    first, second, third = (math.exp(value - most) for value in values)
    total = first + second + third
    return first / total, second / total, third / total


def _clipped(value: float) -> float:
    return min(max(value, -CLIP), CLIP)


class Channel:
    """Evidence that fades with the time constant `tau`, in seconds.

    mean      log-likelihoods at the time of the last change
    coverage  share of the last tau seconds with evidence, 0 to 1
    shares    (K,) shares of the classes in that time, multiplied by `coverage`
    """

    def __init__(self, tau: float, classes: int = 0) -> None:
        self.tau = tau
        self.mean = NOTHING
        self.coverage = 0.0
        self.shares = [0.0] * classes
        self._changed = -math.inf

    def kept(self, now: float) -> float:
        """Return the share of the evidence that has not faded at `now`, 0 to 1."""
        return math.exp((self._changed - now) / self.tau) if now > self._changed else 1.0

    def fade(self, now: float) -> None:
        """Let the evidence fade until `now`, without new evidence."""
        self._blend(now, self.kept(now), 0.0, NOTHING, ())

    def look(self, now: float, evidence: Evidence, shares: Sequence[float], quality: float) -> None:
        """Add one moment of a signal: the mean moves towards it, for the time since the last change, LOOK at most."""
        since = min(max(now - self._changed, 0.0), LOOK)
        self._blend(now, self.kept(now), quality * -math.expm1(-since / self.tau), evidence, shares)

    def add(self, now: float, evidence: Evidence) -> None:
        """Add an event, which counts in full and then fades."""
        self._blend(now, self.kept(now), 1.0, evidence, ())
        self.mean = centred(self.mean)
        self.coverage = 1.0

    def _blend(self, now: float, old: float, new: float, evidence: Evidence, shares: Sequence[float]) -> None:
        f, b, e = self.mean
        self.mean = (f * old + evidence[0] * new, b * old + evidence[1] * new, e * old + evidence[2] * new)
        self.coverage = min(self.coverage * old + new, 1.0)
        if shares:
            self.shares = [share * old + one * new for share, one in zip(self.shares, shares, strict=True)]
        elif self.shares:
            self.shares = [share * old for share in self.shares]
        self._changed = now
