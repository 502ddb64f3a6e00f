"""Tracking of faces from frame to frame, only by position, so that no person is recognised.

The tracker stores nothing about the appearance of a face. A person who leaves the image and returns after
`keep_seconds` gets a new track. If two people change places within one frame, their tracks are swapped.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

Box = tuple[float, float, float, float]  # x, y, width, height

REACH = 1.0  # largest move of a face's centre between two updates, in sides of the face
RESIZE = 2.0  # largest factor by which its side may grow or shrink


@dataclass(frozen=True)
class Track:
    """Tracked face.

    id        1, 2, ...; each number is used once
    box       last position
    smoothed  (K,), its probabilities, averaged over the last updates
    """

    id: int
    box: Box
    smoothed: np.ndarray


class Tracks:
    """Tracks of the faces of one camera or video; not thread-safe.

    keep_seconds    time after which the track of a face that is not visible ends
    smooth_seconds  time constant of the exponential average: an update of this age has 1/e of the weight of a new one;
                    0: only the last update counts
    """

    def __init__(self, keep_seconds: float = 1.0, smooth_seconds: float = 1.0) -> None:
        self._keep, self._smooth = keep_seconds, smooth_seconds
        self._seen: dict[int, tuple[Track, float]] = {}
        self._last_id = 0

    def update(self, now: float, boxes: Sequence[Box], probabilities: np.ndarray) -> list[Track]:
        """Return the tracks of a frame's faces, in the order of `boxes`.

        now            time in seconds; after a jump of more than `keep_seconds`, forward or back, all tracks are new
        boxes          positions in pixels, or in another unit that is equal in both directions
        probabilities  (n, K), one row per box
        """
        self._seen = {id: kept for id, kept in self._seen.items() if abs(now - kept[1]) <= self._keep}
        matches = _matched([track for track, _ in self._seen.values()], boxes)
        tracks = []
        for number, (box, fresh) in enumerate(zip(boxes, probabilities, strict=True)):
            track = self._followed(now, matches.get(number), box, np.array(fresh, np.float64))
            self._seen[track.id] = track, now
            tracks.append(track)
        return tracks

    def _followed(self, now: float, id: int | None, box: Box, fresh: np.ndarray) -> Track:
        """Return the next state of a track; with `id` None, a new track."""
        if id is None:
            self._last_id += 1
            return Track(self._last_id, box, fresh)
        track, seen = self._seen[id]
        share = 1.0 - math.exp(-max(0.0, now - seen) / self._smooth) if self._smooth else 1.0
        return Track(id, box, track.smoothed + share * (fresh - track.smoothed))


def _matched(tracks: Sequence[Track], boxes: Sequence[Box]) -> dict[int, int]:
    """Return the track id of each box that continues a track, by index of the box; the closest pairs match first."""
    pairs = [
        (closeness, track.id, number)
        for track in tracks
        for number, box in enumerate(boxes)
        if (closeness := _closeness(track.box, box)) is not None
    ]
    ids: dict[int, int] = {}
    for _, id, number in sorted(pairs, key=lambda pair: -pair[0]):
        if number not in ids and id not in ids.values():
            ids[number] = id
    return ids


def _closeness(one: Box, other: Box) -> float | None:
    """Return the overlap minus the distance of the centres in sides of the face; None if they are different faces."""
    sides = [math.sqrt(max(0.0, width * height)) for _, _, width, height in (one, other)]
    side = sum(sides) / 2
    distance = math.dist(*((x + width / 2, y + height / 2) for x, y, width, height in (one, other)))
    if min(sides) <= 0.0 or distance > REACH * side or max(sides) > RESIZE * min(sides):
        return None
    return overlap(one, other) - distance / side


def overlap(one: Box, other: Box) -> float:
    """Return intersection over union, 0 to 1."""
    across = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    down = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    common = max(0.0, across) * max(0.0, down)
    whole = one[2] * one[3] + other[2] * other[3] - common
    return common / whole if whole > 0 else 0.0
