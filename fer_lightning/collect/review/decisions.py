"""Decisions of the reviewers, stored as events, and the current decision of each face.

An event is never changed. The latest event is the one with the latest decision time, not the one that arrived last,
because a browser may send events late. An undo is an event that names another event; the face's previous decision is
then current again. The page undoes an annotator's own events of the pass, the latest first. It has no redo. Events of
one key press have the same time and are undone together.
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
LEAST_TWICE = 50  # minimum number of faces in a second pass, if the first pass has as many
LONGEST = 24 * 60 * 60 * 1000  # maximum milliseconds spent on one face
AHEAD = timedelta(minutes=1)  # maximum time that a browser's clock may be ahead of this machine's clock

_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", re.ASCII)
_VERSION = re.compile(r"[0-9a-f]{1,64}")
_COLUMNS = ("time", "face", "pass", "action", "label", "undoes", "ms_spent", "page_version")


@dataclass(frozen=True)
class ReviewDecision:
    """A decision that was not undone. `label` is the class of an accepted face, otherwise None."""

    event: str
    time: str
    face: int
    pass_: int
    annotator: str
    action: str
    label: str | None

    @property
    def outcome(self) -> str:
        """Label of an accepted face, otherwise the action."""
        return self.label or self.action


@dataclass(frozen=True)
class Waiting:
    """A face to decide about. `emotion` is the emotion whose search found its image first."""

    face: int
    crop_id: str
    emotion: str


@dataclass
class Receipt:
    """Ids of the stored events, and the rejected events: {"event": id or None, "reason": message}."""

    acknowledged: list[str] = field(default_factory=list)
    refused: list[dict[str, str | None]] = field(default_factory=list)


class _Refused(Exception):
    """An event that is not stored; its text is the message for the reviewer."""


def valid_decisions(collection: Collection, *, pass_: int, annotator: str | None = None) -> list[ReviewDecision]:
    """Return the decisions of a pass that were not undone, the earliest first; of one annotator or of all."""
    rows = collection.rows(_STANDING, pass_, annotator)
    return [
        ReviewDecision(
            row["event"], row["time"], row["face"], row["pass"], row["annotator"], row["action"], row["label"]
        )
        for row in rows
    ]


def current(collection: Collection, *, pass_: int, annotator: str | None = None) -> dict[int, ReviewDecision]:
    """Return {face: its latest decision that was not undone}; of one annotator, or of any annotator."""
    return {decision.face: decision for decision in valid_decisions(collection, pass_=pass_, annotator=annotator)}


_STANDING = """
SELECT * FROM done_decision WHERE pass = ?1 AND (?2 IS NULL OR annotator = ?2) ORDER BY time, id
"""


def worklist(collection: Collection, *, emotion: str | None) -> list[Waiting]:
    """Return the kept faces of images that were found for an emotion (None: for any), in the order of detection.

    New faces are added at the end, so that each face keeps its index.
    """
    return [Waiting(row["id"], row["crop_id"], row["emotion"]) for row in collection.rows(_WORKLIST, emotion)]


# For each group, SQLite returns the row that has the minimum.
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
    """Return the faces of a second pass: a random share of the faces decided in the first, at least 50, shuffled.

    Order and choice depend only on the faces' pixels and the seed. Faces that were already decided in this second pass
    (`begun`) stay in it when more faces are decided in the first pass.
    """
    again = [one for one in waiting if one.face in decided]
    again.sort(key=lambda one: hashlib.sha256(f"{seed} {one.crop_id}".encode()).digest())
    count = max(LEAST_TWICE, round(share * len(again)))
    return [one for index, one in enumerate(again) if index < count or one.face in begun]


def tally(decisions: Iterable[ReviewDecision]) -> Counter[str]:
    """Return the number of faces by label, or by the action that rejected them."""
    return Counter(decision.outcome for decision in decisions)


def record(
    collection: Collection, events: Sequence[object], *, pass_: int, annotator: str, classes: Sequence[str]
) -> Receipt:
    """Store events from the page in one transaction; return which are on disk.

    An event that is already stored is acknowledged again and not stored twice. An invalid event is rejected with a
    message, and the other events are stored. If sqlite3.OperationalError is raised, no event is stored.
    """
    receipt = Receipt()
    with collection.writing():
        for event in events:
            try:
                receipt.acknowledged.append(_store(collection, event, pass_, annotator, classes))
            except _Refused as refusal:
                name = event.get("event") if isinstance(event, dict) else None
                is_id = isinstance(name, str) and _ID.fullmatch(name)
                receipt.refused.append({"event": name if is_id else None, "reason": str(refusal)})
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
            raise _Refused("another event with the same id is already stored")
        return name
    _check_references(collection, event, pass_, annotator)
    collection.add("decision", {"event": name, **row})
    return name


def _decided_at(time: str, received: str) -> str:
    """Return the event's time; if it is in the future, the time of receipt, so that later events can replace it."""
    ahead = datetime.fromisoformat(time) - datetime.fromisoformat(received)
    return received if ahead > AHEAD else time


