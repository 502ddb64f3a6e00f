"""Google Custom Search, for users who already have a key: Google accepts no new customers and ends it on 2027-01-01.

It states no licences, so its images are never released. They may be used only for private training, if that is legal.
https://developers.google.com/custom-search/v1/overview
"""

import hashlib
import logging
from collections.abc import Callable, Mapping
from datetime import date
from typing import Any

from fer_lightning.collect.http.client import ImageClient
from fer_lightning.collect.providers.fields import digest, text, web_url, whole
from fer_lightning.collect.providers.provider import (
    DAY,
    RATES,
    Candidate,
    Query,
    SearchFailed,
    SearchPage,
    ask,
    host,
    in_range,
    sorted_out,
)
from fer_lightning.errors import UserError

log = logging.getLogger("fer_lightning")

END = date(2027, 1, 1)
MOST_RESULTS = 100  # maximum results of a query: start + num must not be larger
INSTEAD = "Use provider=openverse or provider=commons, which state licences and need no key, or provider=local."
EXPLANATIONS = {
    400: "GOOGLE_API_KEY and GOOGLE_CX in .env must be copied from your Google Cloud console.",
    403: "PERMISSION_DENIED: Google accepts no new customers. It also rejects a key that is restricted, or whose "
    f"project has switched the Custom Search API off. {INSTEAD}",
}


class Google:
    """Provider for Google Custom Search; see `provider.py`.

    endpoint          URL of the Custom Search JSON API
    page_size         images per request, at most 10
    image_type        face, photo, clipart, lineart, stock or animated
    rights            filter by the licence that Google assumes, such as cc_publicdomain|cc_attribute; None: no filter
    requests_per_day  maximum requests in 24 hours; 100 are free
    today             function that returns the date, for tests
    """

    name = "google"
    hosts = None
    licence_known = False
    terms_url = "https://developers.google.com/custom-search/v1/overview"
    terms_checked_on = "2026-11-22"
    everything = None

    def __init__(
        self,
        client: ImageClient,
        keys: Mapping[str, str] | None = None,
        *,
        endpoint: str,
        page_size: int = 10,
        image_type: str = "face",
        rights: str | None = None,
        requests_per_minute: float = 60,
        requests_per_day: int | None = 100,
        today: Callable[[], date] = date.today,
    ) -> None:
        in_range("page_size", page_size, 1, 10)
        in_range("requests_per_minute", requests_per_minute, *RATES)
        in_range("requests_per_day", 1 if requests_per_day is None else requests_per_day, 1, 10_000)
        self.client, self.endpoint, self.today = client, endpoint, today
        self.keys = {name: (keys or {}).get(name, "").strip() for name in ("GOOGLE_API_KEY", "GOOGLE_CX")}
        self.page_size, self.image_type, self.rights = page_size, image_type, rights
        self.requests_per_minute, self.requests_per_day = requests_per_minute, requests_per_day

    def ready(self) -> None:
        if self.today() >= END:
            raise UserError(f"provider=google: Google ended the Custom Search API on {END}. {INSTEAD}")
        missing = [name for name, value in self.keys.items() if not value]
        if missing:
            raise UserError(
                f"{' and '.join(missing)}: not set. provider=google reads them from .env (a copy of .env.example). "
                f"Google issues no new keys. {INSTEAD}"
            )
        log.warning("provider=google states no licences, and Google ends it on %s. %s", END, INSTEAD)

    def search(self, query: Query, cursor: str | None) -> SearchPage:
        """Return one page; the cursor is the number of its first image, from 1."""
        start = int(cursor or 1)
        number = min(self.page_size, MOST_RESULTS - start)
        params = {
            "key": self.keys["GOOGLE_API_KEY"],
            "cx": self.keys["GOOGLE_CX"],
            "q": query.text,
            "searchType": "image",
            "imgType": self.image_type,
            "safe": "active",
            "num": str(number),
            "start": str(start),
        }
        if self.rights:
            params["rights"] = self.rights
        answer = ask(self.client, "Google", self.endpoint, params, explanations=EXPLANATIONS, spent_for=DAY)
        items = answer.data.get("items", [])
        if not isinstance(items, list):
            raise SearchFailed("Google sent no list of items")
        candidates, dropped = sorted_out(items[:number], self._candidate)
        following = start + number
        more = bool(items) and _has_next(answer.data) and following < MOST_RESULTS
        return SearchPage(candidates, str(following) if more else None, None, answer.sha256, dropped)

    def _candidate(self, item: Any) -> Candidate | str:
        """Return the candidate, or the reason why the image cannot be used."""
        if not isinstance(item, dict):
            return "no description"
        image_url = web_url(item.get("link"))
        if image_url is None:
            return "no image URL"
        image = item["image"] if isinstance(item.get("image"), dict) else {}
        landing_url = web_url(image.get("contextLink"))
        return Candidate(
            provider=self.name,
            provider_id=hashlib.sha256(image_url.encode()).hexdigest(),
            image_url=image_url,
            landing_url=landing_url,
            title=text(item.get("title")),
            attribution=f"found at {host(landing_url)}" if landing_url else None,
            width=whole(image.get("width")),
            height=whole(image.get("height")),
            raw_sha256=digest(item),
        )


def _has_next(data: dict[str, Any]) -> bool:
    queries = data.get("queries")
    return isinstance(queries, dict) and bool(queries.get("nextPage"))
