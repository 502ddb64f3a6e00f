"""Funnel of the candidates: found, fetched, decoded, face, unique, accepted, and the reason of each loss.

A candidate is counted once, under the query that found it first. So the losses of a query add up.
"""

from collections import Counter
from dataclasses import dataclass, field

from fer_lightning.collect.store.collection import Collection

STAGES = ("found", "fetched", "decoded", "face", "unique", "accepted")
WAITING = "waiting for"


@dataclass
class Funnel:
    """Funnel of one query: candidates that reached each stage, and losses {(stage not reached, reason): count}."""

    query: str
    language: str
    reached: Counter = field(default_factory=Counter)
    losses: Counter = field(default_factory=Counter)

    def add(self, last: str, reason: str | None) -> None:
        """Count a candidate whose last stage is `last`; `reason` says why it did not reach the next stage."""
        index = STAGES.index(last)
        self.reached.update(STAGES[: index + 1])
        if last != STAGES[-1]:
            self.losses[STAGES[index + 1], reason] += 1


def funnels(collection: Collection, *, emotion: str | None = None) -> list[Funnel]:
    """Return one funnel per query with results, in the order of their first pages; for one emotion or all."""
    by_query: dict[tuple[str, str, str], Funnel] = {}
    for row in collection.rows(_ENDS, emotion):
        key = (row["emotion"], row["query"], row["language"])
        funnel = by_query.setdefault(key, Funnel(row["query"], row["language"]))
        funnel.add(*_last_stage(row))
    return list(by_query.values())


def total(parts: list[Funnel]) -> Funnel:
    """Return the sum of the funnels of all queries."""
    whole = Funnel("all", "")
    for part in parts:
        whole.reached += part.reached
        whole.losses += part.losses
    return whole


def lost(collection: Collection) -> list[tuple[str, ...]]:
    """Return (emotion, query, provider, URL, stage not reached, reason, detail) of every lost candidate."""
    rows = []
    for row in collection.rows(_ENDS, None):
        last, reason = _last_stage(row)
        if last != STAGES[-1]:
            stage = STAGES[STAGES.index(last) + 1]
            rows.append((row["emotion"], row["query"], row["provider"], row["image_url"], stage, reason, row["detail"]))
    return rows


_ENDS = """
SELECT candidate.provider, candidate.image_url, page.emotion, page.query, page.language,
  current_fetch.status AS fetched, current_fetch.detail, current_fetch.stage,
  current_fetch.reason AS fetch_reason, owner.candidate = candidate.id AS owns,
  face.status AS face, face.reason AS face_reason, deduped.status AS deduped, deduped.reason AS dedupe_reason,
  settled.outcome, settled.reason AS settled_reason
FROM candidate JOIN first_page ON first_page.candidate = candidate.id JOIN page ON page.id = first_page.page
LEFT JOIN current_fetch ON current_fetch.candidate = candidate.id
LEFT JOIN owner ON owner.image = current_fetch.image
LEFT JOIN current_face AS face ON face.image = current_fetch.image
LEFT JOIN current_deduped AS deduped ON deduped.face = face.id
LEFT JOIN current_settled AS settled ON settled.face = face.id
WHERE ?1 IS NULL OR page.emotion = ?1 ORDER BY page.id, candidate.id
"""


def _last_stage(row) -> tuple[str, str | None]:
    """Return (last stage that a candidate reached, reason why it did not reach the next)."""
    if row["fetched"] != "stored":
        last = "fetched" if row["stage"] == "decode" else "found"
        return last, row["fetch_reason"] or f"{WAITING} fetch"
    if not row["owns"]:
        return "decoded", "same file as another"
    if row["face"] != "face":
        return "decoded", row["face_reason"] or f"{WAITING} detect"
    if row["deduped"] != "unique":
        return "face", row["dedupe_reason"] or f"{WAITING} dedupe"
    if row["outcome"] != "accepted":
        return "unique", row["settled_reason"] or f"{WAITING} review"
    return "accepted", None
