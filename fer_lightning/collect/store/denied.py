"""What must never be collected again, known by hashes alone: whoever asked to be left out is not kept on a list."""

import hashlib
from dataclasses import dataclass

import numpy as np

from fer_lightning.collect.images.hashes import same_picture
from fer_lightning.collect.store.collection import Collection


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

    def picture(self, plain: int, mirrored: int) -> bool:
        """Whether the picture with these hashes is on the list."""
        return bool(same_picture(self.pictures, plain, mirrored).any())


def url_value(text: str) -> str:
    """What the list holds of an address: no scheme, no `www.`, no fragment, no final slash, the host in lower case."""
    address = text.strip().partition("#")[0]
    host, slash, path = (address.partition("://")[2] or address).partition("/")
    return _digest((host.lower().removeprefix("www.") + slash + path).rstrip("/"))


def creator_value(text: str) -> str:
    """What the list holds of a creator's name or page, in any letter case and spacing."""
    return _digest(" ".join(text.casefold().split()))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
