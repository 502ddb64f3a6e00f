"""The step `search`: request images from a provider, page by page, until there are enough.

The next request is always for the query with the fewest pages so far. So even a short search covers many queries.
A page, its candidates and the provider's limits are written in one transaction, and the next run continues after it.
"""

import json
import logging
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import ceil

from fer_lightning.collect.providers.provider import (
    DAY,
    Candidate,
    Provider,
    Query,
    Quota,
    SearchFailed,
    SearchPage,
    in_seconds,
)
from fer_lightning.collect.store.attempts import TO_FETCH
from fer_lightning.collect.store.collection import Collection, now
from fer_lightning.collect.store.denied import Denied
from fer_lightning.terminal import Progress

log = logging.getLogger("fer_lightning")

PATIENCE = 60.0  # maximum seconds to wait for a provider; if it asks for more, the search ends until another run
MOST_FAILURES = 3  # maximum failed requests in a row
LICENCE = (  # fields of a known candidate that are stored again when one of them changes
    "licence",
    "licence_version",
    "licence_url",
    "licence_source",
    "creator",
    "creator_url",
    "attribution",
    "restrictions",
)


@dataclass
class SearchResult:
    """Result of a search.

    new              number of new candidates
    pages            number of answered requests
    failed           number of failed requests
    denied           number of candidates on the deny-list
    relicensed       number of known candidates whose licence or creator has changed
    dropped          numbers of unusable candidates, by reason
    stopped_because  message: why the search ended, and what to do next
    come_back_at     time (UTC) from which the provider answers again, if its limit is used up
    """

    new: int = 0
    pages: int = 0
    failed: int = 0
    denied: int = 0
    relicensed: int = 0
    dropped: Counter = field(default_factory=Counter)
    stopped_because: str = ""
    come_back_at: str | None = None


def search(
    collection: Collection,
    provider: Provider,
    queries: Sequence[Query],
    *,
    target: int,
    emotion: str,
    config_hash: str,
    version: str,
    oversample: float = 3.0,
    progress: Progress | None = None,
) -> SearchResult:
    """Add candidates until `oversample` undecided images are available for each face that is still missing.

    The number of missing faces is `target` minus the accepted faces of the emotion, whatever they were searched for.
    An image is undecided while this provider may still deliver it. After that it stays undecided until it shows no
    face, is a copy or was decided about. A provider that offers all it has (`everything`) is read to its end,
    whatever the target.

    A failed request is stored with its reason and is repeated when its query has its turn again. The search ends after
    three failures in a row, or after one failure that every other request would share. Limits hold across runs: the
    last limit that the provider reported, its requests per minute and, if it reports no limit, its requests in
    24 hours.
    """
    if provider.everything:
        queries = [Query(provider.everything, "und", emotion)]
    run = _Search(collection, provider, queries, emotion, {"config_hash": config_hash, "version": version})
    run.until(target, oversample, progress)
    if run.result.relicensed:
        log.warning("%s: the licence or creator of %d known images has changed", provider.name, run.result.relicensed)
    return run.result


@dataclass
class _State:
    """State of a query: number of requested pages, next cursor, and whether it is exhausted."""

    turns: int = 0
    cursor: str | None = None
    exhausted: bool = False


