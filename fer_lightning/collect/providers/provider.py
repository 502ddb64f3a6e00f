"""Interface of all image providers: one page of one query at a time, with licence and creator of each image.

A new provider is one module with a subclass of `Provider`, and one YAML in conf/collect/provider/ that names it.
"""

import json
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any, ClassVar
from urllib.parse import urlsplit

from fer_lightning.collect.http.client import ImageClient, Refused
from fer_lightning.collect.providers.fields import text
from fer_lightning.collect.providers.licences import unusable
from fer_lightning.config.settings import Settings, setting

DAY = 86_400.0
REFUSALS = (401, 403)


@dataclass(frozen=True)
class Query:
    """A search query: its text, its language (ISO 639-1), and the emotion to search for."""

    text: str
    language: str
    emotion: str


@dataclass(frozen=True)
class Candidate:
    """An image that a provider offers. Texts are plain, short and without control characters; URLs are http(s).

    provider_id     the provider's own identifier, which stays the same in every answer
    image_url       URL to fetch; a file:// URL for images on this machine
    licence         cc0, pdm, by, by-sa, by-nc, by-nc-sa, by-nd, by-nc-nd, own or unknown: see `licences.py`
    licence_source  origin of the licence: api, manifest or setting
    restrictions    rights other than copyright that the provider warns of, such as personality rights
    raw_sha256      SHA-256 of the provider's description of the image
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
class Unlicensed:
    """An offered image whose licence does not allow its collection, and the reason as text."""

    candidate: Candidate
    reason: str


@dataclass(frozen=True)
class Quota:
    """Limits that a provider reported.

    remaining  requests left; None if not reported
    resets_at  time (UTC) when more requests are allowed; None if not reported
    detail     the limits as text
    """

    remaining: int | None
    resets_at: str | None
    detail: str


@dataclass(frozen=True)
class SearchPage:
    """One answered page.

    next_cursor  None if the query is exhausted
    dropped      numbers of unusable images, by reason
    unlicensed   unusable images, if their licence is the reason; an image of this kind may have been collected before
    """

    candidates: list[Candidate]
    next_cursor: str | None
    quota: Quota | None
    response_sha256: str
    dropped: Mapping[str, int] = field(default_factory=dict)
    unlicensed: Sequence[Candidate] = ()


class SearchFailed(Exception):
    """A search request failed.

    reason       message for the user
    retry_after  seconds that the provider asks to wait; None: not reported
    final        True if every other request would fail now too
    """

    def __init__(self, reason: str, retry_after: float | None = None, final: bool = False) -> None:
        super().__init__(reason)
        self.reason, self.retry_after, self.final = reason, retry_after, final


@dataclass(frozen=True)
class Provider(Settings, ABC):
    """Provider of images. The fields that `setting` makes are the keys `provider.*`; a new provider adds its own.

    client               HTTP client
    keys                 API keys and contact address, from .env
    name                 name in the database
    hosts                hosts of its images; None: any public host
    states_licences      True if it states licences; images without a licence are never released
    terms_url            URL of the terms of use
    terms_checked_on     date when the terms were last read
    requests_per_minute  maximum requests per minute
    requests_per_day     maximum requests in any 24 hours; None: each answer reports how many are left
    everything           None; or, if it offers all it has for any query, the name that replaces the query
    """

    client: ImageClient | None = None
    keys: Mapping[str, str] = field(default_factory=dict)

    name: ClassVar[str]
    hosts: ClassVar[Sequence[str] | None] = None
    states_licences: ClassVar[bool]
    terms_url: ClassVar[str]
    terms_checked_on: ClassVar[str]
    requests_per_minute: ClassVar[float]
    requests_per_day: ClassVar[int | None] = None
    everything: ClassVar[str | None] = None

    @abstractmethod
    def ready(self) -> None:
        """Raise UserError, with the fix, if keys, contact or date do not allow the provider's use."""

    @abstractmethod
    def search(self, query: Query, cursor: str | None) -> SearchPage:
        """Return one page, the first if `cursor` is None; raise SearchFailed if the request fails."""


@dataclass(frozen=True)
class Answer:
    """JSON answer of a provider, with its headers (names in lower case) and the SHA-256 of its bytes."""

    data: dict[str, Any]
    headers: Mapping[str, str]
    sha256: str


def ask(
    client: ImageClient,
    title: str,
    endpoint: str,
    params: Mapping[str, str],
    *,
    explanations: Mapping[int, str] = MappingProxyType({}),
    spent_for: float | None = None,
) -> Answer:
    """Send a GET request to `endpoint` and return its JSON object; raise SearchFailed if that fails.

    explanations  the provider's meaning of an HTTP status; such a failure is final
    spent_for     seconds to wait after a status 429 without a Retry-After header
    """
    try:
        data, headers, sha256 = client.get_json(endpoint, dict(params), hosts=(host(endpoint),))
    except Refused as refused:
        if refused.http_status == 429 and refused.retry_after is None:
            refused.retry_after = spent_for
        raise _failure(title, refused, explanations) from None
    if not isinstance(data, dict):
        raise SearchFailed(f"{title} sent JSON of the type {type(data).__name__} instead of an object")
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
    """Return an API's error message, from {detail}, {error: {message}} or {error: {info}}; None if it has none."""
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        return None
    error = data.get("error", data) if isinstance(data, dict) else {}
    error = error if isinstance(error, dict) else {"detail": error}
    return next(filter(None, (text(error.get(name), 200) for name in ("message", "info", "detail"))), None)


def pace(default: float, comment: str) -> Any:
    """Return the field `requests_per_minute` of a provider."""
    return setting(default, f"maximum requests per minute{comment}", minimum=0.1, maximum=10_000)


def usable_candidates(
    offers: Iterable[Any], candidate: Callable[[Any], Candidate | Unlicensed | str]
) -> tuple[list[Candidate], Counter, list[Candidate]]:
    """Return the usable candidates of a page, the numbers of unusable ones by reason, and those without a licence.

    candidate  function that returns a Candidate, or the reason why the image cannot be used
    """
    results = [candidate(offer) for offer in offers]
    usable = [result for result in results if isinstance(result, Candidate)]
    unlicensed = [result for result in results if isinstance(result, Unlicensed)]
    dropped = Counter(result for result in results if isinstance(result, str))
    dropped.update(result.reason for result in unlicensed)
    return usable, dropped, [result.candidate for result in unlicensed]


def licensed(candidate: Candidate) -> Candidate | Unlicensed:
    """Return the candidate if its licence allows its collection, otherwise why not."""
    reason = unusable(candidate.licence)
    return Unlicensed(candidate, reason) if reason else candidate


def in_seconds(seconds: float) -> str:
    """Return the time a number of seconds from now, in the database's format."""
    return (datetime.now(UTC) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def host(url: str) -> str:
    """Return the host of a URL in lower case; an empty text if it has none."""
    try:
        return (urlsplit(url).hostname or "").lower()
    except ValueError:
        return ""
