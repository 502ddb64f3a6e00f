"""Limits of each connection and of their number, so that no player slows down another."""

from collections import deque
from dataclasses import dataclass

from fer_lightning.config.settings import Settings, setting


@dataclass(frozen=True, kw_only=True)
class Caps(Settings):
    """Maximum values. The defaults are suitable for a camera with 5 to 15 frames per second."""

    connections: int = setting(64, "players at the same time", minimum=1)
    connections_per_second: float = setting(
        10, "new connections per second, server-wide; bursts up to caps.connections", above=0
    )
    message_bytes: int = setting(4096, "bytes of one JSON message", minimum=1)
    frame_bytes: int = setting(512 * 1024, "bytes of one frame; 524288: 512 KB", minimum=1)
    frame_side: int = setting(1280, "pixels of the longer side of a frame", minimum=1)
    frames_per_second: float = setting(
        15, "frames per second of one connection; bursts up to twice this number; faster frames are dropped", above=0
    )
    texts_per_second: float = setting(
        5, "messages per second of one connection except frames; bursts up to ten times this number", above=0
    )
    mistakes: int = setting(
        20, "rejected messages before a connection ends; one is forgiven every 30 seconds", minimum=1
    )
    hello_seconds: float = setting(
        10, "seconds until hello; the WebSocket must be open within three times this time", above=0
    )
    idle_seconds: float = setting(1800, "seconds without any message; 1800: half an hour", above=0)
    send_seconds: float = setting(5, "seconds for a client to read a message or to answer a ping", above=0)


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
