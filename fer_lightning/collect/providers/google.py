"""Google Custom Search, for users who already have a key: Google accepts no new customers and ends it on 2027-01-01.

It states no licences, so its images are never released. They may be used only for private training, if that is legal.
https://developers.google.com/custom-search/v1/overview
"""

import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any

from fer_lightning.collect.providers.fields import digest, text, web_url, whole
from fer_lightning.collect.providers.provider import (
    DAY,
    Candidate,
    Provider,
    Query,
    SearchFailed,
    SearchPage,
    ask,
    host,
    pace,
    usable_candidates,
)
from fer_lightning.config.settings import setting
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


@dataclass(frozen=True)
class Google(Provider):
    """Provider for Google Custom Search. It needs GOOGLE_API_KEY and GOOGLE_CX in .env, and ends on 2027-01-01.

    today  function that returns the date, for tests
    """

    name = "google"
    states_licences = False
    terms_url = "https://developers.google.com/custom-search/v1/overview"
    terms_checked_on = "2026-11-22"

    endpoint: str = setting("https://www.googleapis.com/customsearch/v1", "URL of the Custom Search JSON API")
    page_size: int = setting(10, "images per request", minimum=1, maximum=10)
    image_type: str = setting("face", "face, photo, clipart, lineart, stock or animated")
    rights: str | None = setting(
        None,
        "filter by the licence that Google assumes, e.g. cc_publicdomain|cc_attribute; null: no filter. "
        "Google guarantees no licence",
    )
    requests_per_minute: float = pace(60, "; Google allows 100")
    requests_per_day: int | None = setting(
        100,
        "maximum requests in any 24 hours; 100 are free, more are paid; null: no limit",
        minimum=1,
        maximum=10_000,
    )
    today: Callable[[], date] = date.today

    def ready(self) -> None:
        if self.today() >= END:
            raise UserError(f"provider=google: Google ended the Custom Search API on {END}. {INSTEAD}")
        missing = [name for name in ("GOOGLE_API_KEY", "GOOGLE_CX") if not self._key(name)]
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
            "key": self._key("GOOGLE_API_KEY"),
            "cx": self._key("GOOGLE_CX"),
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
        candidates, dropped, _ = usable_candidates(items[:number], self._candidate)
        following = start + number
        more = bool(items) and _has_next(answer.data) and following < MOST_RESULTS
        return SearchPage(candidates, str(following) if more else None, None, answer.sha256, dropped)

    def _key(self, name: str) -> str:
        return self.keys.get(name, "").strip()

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
