"""Wikimedia Commons: freely licensed files with detailed statements of licence, creator and other rights.

It answers only programs whose User-Agent contains a contact address. Images are fetched as a rendition, by default
960 pixels wide. The URL of the rendition is always taken from the answer and never built here.
https://commons.wikimedia.org/w/api.php?action=help&modules=query+imageinfo
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fer_lightning.collect.providers.fields import LONGEST_TEXT, digest, first_link, plain, text, web_url, whole
from fer_lightning.collect.providers.licences import licence_code, licence_page
from fer_lightning.collect.providers.provider import (
    DAY,
    Answer,
    Candidate,
    Provider,
    Query,
    SearchFailed,
    SearchPage,
    Unlicensed,
    ask,
    host,
    licensed,
    pace,
    usable_candidates,
)
from fer_lightning.config.settings import setting
from fer_lightning.errors import UserError

WIDTHS = (250, 330, 500, 960, 1280, 1920, 3840)  # widths that Wikimedia serves, in pixels
FORMS = ("image/jpeg", "image/png", "image/webp", "image/tiff")
# Requested metadata. All other fields, such as GPS position and camera data, are not sent.
FIELDS = ("LicenseShortName", "License", "UsageTerms", "LicenseUrl", "Artist", "Attribution", "Restrictions")
LAGGING = ("maxlag", "readonly", "ratelimited")
LAG_WAIT = 5.0  # seconds; Wikimedia recommends this wait


@dataclass(frozen=True)
class Commons(Provider):
    """Provider for Wikimedia Commons. It needs COLLECT_CONTACT in .env."""

    name = "commons"
    states_licences = True
    terms_url = "https://www.mediawiki.org/wiki/Wikimedia_APIs/Rate_limits"
    terms_checked_on = "2026-11-22"

    endpoint: str = setting("https://commons.wikimedia.org/w/api.php", "URL of the wiki's API")
    hosts: list[str] = setting(
        factory=lambda: ["upload.wikimedia.org", "thumb.wikimedia.org"], comment="hosts of its images"
    )
    page_size: int = setting(50, "files per request", minimum=1, maximum=50)
    width: int = setting(960, "width of the fetched rendition in pixels", choices=WIDTHS)
    maxlag: int = setting(
        5, "maximum lag of Wikimedia's databases in seconds; if it is larger, the search waits", minimum=0
    )
    requests_per_minute: float = pace(60, "; Wikimedia allows 200 to programs that state a contact")

    @property
    def contact(self) -> str:
        return self.keys.get("COLLECT_CONTACT", "").strip()

    def ready(self) -> None:
        if not self.contact.isprintable() or not ("@" in self.contact or "://" in self.contact):
            raise UserError(
                f"COLLECT_CONTACT={self.contact!r}: must be an e-mail address or the URL of a page where you can be "
                "reached, because Wikimedia answers only programs that state one. Write it into .env (a copy of "
                ".env.example) as COLLECT_CONTACT=you@example.org and run the same command again, or use "
                "provider=openverse."
            )

    def search(self, query: Query, cursor: str | None) -> SearchPage:
        """Return one page; the cursor is the answer's `continue` as JSON."""
        params = {
            "action": "query",
            "format": "json",
            "formatversion": "2",
            "generator": "search",
            "gsrnamespace": "6",
            "gsrsearch": f"filetype:bitmap {query.text}",
            "gsrlimit": str(self.page_size),
            "prop": "imageinfo",
            "iiprop": "url|size|mime|sha1|user|timestamp|extmetadata",
            "iiurlwidth": str(self.width),
            "iiextmetadatafilter": "|".join(FIELDS),
            "maxlag": str(self.maxlag),
        }
        answer = ask(self.client, "Wikimedia Commons", self.endpoint, _continued(cursor) | params)
        if "error" in answer.data:
            raise _failure(answer)
        candidates, dropped, unlicensed = usable_candidates(_files(answer.data), self._candidate)
        return SearchPage(candidates, _next_cursor(answer.data), None, answer.sha256, dropped, unlicensed)

    def _candidate(self, file: dict[str, Any]) -> Candidate | Unlicensed | str:
        """Return the candidate, or the reason why the image cannot be used."""
        info = file["imageinfo"][0]
        said = _said(info.get("extmetadata"))
        licence, version = _licence(said)
        if info.get("mime") not in FORMS:
            return "format is not JPEG, PNG, WebP or TIFF"
        image_url, identifier = web_url(info.get("thumburl")), _identifier(file.get("pageid"))
        if image_url is None or host(image_url) not in self.hosts or identifier is None:
            return "no rendition on an allowed host"
        title = (text(file.get("title")) or "").removeprefix("File:") or None
        creator = plain(said.get("Artist"))
        licence_name = plain(said.get("LicenseShortName")) or licence
        credit = ", ".join(filter(None, (title, creator, licence_name, "via Wikimedia Commons")))
        candidate = Candidate(
            provider=self.name,
            provider_id=identifier,
            image_url=image_url,
            landing_url=web_url(info.get("descriptionurl")),
            title=title,
            creator=creator,
            creator_url=first_link(said.get("Artist")),
            licence=licence,
            licence_version=version,
            licence_url=web_url(said.get("LicenseUrl")) or licence_page(licence, version),
            licence_source="api",
            attribution=plain(said.get("Attribution"), LONGEST_TEXT) or credit,
            restrictions=plain(said.get("Restrictions")),
            width=whole(info.get("width")),
            height=whole(info.get("height")),
            raw_sha256=digest(file),
        )
        return licensed(candidate)


