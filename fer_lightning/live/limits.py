"""Limits of each connection and of their number, so that no player slows down another."""

import math
from collections import deque
from dataclasses import dataclass, fields

from fer_lightning.errors import UserError


@dataclass(frozen=True)
class Caps:
    """Maximum values. The defaults are suitable for a camera with 5 to 15 frames per second.

    connections             players at the same time
    connections_per_second  new connections per second, server-wide; bursts up to `connections`
    message_bytes           size of one JSON message
    frame_bytes             size of one frame
    frame_side              longer side of a frame, in pixels
    frames_per_second       frames of one connection; bursts up to twice this number; faster frames are dropped
    texts_per_second        messages of one connection except frames; bursts up to ten times this number
    mistakes                refused messages before a connection ends; one is forgiven every 30 seconds
    hello_seconds           seconds until hello; the WebSocket must be open within three times this time
    idle_seconds            seconds without any message
    send_seconds            seconds for a client to read a message or to answer a ping
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
                raise UserError(f"caps.{field.name}={value}: must be greater than 0. The default is {field.default}.")


class Bucket:
    """Token bucket: `rate` items per second on average, and at most `burst` at once."""

    def __init__(self, rate: float, burst: float) -> None:
        self._rate, self._burst = rate, burst
        self._left = burst
        self._time: float | None = None

    def take(self, now: float) -> bool:
        """Return True if one more item may pass at `now`, in seconds of a monotonic clock."""
        if self._time is not None:
            self._left = min(self._burst, self._left + self._rate * max(0.0, now - self._time))
        self._time = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


class Busyness:
    """Detector of a busy server: frames of a connection are dropped for seconds, not only once."""

    SECONDS = 3.0  # length of the observed time
    SHARE = 0.2  # share of dropped frames in that time from which the server counts as busy

    def __init__(self) -> None:
        self._past: deque[tuple[float, int, int]] = deque()

    def rate(self, now: float, looked: int, dropped: int) -> float | None:
        """Return the processed frames per second if the server is busy, else None. Call it several times a second.

        looked   processed frames of the connection so far
        dropped  dropped frames of the connection so far
        """
        self._past.append((now, looked, dropped))
        if now - self._past[0][0] < self.SECONDS:
            return None
        began, looked_then, dropped_then = self._past.popleft()
        seen, lost = looked - looked_then, dropped - dropped_then
        return seen / (now - began) if lost > self.SHARE * (seen + lost) else None
