"""What must never be collected again, known by hashes alone: whoever asked to be left out is not kept on a list."""

import hashlib
from dataclasses import dataclass

import numpy as np

from fer_lightning.collect.database import Collection
from fer_lightning.collect.hashes import distances

# Altered copies of a picture differ in fewer bits, other pictures in 18 or more: see hashes.py.
SAME_PICTURE = 10


@dataclass(frozen=True)
class Denied:
    """The deny-list as it stood when it was read."""

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
        return bool(text) and creator_value(text) in self.creators

    def image(self, sha256: str) -> bool:
        return sha256 in self.images

    def picture(self, *phashes: int) -> bool:
        """Whether a picture with one of these hashes, as it is or mirrored, is on the list."""
        return any((distances(phash, self.pictures) <= SAME_PICTURE).any() for phash in phashes)


def url_value(text: str) -> str:
    """What the list holds of an address: no scheme, no `www.`, no fragment, no final slash."""
    address = text.strip().partition("#")[0].partition("://")[2] or text.strip()
    return _digest(address.removeprefix("www.").rstrip("/"))


def creator_value(text: str) -> str:
    """What the list holds of a creator's name or page, in any letter case and spacing."""
    return _digest(" ".join(text.casefold().split()))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
