"""How much of the server one connection may take, and how many there may be: nobody slows another player down."""

import math
from collections import deque
from dataclasses import dataclass, fields

from fer_lightning.errors import UserError


@dataclass(frozen=True)
class Caps:
    """What is refused beyond; the defaults fit a camera of 5 to 15 frames a second.

    connections             players at once
    connections_per_second  new ones, of all; as many as `connections` may come in one burst
    message_bytes           of one JSON text
    frame_bytes             of one picture
    frame_side              pixels of a picture's longer side
    frames_per_second       of one connection; a burst of twice as many is let through, and what comes faster is dropped
    texts_per_second        of one connection, texts and other messages but frames alike; bursts of ten times as many
    mistakes                refused messages after which a connection ends; one is forgiven each half minute
    hello_seconds           until hello; within three times as long a connection must have become a WebSocket
    idle_seconds            without any message
    send_seconds            a client may take to read what is sent, and to answer a ping
    """

    connections: int = 64
    connections_per_second: float = 10.0
    message_bytes: int = 4096
    frame_bytes: int = 512 * 1024
    frame_side: int = 1280
    frames_per_second: float = 15.0
    texts_per_second: float = 5.0
    mistakes: int = 20
    hello_seconds: float = 10.0
    idle_seconds: float = 1800.0
    send_seconds: float = 5.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not (value > 0 and math.isfinite(value)):
                raise UserError(f"caps.{field.name}={value}: more than 0; the default is {field.default}")


class Bucket:
    """Lets `rate` things a second pass on average, and `burst` at once (token bucket)."""

    def __init__(self, rate: float, burst: float) -> None:
        self._rate, self._burst = rate, burst
        self._left = burst
        self._time: float | None = None

    def take(self, now: float) -> bool:
        """Whether one more may pass at this time, seconds of a clock that does not go back."""
        if self._time is not None:
            self._left = min(self._burst, self._left + self._rate * max(0.0, now - self._time))
        self._time = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


class Busyness:
    """Whether frames of a connection are dropped for a while, rather than now and then."""

    SECONDS = 3.0  # that are looked back
    SHARE = 0.2  # of the frames of that time that must have been dropped

    def __init__(self) -> None:
        self._past: deque[tuple[float, int, int]] = deque()

    def rate(self, now: float, looked: int, dropped: int) -> float | None:
        """Frames a second that are looked at, where that is less than what comes; else None.

        looked, dropped  frames of the connection so far; to be asked several times a second
        """
        self._past.append((now, looked, dropped))
        if now - self._past[0][0] < self.SECONDS:
            return None
        began, looked_then, dropped_then = self._past.popleft()
        seen, lost = looked - looked_then, dropped - dropped_then
        return seen / (now - began) if lost > self.SHARE * (seen + lost) else None
