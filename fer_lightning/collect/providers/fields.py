"""What strangers wrote, made harmless: plain text of bounded length, web addresses, counts, hashes."""

import hashlib
import json
import unicodedata
from collections.abc import Iterable
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urlsplit

LONGEST_TITLE = 300  # characters, also of creators
LONGEST_TEXT = 1000
LONGEST_URL = 2000
LONGEST_TAG = 60
MOST_TAGS = 30
MOST_HTML = 20_000
LARGEST = 1_000_000  # pixels of a side
_JOINERS = "\u200c\u200d"  # which some scripts need
_VOID = frozenset(
    ("area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr")
)
_UNSEEN = frozenset(("script", "style", "template"))


def text(value: Any, most: int = LONGEST_TITLE) -> str | None:
    """One line of plain text: no control, formatting or unpaired characters; None where nothing is left."""
    if not isinstance(value, str):
        return None
    kept = "".join(" " if character.isspace() else character for character in value[: 4 * most] if _seen(character))
    return " ".join(kept.split())[:most].strip() or None


def _seen(character: str) -> bool:
    return character.isspace() or character in _JOINERS or unicodedata.category(character)[0] != "C"


def plain(html: Any, most: int = LONGEST_TITLE) -> str | None:
    """The text that a reader of some HTML sees."""
    return text(_read(html).words(), most)


def first_link(html: Any) -> str | None:
    """Where the first link of some HTML leads."""
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
        self.unseen: list[str] = []  # the open elements from the outermost invisible one on

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
    """An http(s) address with a host and without a password; `//host/path` is taken for https. None for all else."""
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
    """A side in pixels; None for what is none."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= LARGEST else None


def tags(values: Iterable[Any]) -> tuple[str, ...]:
    """The first distinct ones."""
    cleaned = (text(value, LONGEST_TAG) for value in values)
    return tuple(dict.fromkeys(tag for tag in cleaned if tag))[:MOST_TAGS]


def digest(raw: Any) -> str:
    """SHA-256 of JSON, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(raw, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