class _Search:
    def __init__(
        self,
        collection: Collection,
        provider: Provider,
        queries: Sequence[Query],
        emotion: str,
        origin: Mapping[str, str],
    ) -> None:
        self.collection, self.provider, self.emotion, self.origin = collection, provider, emotion, origin
        self.states = {query: self._state(query) for query in queries}
        self.denied = Denied.of(collection)
        self.failures = 0
        self.result = SearchResult()

    def until(self, target: int, oversample: float, progress: Progress | None) -> None:
        while not self._finished(target, oversample, progress) and not self._limited():
            query = min(
                (query for query, state in self.states.items() if not state.exhausted),
                key=lambda query: self.states[query].turns,
            )
            self.states[query].turns += 1
            try:
                page = self.provider.search(query, self.states[query].cursor)
            except SearchFailed as failure:
                self._write_failure(query, failure)
                if self._gives_up(failure):
                    return
            else:
                self.failures = 0
                self._write_page(query, page)

    # -- when to stop

    def _finished(self, target: int, oversample: float, progress: Progress | None) -> bool:
        accepted = self.collection.value(_ACCEPTED, self.emotion)
        waiting = self.collection.value(_WAITING, self.emotion, self.provider.name)
        wanted = max(ceil((target - accepted) * oversample), 0)
        if progress:
            progress(waiting, max(waiting, wanted))
        if waiting >= wanted and not self.provider.everything:
            self.result.stopped_because = (
                f"enough for {target:,} faces of {self.emotion}: {accepted:,} accepted, {waiting:,} images undecided"
            )
        elif all(state.exhausted for state in self.states.values()):
            self.result.stopped_because = (
                f"read all of {self.provider.everything}"
                if self.provider.everything
                else f"all {len(self.states)} queries are exhausted. To find more, add words in "
                "conf/collect/emotion/ or use another provider="
            )
        return bool(self.result.stopped_because)

    def _limited(self) -> bool:
        """Wait for the provider's limits; return True if that takes too long for this run."""
        waiting = max(self._quota_pause(), self._day_pause(), self._minute_pause())
        if waiting > PATIENCE:
            return self._come_back(waiting, "its limit is used up")
        if waiting > 0:
            time.sleep(waiting)
        return False

    def _come_back(self, waiting: float, why: str) -> bool:
        self.result.come_back_at = in_seconds(waiting)
        moment = self.result.come_back_at[:16].replace("T", " ")
        self.result.stopped_because = f"{why}. Run the same command again after {moment} UTC to continue the search"
        return True

    def _quota_pause(self) -> float:
        row = self.collection.database.execute(_LAST_QUOTA, (self.provider.name,)).fetchone()
        return _until(row["resets_at"]) if row and row["remaining"] == 0 and row["resets_at"] else 0.0

    def _day_pause(self) -> float:
        """Return the seconds until the oldest of a day's requests is a day old."""
        allowed = self.provider.requests_per_day
        if allowed is None:
            return 0.0
        oldest = self.collection.value(_NTH_LAST_PAGE, self.provider.name, allowed - 1)
        return _until(oldest) + DAY if oldest and _until(oldest) + DAY > 0 else 0.0

    def _minute_pause(self) -> float:
        interval = 60 / self.provider.requests_per_minute
        last = self.collection.value(_NTH_LAST_PAGE, self.provider.name, 0)
        return min(max(_until(last) + interval, 0.0), interval) if last else 0.0

    def _gives_up(self, failure: SearchFailed) -> bool:
        """Wait after a failure; if the search must end, set its message and return True."""
        self.failures += 1
        waiting = failure.retry_after or 0.0
        if waiting > PATIENCE:
            return self._come_back(waiting, failure.reason)
        if failure.final or self.failures == MOST_FAILURES:
            many = "" if failure.final else f"{MOST_FAILURES} requests in a row failed: "
            self.result.stopped_because = f"{many}{failure.reason}"
            return True
        time.sleep(waiting)
        return False

    # -- writing to the database

    def _state(self, query: Query) -> _State:
        """Return a query's state from the database; a provider of everything starts again, as it may have more now."""
        if self.provider.everything:
            return _State()
        rows = self.collection.rows(_ANSWERED, self.provider.name, query.text, query.language, query.emotion)
        if not rows:
            return _State()
        cursor = rows[-1]["next_cursor"]
        return _State(len(rows), cursor, exhausted=cursor is None)

    def _page_row(self, query: Query, status: str, **values: str | int | None) -> int:
        row = {
            "provider": self.provider.name,
            "emotion": query.emotion,
            "query": query.text,
            "language": query.language,
            "cursor": self.states[query].cursor,
            "status": status,
        }
        return self.collection.add("page", row | dict(self.origin) | values)

    def _write_failure(self, query: Query, failure: SearchFailed) -> None:
        """Store a failed request; a provider that asks for a long wait counts as a limit that is used up."""
        self.result.failed += 1
        with self.collection.writing():
            self._page_row(query, "failed", reason=failure.reason)
            if (failure.retry_after or 0.0) > PATIENCE:
                self._add_quota(Quota(0, in_seconds(failure.retry_after), failure.reason))
        log.warning("%s, %r: %s", self.provider.name, query.text, failure.reason)

    def _write_page(self, query: Query, page: SearchPage) -> None:
        offers = [candidate for candidate in page.candidates if not self._is_denied(candidate)]
        left_out = ", ".join(f"{count} not usable: {reason}" for reason, count in page.dropped.items())
        with self.collection.writing():
            number = self._page_row(
                query,
                "answered",
                next_cursor=page.next_cursor,
                reason=left_out or None,
                found=len(offers),
                response_sha256=page.response_sha256,
            )
            new = sum(self._add_candidate(number, rank, one) for rank, one in enumerate(offers, start=1))
            for candidate in page.unlicensed:
                self._withdraw_licence(candidate)
            if page.quota:
                self._add_quota(page.quota)
        self.states[query].cursor = page.next_cursor
        self.states[query].exhausted = page.next_cursor is None
        self.result.pages += 1
        self.result.new += new
        self.result.denied += len(page.candidates) - len(offers)
        self.result.dropped.update(page.dropped)

    def _is_denied(self, candidate: Candidate) -> bool:
        """Return True if the deny-list has it. A file is identified by its path, size and time, not by its name."""
        is_file = candidate.image_url.startswith("file:")
        address = candidate.provider_id if is_file else candidate.image_url
        urls = any(map(self.denied.url, (address, candidate.landing_url)))
        return urls or any(map(self.denied.creator, (candidate.creator, candidate.creator_url)))

    def _add_candidate(self, page: int, rank: int, candidate: Candidate) -> bool:
        """Store a candidate; return True if it is new. Its finding is stored once for each query."""
        row = {name: value for name, value in vars(candidate).items() if name != "tags"}
        row |= {"tags": json.dumps(candidate.tags, ensure_ascii=False), "licence_checked_at": now()}
        number = self.collection.add("candidate", row, on_conflict="IGNORE")
        new = number is not None
        number = number or self.collection.value(_CANDIDATE_ID, candidate.provider, candidate.provider_id)
        self.result.relicensed += self._add_licence(number, candidate) and not new
        if new or not self.collection.value(_FOUND_BEFORE, page, number):
            self.collection.add("finding", {"page": page, "candidate": number, "rank": rank}, on_conflict="IGNORE")
        return new

    def _withdraw_licence(self, candidate: Candidate) -> None:
        """Store the new licence of an image that was collected under another one, so that it is not published."""
        number = self.collection.value(_CANDIDATE_ID, candidate.provider, candidate.provider_id)
        if number is not None:
            self.result.relicensed += self._add_licence(number, candidate)

    def _add_licence(self, number: int, candidate: Candidate) -> bool:
        """Store the candidate's licence and creator if they differ from the stored ones; return True if they do."""
        offered = {name: getattr(candidate, name) for name in LICENCE}
        stored = self.collection.rows(_LICENCE, number)
        if changed := not stored or dict(stored[0]) != offered:
            self.collection.add("licence", {"candidate": number, **offered})
        return changed

    def _add_quota(self, quota: Quota) -> None:
        self.collection.add("quota", {"provider": self.provider.name, **vars(quota)})


