"""What reviewers did, event by event, and what stands of it.

An event is never changed. Which is the latest goes by when it was decided, not by when it came: a browser may deliver
late. Taking one back is an event of its own that names it; what the face's decision was before then stands again. The
page goes back through an annotator's own standing events of the pass, the latest first; there is no way forward again
but to decide anew. Events of one key press bear the same time and are taken back together.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Collection as Several
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from fer_lightning.collect.store.collection import Collection, now

UNDO = "undo"
ACTIONS = ("accept", "reject", "unsure", "duplicate", "minor", "illustration", UNDO)
LEAST_TWICE = 50  # faces that a second pass looks at, where there are as many
LONGEST = 24 * 60 * 60 * 1000  # milliseconds over one face
AHEAD = timedelta(minutes=1)  # that a browser's clock may be of this machine's

_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", re.ASCII)
_VERSION = re.compile(r"[0-9a-f]{1,64}")
_COLUMNS = ("time", "face", "pass", "action", "label", "undoes", "ms_spent", "page_version")


@dataclass(frozen=True)
class Decision:
    """One that stands. `label` is the class of an accepted face, else None."""

    event: str
    time: str
    face: int
    pass_: int
    annotator: str
    action: str
    label: str | None

    @property
    def outcome(self) -> str:
        """The label of an accepted face, else the action."""
        return self.label or self.action


@dataclass(frozen=True)
class Waiting:
    """A face to decide about: `emotion` is the one that was searched for when its picture was found first."""

    face: int
    crop_id: str
    emotion: str


@dataclass
class Receipt:
    """Which events are on disk, by id, and why others are not: {"event": id or None, "reason": words}."""

    acknowledged: list[str] = field(default_factory=list)
    refused: list[dict[str, str | None]] = field(default_factory=list)


class _Refused(Exception):
    """An event that is not stored, with the words for whoever sent it."""


def standing(collection: Collection, *, pass_: int, annotator: str | None = None) -> list[Decision]:
    """Every decision of a pass that was not taken back, the earliest first; of one annotator or of all."""
    rows = collection.rows(_STANDING, pass_, annotator)
    return [
        Decision(row["event"], row["time"], row["face"], row["pass"], row["annotator"], row["action"], row["label"])
        for row in rows
    ]


def current(collection: Collection, *, pass_: int, annotator: str | None = None) -> dict[int, Decision]:
    """{face: its latest standing decision}; of one annotator, or of whoever decided last."""
    return {decision.face: decision for decision in standing(collection, pass_=pass_, annotator=annotator)}


_STANDING = """
SELECT * FROM decision
WHERE pass = ?1 AND (?2 IS NULL OR annotator = ?2) AND action <> 'undo'
  AND event NOT IN (SELECT undoes FROM decision WHERE undoes IS NOT NULL)
