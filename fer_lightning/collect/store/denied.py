"""The deny-list: hashes of what must never be collected again. It stores no names, URLs or images."""

import hashlib
from dataclasses import dataclass
from unicodedata import normalize

import numpy as np

from fer_lightning.collect.images.hashes import same_image
from fer_lightning.collect.store.collection import Collection


@dataclass(frozen=True)
class Denied:
    """Content of the deny-list at the moment when it was read."""

    urls: frozenset[str]
    creators: frozenset[str]
    images: frozenset[str]
    pictures: np.ndarray

    @classmethod
    def of(cls, collection: Collection) -> "Denied":
        values: dict[str, list[str]] = {"url": [], "creator": [], "image": [], "picture": []}
        for row in collection.rows("SELECT kind, value FROM denied"):
            values[row["kind"]].append(row["value"])
        pictures = np.array([int(value) for value in values["picture"]], np.uint64)
        return cls(frozenset(values["url"]), frozenset(values["creator"]), frozenset(values["image"]), pictures)

    def url(self, text: str | None) -> bool:
        return bool(text) and url_value(text) in self.urls

    def creator(self, text: str | None) -> bool:
        return bool(text) and not self.creators.isdisjoint({creator_value(text), *_former_values(text)})

    def image(self, sha256: str) -> bool:
        return sha256 in self.images

    def picture(self, plain: int, mirrored: int) -> bool:
        """Return True if the list has an image with one of these perceptual hashes."""
        return bool(same_image(self.pictures, plain, mirrored).any())


def url_value(text: str) -> str:
    """Return the hash of a URL without scheme, `www.`, fragment and final slash, with the host in lower case."""
    address = text.strip().partition("#")[0]
    host, slash, path = (address.partition("://")[2] or address).partition("/")
    return _digest((host.lower().removeprefix("www.") + slash + path).rstrip("/"))


def creator_value(text: str) -> str:
    """Return the hash of a creator's name or page URL, independent of letter case, spacing and Unicode form."""
    return _digest(_folded(normalize("NFKC", normalize("NFKC", text).casefold())))


def _former_values(text: str) -> set[str]:
    """Return the hashes that earlier versions stored for this creator: they depended on the Unicode form."""
    return {_digest(_folded(form)) for form in (text, normalize("NFC", text), normalize("NFD", text))}


def _folded(text: str) -> str:
    return " ".join(text.casefold().split())


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
