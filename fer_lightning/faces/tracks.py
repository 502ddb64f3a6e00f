"""Which face of this frame is which of the last one: by position alone, so that nobody is recognised.

Nothing is kept of what a face looks like. Who leaves the picture and comes back after `keep_seconds` is somebody new,
and two people who change places within one frame are taken for each other.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

Box = tuple[float, float, float, float]  # x, y, width, height

REACH = 1.0  # how far a face's centre may move between two looks, in sides of the face
RESIZE = 2.0  # by how much its side may grow or shrink


@dataclass(frozen=True)
class Track:
    """A face that is followed.

    id        1, 2, ...; none is given twice
    box       where it was seen last
    smoothed  (K,): its probabilities, averaged over the last looks
    """

    id: int
    box: Box
    smoothed: np.ndarray


class Tracks:
    """The faces of one camera or video. Not for several threads at once.

    keep_seconds    how long a face may be out of sight and still be the same
    smooth_seconds  time constant of the exponential average: a look of so long ago counts 1/e of a new one;
                    0: the last look alone
    """

    def __init__(self, keep_seconds: float = 1.0, smooth_seconds: float = 1.0) -> None:
        self._keep, self._smooth = keep_seconds, smooth_seconds
        self._seen: dict[int, tuple[Track, float]] = {}
        self._last_id = 0

    def update(self, now: float, boxes: Sequence[Box], probabilities: np.ndarray) -> list[Track]:
        """The tracks of a frame's faces, in their order.

        now            seconds of a clock that does not go back; a jump of more than `keep_seconds`, either way, forgets
        boxes          in a unit in which a step to the right is as long as one down: pixels
        probabilities  (n, K), a row for each box
        """
        self._seen = {id: kept for id, kept in self._seen.items() if abs(now - kept[1]) <= self._keep}
        known = _matched([track for track, _ in self._seen.values()], boxes)
        tracks = []
        for number, (box, fresh) in enumerate(zip(boxes, probabilities, strict=True)):
            track = self._followed(now, known.get(number), box, np.array(fresh, np.float64))
            self._seen[track.id] = track, now
            tracks.append(track)
        return tracks

    def _followed(self, now: float, id: int | None, box: Box, fresh: np.ndarray) -> Track:
        """The next state of a track; None: of a new one."""
        if id is None:
            self._last_id += 1
            return Track(self._last_id, box, fresh)
        track, seen = self._seen[id]
        share = 1.0 - math.exp(-max(0.0, now - seen) / self._smooth) if self._smooth else 1.0
        return Track(id, box, track.smoothed + share * (fresh - track.smoothed))


def _matched(tracks: Sequence[Track], boxes: Sequence[Box]) -> dict[int, int]:
    """The id of each box that continues a track, by the box's number: the closest pairs first, each taken once."""
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
    """Overlap (intersection over union) minus the centres' distance in sides of the face; None: not the same face."""
    sides = [math.sqrt(max(0.0, width * height)) for _, _, width, height in (one, other)]
    side = sum(sides) / 2
    distance = math.dist(*((x + width / 2, y + height / 2) for x, y, width, height in (one, other)))
    if min(sides) <= 0.0 or distance > REACH * side or max(sides) > RESIZE * min(sides):
        return None
    return overlap(one, other) - distance / side


def overlap(one: Box, other: Box) -> float:
    """Intersection over union, 0 to 1."""
    across = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    down = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    common = max(0.0, across) * max(0.0, down)
    whole = one[2] * one[3] + other[2] * other[3] - common
    return common / whole if whole > 0 else 0.0