ORDER BY time, id
"""


def worklist(collection: Collection, *, emotion: str | None) -> list[Waiting]:
    """The faces that are kept, of pictures that were found for an emotion or for any, in the order of detection.

    Faces that are added later come behind, so that a face keeps its place.
    """
    return [Waiting(row["id"], row["crop_id"], row["emotion"]) for row in collection.rows(_WORKLIST, emotion)]


# Of the rows of a group SQLite gives the one that has the minimum.
_WORKLIST = """
SELECT face.id, face.crop_id, page.emotion, min(page.id)
FROM current_face AS face
JOIN current_deduped AS deduped ON deduped.face = face.id
JOIN fetch ON fetch.image = face.image AND fetch.status = 'stored'
JOIN finding ON finding.candidate = fetch.candidate
JOIN page ON page.id = finding.page
WHERE face.status = 'face' AND deduped.status = 'unique' AND (?1 IS NULL OR page.emotion = ?1)
GROUP BY face.id ORDER BY face.id
"""


def second_look(
    waiting: Sequence[Waiting], decided: Several[int], begun: Several[int], *, share: float, seed: int
) -> list[Waiting]:
    """The faces of a second pass: a random share of those that the first has decided, at least 50, in random order.

    Order and choice depend on the faces' pixels and the seed alone; faces that this second pass has already decided
    (`begun`) stay in it when more are decided in the first.
    """
    again = [one for one in waiting if one.face in decided]
    again.sort(key=lambda one: hashlib.sha256(f"{seed} {one.crop_id}".encode()).digest())
    count = max(LEAST_TWICE, round(share * len(again)))
    return [one for place, one in enumerate(again) if place < count or one.face in begun]


def tally(decisions: Iterable[Decision]) -> Counter[str]:
    """How many faces each label has, and how many were left out by which action."""
    return Counter(decision.outcome for decision in decisions)


def record(
    collection: Collection, events: Sequence[object], *, pass_: int, annotator: str, classes: Sequence[str]
) -> Receipt:
    """Store events as the page sends them, in one transaction, and say which are on disk.

    An event that is there already is acknowledged again and not stored twice. One that is not right is refused in
    words, and the others are stored. sqlite3.OperationalError: none is stored.
    """
    receipt = Receipt()
    with collection.writing():
        for event in events:
            try:
                receipt.acknowledged.append(_store(collection, event, pass_, annotator, classes))
            except _Refused as refusal:
                name = event.get("event") if isinstance(event, dict) else None
                known = isinstance(name, str) and _ID.fullmatch(name)
                receipt.refused.append({"event": name if known else None, "reason": str(refusal)})
    return receipt


def _store(collection: Collection, event: object, pass_: int, annotator: str, classes: Sequence[str]) -> str:
    _check_form(event, pass_, classes)
    name = event["event"]
    stored = collection.rows("SELECT * FROM decision WHERE event = ?", name)
    received = stored[0]["received"] if stored else now()
    row = {column: event.get(column) for column in _COLUMNS} | {"annotator": annotator, "received": received}
    row["time"] = _decided_at(event["time"], received)
    if stored:
        if any(stored[0][column] != value for column, value in row.items()):
            raise _Refused("another event of the same id is stored already")
        return name
    _check_references(collection, event, pass_, annotator)
    collection.add("decision", {"event": name, **row})
    return name


def _decided_at(time: str, received: str) -> str:
    """The event's own time, or that of its receipt: nobody decides in the future, to stand over all that comes then."""
    ahead = datetime.fromisoformat(time) - datetime.fromisoformat(received)
    return received if ahead > AHEAD else time


def _check_form(event: Any, pass_: int, classes: Sequence[str]) -> None:
    if not isinstance(event, Mapping):
        raise _Refused("an event is an object of JSON")
    _demand(_is(event.get("event"), _ID), "event: a UUID in lower case")
    _demand(_is_time(event.get("time")), "time: as 2026-01-31T12:00:00.000Z")
    _demand(_whole(event.get("face"), 1, 2**63 - 1), "face: a number from 1")
    _demand(event.get("pass") == pass_, f"pass {event.get('pass')!r}: this is the review's pass {pass_}")
    _demand(event.get("action") in ACTIONS, f"action {event.get('action')!r}: one of {', '.join(ACTIONS)}")
    label, undoes = event.get("label"), event.get("undoes")
    if event["action"] == "accept":
        _demand(label in classes, f"label {label!r}: one of {', '.join(classes)}")
    else:
        _demand(label is None, f"label {label!r}: only an accepted face has one")
    if event["action"] == UNDO:
        _demand(_is(undoes, _ID), "undoes: the UUID of the event to take back")
    else:
        _demand(undoes is None, "undoes: only for the action undo")
    spent, version = event.get("ms_spent"), event.get("page_version")
    _demand(spent is None or _whole(spent, 0, LONGEST), f"ms_spent: milliseconds, 0 to {LONGEST}")
    _demand(version is None or _is(version, _VERSION), "page_version: hexadecimal digits")


def _check_references(collection: Collection, event: Mapping[str, Any], pass_: int, annotator: str) -> None:
    """The face is the one that was seen, still its picture's, and an undo takes back an own decision about it."""
    crop = collection.value("SELECT crop_id FROM face WHERE id = ? AND status = 'face'", event["face"])
    _demand(crop is not None and crop == event.get("crop"), "no such face in this collection")
    still = collection.value("SELECT 1 FROM current_face WHERE id = ?", event["face"])
    _demand(still, "its picture was looked at anew under other rules, and this face no longer counts; reload the page")
    if event["action"] == UNDO:
        values = event["undoes"], event["face"], pass_, annotator
        known = collection.value(
            "SELECT 1 FROM decision WHERE event = ? AND face = ? AND pass = ? AND annotator = ? AND action <> 'undo'",
            *values,
        )
        _demand(known is not None, f"undoes {event['undoes']}: no decision of yours about this face in this pass")


def _demand(true: object, words: str) -> None:
    if not true:
        raise _Refused(words)


def _is(value: object, pattern: re.Pattern[str]) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None


def _is_time(value: object) -> bool:
    """UTC to the millisecond, of a day and hour that exist, so that times compare as text."""
    if not _is(value, _TIME):
        return False
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return False
    return True


def _whole(value: object, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
