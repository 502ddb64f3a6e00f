"""Cleaning of untrusted values from providers: plain text of limited length, URLs, sizes, hashes."""

import hashlib
import json
import unicodedata
from collections.abc import Iterable
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urlsplit

LONGEST_TITLE = 300  # characters of a title or a creator's name
LONGEST_TEXT = 1000
LONGEST_URL = 2000
LONGEST_TAG = 60
MOST_TAGS = 30
MOST_HTML = 20_000
LARGEST = 1_000_000  # maximum side in pixels
_JOINERS = "\u200c\u200d"  # characters that some scripts need
_VOID = frozenset(
    ("area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr")
)
_UNSEEN = frozenset(("script", "style", "template"))


def text(value: Any, most: int = LONGEST_TITLE) -> str | None:
    """Return a value as one line of plain text; None if nothing is left.

    Control characters, format characters and unpaired surrogates are removed.
    """
    if not isinstance(value, str):
        return None
    kept = "".join(" " if character.isspace() else character for character in value[: 4 * most] if _seen(character))
    return " ".join(kept.split())[:most].strip() or None


def _seen(character: str) -> bool:
    return character.isspace() or character in _JOINERS or unicodedata.category(character)[0] != "C"


def plain(html: Any, most: int = LONGEST_TITLE) -> str | None:
    """Return the visible text of HTML."""
    return text(_read(html).words(), most)


def first_link(html: Any) -> str | None:
    """Return the URL of the first link in HTML; None if it has none."""
    return next((url for url in map(web_url, _read(html).links) if url), None)


def _read(html: Any) -> "_Reader":
    reader = _Reader()
    if isinstance(html, str):
        reader.feed(html[:MOST_HTML])
        reader.close()
    return reader


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.pieces: list[str] = []
        self.links: list[str] = []
        self.unseen: list[str] = []  # open elements, from the outermost hidden one

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = dict(attributes)
        hidden = tag in _UNSEEN or "display:none" in (values.get("style") or "").replace(" ", "").lower()
        if (self.unseen or hidden) and tag not in _VOID:
            self.unseen.append(tag)
        if not self.unseen:
            self.pieces.append(" " if tag in ("br", "p", "div", "li", "td", "tr") else "")
            if tag == "a" and values.get("href"):
                self.links.append(values["href"] or "")

    def handle_endtag(self, tag: str) -> None:
        if tag in self.unseen:
            while self.unseen.pop() != tag:
                pass

    def handle_data(self, data: str) -> None:
        if not self.unseen:
            self.pieces.append(data)

    def words(self) -> str:
        return "".join(self.pieces)


def web_url(value: Any) -> str | None:
    """Return an http(s) URL with a host and without a user name; `//host/path` becomes https. None for other values."""
    if not isinstance(value, str) or len(value) > LONGEST_URL:
        return None
    url = value.strip()
    url = f"https:{url}" if url.startswith("//") else url
    if any(character.isspace() or unicodedata.category(character)[0] == "C" for character in url):
        return None
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and parts.hostname and not parts.username and parts.port != 0
    except ValueError:
        return None
    return url if valid else None


def whole(value: Any) -> int | None:
    """Return a side in pixels; None for values that are not one."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= LARGEST else None


def tags(values: Iterable[Any]) -> tuple[str, ...]:
    """Return the first distinct tags, at most MOST_TAGS."""
    cleaned = (text(value, LONGEST_TAG) for value in values)
    return tuple(dict.fromkeys(tag for tag in cleaned if tag))[:MOST_TAGS]


def digest(raw: Any) -> str:
    """Return the SHA-256 of JSON, independent of the order of its keys."""
    return hashlib.sha256(json.dumps(raw, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
