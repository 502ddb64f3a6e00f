"""Openverse: openly licensed images of Flickr, museums and others; it needs no key.

It states each work's licence but does not guarantee it. A query returns at most 240 works, so many images need many
queries, not many pages. Each answer reports the remaining requests, in headers such as

    X-RateLimit-Limit-anon_burst: 20/min        X-RateLimit-Available-anon_burst: 17
    X-RateLimit-Limit-anon_sustained: 200/day   X-RateLimit-Available-anon_sustained: 120

https://api.openverse.org/v1/
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fer_lightning.collect.providers.fields import LONGEST_TEXT, digest, tags, text, web_url, whole
from fer_lightning.collect.providers.licences import licence_code
from fer_lightning.collect.providers.provider import (
    Answer,
    Candidate,
    Provider,
    Query,
    Quota,
    SearchFailed,
    SearchPage,
    Unlicensed,
    ask,
    host,
    in_seconds,
    licensed,
    pace,
    usable_candidates,
)
from fer_lightning.config.settings import setting

PERIODS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}  # seconds by the first letter of a rate's unit
_LIMIT, _AVAILABLE = "x-ratelimit-limit-", "x-ratelimit-available-"
_NUMBER = re.compile(r"-?[0-9]{1,9}")
_RATE = re.compile(r"[0-9]+/([smhd])[a-z]*")


@dataclass(frozen=True)
class Openverse(Provider):
    """Provider for Openverse."""

    name = "openverse"
    states_licences = True
    terms_url = "https://docs.openverse.org/terms_of_service.html"
    terms_checked_on = "2026-11-22"

    endpoint: str = setting("https://api.openverse.org/v1/images/", "URL of the image search")
    hosts: list[str] = setting(
        factory=lambda: ["live.staticflickr.com", "cdn.stocksnap.io", "api.openverse.org"],
        comment="hosts of originals; works on other hosts, such as Wikimedia, are fetched as Openverse's rendition, "
        "600 pixels wide",
    )
    page_size: int = setting(
        20, "works per request; for more than 20, Openverse answers 401 without a key", minimum=1, maximum=500
    )
    most_works: int = setting(240, "maximum works that Openverse returns for a query", minimum=1, maximum=10_000)
    license_type: str = setting(
        "modification",
        "modification: works that may be cropped; commercial,modification: works that may also be sold",
    )
    category: str = setting("photograph", "photograph, illustration or digitized_artwork")
    extension: str = setting("jpg,png", "file formats, separated by commas")
    requests_per_minute: float = pace(20, " without a key; each answer reports the daily limit")

    def ready(self) -> None:
        """Do nothing: Openverse needs neither a key nor a contact."""

    def search(self, query: Query, cursor: str | None) -> SearchPage:
        """Return one page; the cursor is the page number, from 1."""
        number = int(cursor or 1)
        params = {
            "q": query.text,
            "page": str(number),
            "page_size": str(self.page_size),
            "license_type": self.license_type,
            "category": self.category,
            "extension": self.extension,
        }
        answer = ask(self.client, "Openverse", self.endpoint, params | {"mature": "false", "filter_dead": "true"})
        works = answer.data.get("results")
        if not isinstance(works, list):
            raise SearchFailed("Openverse sent no list of results")
        candidates, dropped, unlicensed = usable_candidates(works[: self.page_size], self._candidate)
        more = bool(works) and number < self._last_page(answer)
        return SearchPage(
            candidates, str(number + 1) if more else None, _quota(answer.headers), answer.sha256, dropped, unlicensed
        )

    def _last_page(self, answer: Answer) -> int:
        reachable = self.most_works // self.page_size
        return min(whole(answer.data.get("page_count")) or reachable, reachable)

    def _candidate(self, work: Any) -> Candidate | Unlicensed | str:
        """Return the candidate, or the reason why the image cannot be used."""
        if not isinstance(work, dict):
            return "no description"
        licence, _ = licence_code(text(work.get("license")))
        if work.get("mature"):
            return "marked as mature"
        identifier, image_url = text(work.get("id"), 100), self._image_url(work)
        if identifier is None or image_url is None:
            return "no image on an allowed host"
        candidate = Candidate(
            provider=self.name,
            provider_id=identifier,
            image_url=image_url,
            landing_url=web_url(work.get("foreign_landing_url")),
            title=text(work.get("title")),
            creator=text(work.get("creator")),
            creator_url=web_url(work.get("creator_url")),
            licence=licence,
            licence_version=text(work.get("license_version"), 10),
            licence_url=web_url(work.get("license_url")),
            licence_source="api",
            attribution=text(work.get("attribution"), LONGEST_TEXT),
            width=whole(work.get("width")),
            height=whole(work.get("height")),
            tags=tags(_tag_names(work.get("tags"))),
            raw_sha256=digest(work),
        )
        return licensed(candidate)

    def _image_url(self, work: dict[str, Any]) -> str | None:
        urls = (web_url(work.get("url")), web_url(work.get("thumbnail")))
        return next((url for url in urls if url and host(url) in self.hosts), None)


def _tag_names(values: Any) -> list[Any]:
    return [value.get("name") for value in values if isinstance(value, dict)] if isinstance(values, list) else []


def _quota(headers: Mapping[str, str]) -> Quota | None:
    """Return the remaining requests, the smallest number of all limits; None if the headers state no limit.

    If limits are used up, `resets_at` is the end of the longest one.
    """
    left, spent_for, words = [], 0, []
    for name, value in headers.items():
        if name.startswith(_AVAILABLE) and _NUMBER.fullmatch(value):
            scope = name.removeprefix(_AVAILABLE)
            rate = text(headers.get(_LIMIT + scope), 40) or "an unknown rate"
            left.append(max(int(value), 0))
            words.append(f"{scope} {left[-1]} of {rate}")
            if left[-1] == 0:
                spent_for = max(spent_for, _period(rate))
    if not left:
        return None
    resets_at = in_seconds(spent_for) if spent_for else None
    return Quota(min(left), resets_at, ", ".join(words))


def _period(rate: str) -> int:
    """Return the period of a rate such as 200/day in seconds; a day if the rate has another form."""
    match = _RATE.fullmatch(rate)
    return PERIODS[match[1]] if match else PERIODS["d"]