def _until(moment: str) -> float:
    """Return the seconds from now to a moment; negative if it is in the past."""
    return (datetime.fromisoformat(moment) - datetime.now(UTC)).total_seconds()


_ANSWERED = """
SELECT next_cursor FROM page WHERE provider = ? AND query = ? AND language = ? AND emotion = ? AND status = 'answered'
ORDER BY id
"""
_LAST_QUOTA = "SELECT remaining, resets_at FROM quota WHERE provider = ? ORDER BY id DESC LIMIT 1"
_NTH_LAST_PAGE = "SELECT time FROM page WHERE provider = ? ORDER BY id DESC LIMIT 1 OFFSET ?"
_CANDIDATE_ID = "SELECT id FROM candidate WHERE provider = ? AND provider_id = ?"
_LICENCE = f"SELECT {', '.join(LICENCE)} FROM current_licence WHERE candidate = ?"
_FOUND_BEFORE = """
SELECT 1 FROM page AS this JOIN page AS earlier USING (provider, query, language, emotion)
JOIN finding ON finding.page = earlier.id WHERE this.id = ? AND finding.candidate = ?
"""
_ACCEPTED = "SELECT count(*) FROM accepted_face WHERE label = ?"
# Undecided images of an emotion's search; candidates with the same bytes count once.
_WAITING = f"""
SELECT count(DISTINCT coalesce(source.image, candidate.id))
FROM candidate
LEFT JOIN source ON source.candidate = candidate.id
LEFT JOIN current_face AS face ON face.image = source.image
LEFT JOIN current_deduped AS deduped ON deduped.face = face.id
LEFT JOIN current_settled AS settled ON settled.face = face.id
WHERE candidate.id IN (SELECT candidate FROM finding JOIN page ON page.id = finding.page WHERE page.emotion = ?1)
  AND (source.image IS NOT NULL OR (candidate.provider = ?2 AND candidate.id IN ({TO_FETCH})))
  AND coalesce(face.status, '') <> 'refused' AND coalesce(deduped.status, '') <> 'copy'
  AND (settled.id IS NULL OR (settled.outcome = 'open' AND settled.reason = 'undone'))
"""
