"""The interface of every source of pictures: one page of one query at a time, with licence and creator.

A new source is one module with a class of these attributes and methods, and one YAML in conf/collect/provider/.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any, Protocol
from urllib.parse import urlsplit

from fer_lightning.collect.http.client import Client, Refused
from fer_lightning.collect.providers.fields import text
from fer_lightning.errors import UserError

DAY = 86_400.0
REFUSALS = (401, 403)
RATES = (0.1, 10_000)  # requests a minute


@dataclass(frozen=True)
class Query:
    """What is asked: the words, their language (ISO 639-1), the emotion they look for."""

    text: str
    language: str
    emotion: str


@dataclass(frozen=True)
class Candidate:
    """A picture that a provider offers. Texts are plain, short and without control characters; addresses are http(s).

    provider_id  the provider's own name of it: it is offered again under the same
    image_url    what is fetched; a file:// address for pictures on this machine
    licence      cc0, pdm, by, by-sa, by-nc, by-nc-sa, by-nd, by-nc-nd, own or unknown: see `licences.py`
    licence_source  who says so: api, manifest or setting
    restrictions rights other than copyright that the provider warns of, such as personality
    raw_sha256   of what the provider said about it
    """

    provider: str
    provider_id: str
    image_url: str
    landing_url: str | None = None
    title: str | None = None
    creator: str | None = None
    creator_url: str | None = None
    licence: str = "unknown"
    licence_version: str | None = None
    licence_url: str | None = None
    licence_source: str | None = None
    attribution: str | None = None
    restrictions: str | None = None
    width: int | None = None
    height: int | None = None
    tags: tuple[str, ...] = ()
    raw_sha256: str | None = None


@dataclass(frozen=True)
class Quota:
    """What the provider said about its limits: requests left, None where it did not say; when there are more (UTC)."""

    remaining: int | None
    resets_at: str | None
    detail: str


@dataclass(frozen=True)
class Page:
    """One answer. `next_cursor` None: the query is exhausted. `dropped` counts offers that are of no use, by reason."""

    candidates: list[Candidate]
    next_cursor: str | None
    quota: Quota | None
    response_sha256: str
    dropped: Mapping[str, int] = field(default_factory=dict)


class SearchFailed(Exception):
    """A request without an answer.

    reason       in words
    retry_after  seconds that the provider asks to wait; None: it did not say
    final        no other request would fare better now
    """

    def __init__(self, reason: str, retry_after: float | None = None, final: bool = False) -> None:
        super().__init__(reason)
        self.reason, self.retry_after, self.final = reason, retry_after, final


class Provider(Protocol):
    """name                 as it stands in the database
    hosts                where its pictures lie; None: any public host of the open web
    licence_known        whether it tells licences; without one nothing is ever released
    terms_url            the terms of use, read last on `terms_checked_on`
    requests_per_minute  how often it may be asked
    requests_per_day     in any 24 hours; None: it says itself, with each answer, what is left
    everything           None, or what stands for the query where it offers all it has, whatever one asks
    """

    name: str
    hosts: tuple[str, ...] | None
    licence_known: bool
    terms_url: str
    terms_checked_on: str
    requests_per_minute: float
    requests_per_day: int | None
    everything: str | None

    def ready(self) -> None:
        """UserError where keys, contact or date do not allow its use, with the next command."""

    def search(self, query: Query, cursor: str | None) -> Page:
        """One page; `cursor` None is the first. Raises SearchFailed."""


@dataclass(frozen=True)
class Answer:
    """A provider's JSON, the headers that came with it and the SHA-256 of its bytes."""

    data: dict[str, Any]
    headers: Mapping[str, str]
    sha256: str


def ask(
    client: Client,
    title: str,
    endpoint: str,
    params: Mapping[str, str],
    *,
    explanations: Mapping[int, str] = MappingProxyType({}),
    spent_for: float | None = None,
) -> Answer:
    """GET `endpoint`, whose answer must be a JSON object; whatever goes wrong is SearchFailed.

    explanations  by HTTP status, what the provider means by it; such a failure is final
    spent_for     seconds to wait after a 429 that does not say how long
    """
    try:
        data, headers, sha256 = client.get_json(endpoint, dict(params), hosts=(host(endpoint),))
    except Refused as refused:
        if refused.http_status == 429 and refused.retry_after is None:
            refused.retry_after = spent_for
        raise _failure(title, refused, explanations) from None
    if not isinstance(data, dict):
        raise SearchFailed(f"{title} sent a {type(data).__name__} where an object was expected")
    return Answer(data, {name.lower(): value for name, value in headers.items()}, sha256)


def _failure(title: str, refused: Refused, explanations: Mapping[int, str]) -> SearchFailed:
    status, waiting = refused.http_status, None if refused.retry_after is None else min(refused.retry_after, DAY)
    said = _error_message(refused.body)
    answered = f"{title} answered {status}: {refused.reason}" if (status or 0) >= 400 else f"{title}: {refused.detail}"
    words = f'{answered} ("{said}")' if said else answered
    if status in explanations:
        return SearchFailed(f"{words}. {explanations[status]}", waiting, final=True)
    return SearchFailed(words, waiting, final=status in REFUSALS)


def _error_message(body: bytes) -> str | None:
    """What an API says of an error: {detail}, {error: {message}} or {error: {info}}."""
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        return None
    error = data.get("error", data) if isinstance(data, dict) else {}
    error = error if isinstance(error, dict) else {"detail": error}
    return next(filter(None, (text(error.get(name), 200) for name in ("message", "info", "detail"))), None)


def sorted_out(offers: Iterable[Any], candidate: Callable[[Any], Candidate | str]) -> tuple[list[Candidate], Counter]:
    """The pictures among a provider's offers, and how many are of no use, by the reason that `candidate` gives."""
    found = [candidate(offer) for offer in offers]
    return [one for one in found if isinstance(one, Candidate)], Counter(one for one in found if isinstance(one, str))


def in_seconds(seconds: float) -> str:
    """The moment so many seconds from now, as it stands in the database."""
    return (datetime.now(UTC) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def in_range(key: str, value: float, lowest: float, highest: float) -> None:
    """UserError where an option of a provider cannot be meant."""
    if not lowest <= value <= highest:
        raise UserError(f"provider.{key}={value}: allowed: {lowest} to {highest}")


def host(url: str) -> str:
    """The host of an address in lower case, `` where it has none."""
    try:
        return (urlsplit(url).hostname or "").lower()
    except ValueError:
        return ""