def _identifier(value: Any) -> str | None:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def _continued(cursor: str | None) -> dict[str, str]:
    return {str(name): str(value) for name, value in json.loads(cursor).items()} if cursor else {}


def _next_cursor(data: dict[str, Any]) -> str | None:
    """Return the answer's `continue` as the next cursor. Its values never override the parameters of `search`."""
    following = data.get("continue")
    if not isinstance(following, dict) or not following:
        return None
    return json.dumps({str(name)[:50]: str(value)[:500] for name, value in list(following.items())[:10]})


def _files(data: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the files with a description, the best match first; an answer without results has no `query`."""
    query = data.get("query", {})
    pages = query.get("pages", []) if isinstance(query, dict) else None
    if not isinstance(pages, list):
        raise SearchFailed("Wikimedia Commons sent no list of pages")
    described = [page for page in pages if isinstance(page, dict) and _has_info(page)]
    return sorted(described, key=lambda page: whole(page.get("index")) or 0)


def _has_info(page: dict[str, Any]) -> bool:
    infos = page.get("imageinfo")
    return isinstance(infos, list) and bool(infos) and isinstance(infos[0], dict)


def _said(metadata: Any) -> dict[str, str]:
    """Return the requested fields of `extmetadata`, as HTML."""
    if not isinstance(metadata, dict):
        return {}
    values = {name: metadata[name].get("value") for name in FIELDS if isinstance(metadata.get(name), dict)}
    return {name: value for name, value in values.items() if isinstance(value, str)}


def _licence(said: Mapping[str, str]) -> tuple[str, str | None]:
    """Return (code, version) of the first field that states a known licence."""
    codes = (
        licence_code(plain(said.get(name))) for name in ("LicenseShortName", "License", "UsageTerms", "LicenseUrl")
    )
    return next((licence for licence in codes if licence[0] != "unknown"), ("unknown", None))


def _failure(answer: Answer) -> SearchFailed:
    error = answer.data["error"] if isinstance(answer.data["error"], dict) else {}
    code, words = text(error.get("code"), 60) or "an error", text(error.get("info")) or "no reason given"
    if code in LAGGING:
        asked = answer.headers.get("retry-after", "")
        waiting = min(float(asked), DAY) if asked.isdecimal() else LAG_WAIT
        return SearchFailed(f"Wikimedia Commons is busy ({code})", waiting)
    return SearchFailed(f"Wikimedia Commons answered {code}: {words}")
