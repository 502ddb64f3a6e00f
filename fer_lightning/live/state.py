"""What a player seems to be, from faces and from what they type: two channels, one log-linear pool."""

from dataclasses import dataclass
from typing import Literal

STATES = ("frustrated", "bored", "engaged")
Name = Literal["frustrated", "bored", "engaged", "unknown"]


@dataclass(frozen=True)
class PlayerState:
    """The estimate at one moment.

    name           one of STATES, or `unknown` where no channel says enough
    confidence     0 (nothing is known) to 1
    probabilities  of STATES, in that order, sum 1
    channels       weight of each channel, 0 (silent) to 1: {"face": 0.4, "text": 0.0}
    reasons        in words, the weightiest first
    """

    name: Name
    confidence: float
    probabilities: tuple[float, float, float]
    channels: dict[str, float]
    reasons: tuple[str, ...]