def _check_form(event: Any, pass_: int, classes: Sequence[str]) -> None:
    if not isinstance(event, Mapping):
        raise _Refused("an event must be a JSON object")
    _demand(_is(event.get("event"), _ID), "event: must be a UUID in lower case")
    _demand(_is_time(event.get("time")), "time: must have the form 2026-01-31T12:00:00.000Z")
    _demand(_whole(event.get("face"), 1, 2**63 - 1), "face: must be a whole number from 1")
    _demand(event.get("pass") == pass_, f"pass {event.get('pass')!r}: must be {pass_}, the pass of this review")
    _demand(event.get("action") in ACTIONS, f"action {event.get('action')!r}: must be one of {', '.join(ACTIONS)}")
    label, undoes = event.get("label"), event.get("undoes")
    if event["action"] == "accept":
        _demand(label in classes, f"label {label!r}: must be one of {', '.join(classes)}")
    else:
        _demand(label is None, f"label {label!r}: only the action accept has a label")
    if event["action"] == UNDO:
        _demand(_is(undoes, _ID), "undoes: must be the UUID of the event to undo")
    else:
        _demand(undoes is None, "undoes: only the action undo has this field")
    spent, version = event.get("ms_spent"), event.get("page_version")
    _demand(spent is None or _whole(spent, 0, LONGEST), f"ms_spent: must be 0 to {LONGEST} milliseconds")
    _demand(version is None or _is(version, _VERSION), "page_version: must be hexadecimal digits")


def _check_references(collection: Collection, event: Mapping[str, Any], pass_: int, annotator: str) -> None:
    """Check that the face is the one on the page and still current, and that an undo names an own decision about it."""
    crop = collection.value("SELECT crop_id FROM face WHERE id = ? AND status = 'face'", event["face"])
    _demand(crop is not None and crop == event.get("crop"), "the collection has no such face")
    still = collection.value("SELECT 1 FROM current_face WHERE id = ?", event["face"])
    _demand(still, "this face was replaced: its image was processed again under other rules. Reload the page.")
    if event["action"] == UNDO:
        values = event["undoes"], event["face"], pass_, annotator
        own_decision = collection.value(
            "SELECT 1 FROM decision WHERE event = ? AND face = ? AND pass = ? AND annotator = ? AND action <> 'undo'",
            *values,
        )
        _demand(
            own_decision is not None, f"undoes {event['undoes']}: not a decision of yours about this face in this pass"
        )


def _demand(true: object, words: str) -> None:
    if not true:
        raise _Refused(words)


def _is(value: object, pattern: re.Pattern[str]) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None


def _is_time(value: object) -> bool:
    """Return True for a valid UTC time to the millisecond; such times can be compared as text."""
    if not _is(value, _TIME):
        return False
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return False
    return True


def _whole(value: object, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
