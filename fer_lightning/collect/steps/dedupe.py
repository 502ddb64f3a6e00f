"""Which faces are kept and which are copies: of each other, or of a row of FER2013.

Hashes find, pixels decide. Of whole pictures a distance of 10 bits or less is a copy where the face's place looks the
same in both; else it is another face before the same background, and flagged. Crops of different people come as near
as 10 bits, so there a distance of 6 or less is a flag for the reviewer. What is flagged stays in one split. A crop
whose pixels correlate with those of FER2013 is a copy of that row. Each is looked for as it is and mirrored.
"""

import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from sqlite3 import Row

import numpy as np

from fer_lightning.collect.images.hashes import SAME_PICTURE, as_hash, distances, phash
from fer_lightning.collect.images.same_image import correlation, shows_the_same
from fer_lightning.collect.providers.licences import BY_FREEDOM
from fer_lightning.collect.store.collection import Collection, Progress
from fer_lightning.data.duplicates import NEAR
from fer_lightning.data.store import open_store
from fer_lightning.data.table import SIDE
from fer_lightning.files import write_atomically
from fer_lightning.labels import USAGES

ALIKE_CROP = 6
# Crops of FER2013 within as many bits are compared by their pixels.
LOOKED_AT = 12
_AT_ONCE = 50  # faces in a transaction


@dataclass(frozen=True)
class DedupeResult:
    """What came out of the faces that were looked at in this call."""

    unique: int = 0
    copies: int = 0
    flagged: int = 0


@dataclass(frozen=True)
class Fer2013:
    """FER2013's rows as they stand in a store: hashes uint64 (N,), pixels uint8 (N, 48, 48), digests uint8 (N, 32),
    usage uint8 (N,)."""

    checksum: str
    hashes: np.ndarray
    pixels: np.ndarray
    digests: np.ndarray
    usage: np.ndarray


@dataclass(frozen=True)
class _Like:
    """Another face or row of FER2013, at a distance in bits."""

    distance: int
    mirrored: bool
    other_face: int | None = None
    row: int | None = None
    correlation: float | None = None


@dataclass
class _Known:
    """The faces that are kept, as they grow: ids, hashes of their pictures and of their crops."""

    faces: np.ndarray
    pictures: np.ndarray
    crops: np.ndarray
    images: dict[int, str] = field(default_factory=dict)
    count: int = 0

    @classmethod
    def of(cls, rows: list[Row], room: int) -> "_Known":
        size = len(rows) + room
        known = cls(np.zeros(size, np.int64), np.zeros(size, np.uint64), np.zeros(size, np.uint64))
        for row in rows:
            known.add(row)
        return known

    def add(self, row: Row) -> None:
        self.images[row["id"]] = row["image"]
        self.faces[self.count] = row["id"]
        self.pictures[self.count] = as_hash(row["picture_phash"])
        self.crops[self.count] = as_hash(row["phash"])
        self.count += 1

    def image(self, like: _Like) -> str:
        return self.images[like.other_face]

    def near(self, hashes: np.ndarray, one: int, mirrored: int, limit: int) -> list[_Like]:
        """Those within `limit` bits of a hash or of its mirror image's, the nearest first."""
        found = _near(hashes[: self.count], one, mirrored, limit)
        return [_Like(distance, flipped, other_face=int(self.faces[place])) for distance, flipped, place in found]


def dedupe(collection: Collection, *, fer2013: Fer2013 | None, progress: Progress | None = None) -> DedupeResult:
    """Decide about each face that has not been decided about, or not yet held against this FER2013.

    Of new copies the one with the freer licence is kept, and of equal ones the larger. A face that was kept stays kept
    when a better copy comes later: somebody may have looked at it.
    """
    new = collection.rows(_NEW, fer2013.checksum if fer2013 else None)
    new.sort(key=lambda row: (row["was"] is None, _licence_rank(row["licence"]), -row["size"], row["id"]))
    looked_at = {row["id"] for row in new}
    known = _Known.of([row for row in collection.rows(_KEPT) if row["id"] not in looked_at], len(new))
    counts = {"unique": 0, "copies": 0, "flagged": 0}
    for start in range(0, len(new), _AT_ONCE):
        with collection.writing():
            for row in new[start : start + _AT_ONCE]:
                _decide(collection, row, known, fer2013, counts)
        if progress:
            progress(min(start + _AT_ONCE, len(new)), len(new))
    return DedupeResult(**counts)


_COLUMNS = """
SELECT face.id, face.image, face.crop, face.phash, face.phash_mirrored,
  picture.phash AS picture_phash, picture.phash_mirrored AS picture_phash_mirrored,
  picture.width * picture.height AS size, deduped.status AS was,
  (SELECT licence FROM owner JOIN current_licence USING (candidate) WHERE owner.image = face.image) AS licence
FROM current_face AS face JOIN picture USING (image) LEFT JOIN current_deduped AS deduped ON deduped.face = face.id
WHERE face.status = 'face'
"""
_NEW = (
    _COLUMNS + "AND (deduped.id IS NULL OR (deduped.status = 'unique' AND deduped.fer2013 IS NOT ?1 AND ?1 NOT NULL))"
)
_KEPT = _COLUMNS + "AND deduped.status = 'unique' ORDER BY face.id"


def _decide(collection: Collection, row: Row, known: _Known, fer2013: Fer2013 | None, counts: dict[str, int]) -> None:
    verdict, likes = _verdict(collection, row, known, fer2013)
    for kind, like in likes:
        collection.add(
            "likeness",
            {
                "face": row["id"],
                "other_face": like.other_face,
                "fer2013_digest": None if like.row is None else bytes(fer2013.digests[like.row]).hex(),
                "fer2013_usage": None if like.row is None else USAGES[fer2013.usage[like.row]],
                "kind": kind,
                "distance": like.distance,
                "mirrored": like.mirrored,
                "correlation": like.correlation,
            },
        )
    collection.add("deduped", {"face": row["id"], "fer2013": fer2013 and fer2013.checksum, **verdict})
    if verdict["status"] == "unique":
        known.add(row)
    counts["unique" if verdict["status"] == "unique" else "copies"] += 1
    counts["flagged"] += verdict["status"] == "unique" and bool(likes)


def _verdict(
    collection: Collection, row: Row, known: _Known, fer2013: Fer2013 | None
) -> tuple[dict[str, object], list[tuple[str, _Like]]]:
    """The `deduped` row, and what is alike: a copy has its original, a kept face its flags."""
    crop = (as_hash(row["phash"]), as_hash(row["phash_mirrored"]))
    likes: list[tuple[str, _Like]] = []
    if row["was"] is None:
        picture = (as_hash(row["picture_phash"]), as_hash(row["picture_phash_mirrored"]))
        alike = known.near(known.pictures, *picture, SAME_PICTURE)
        for like in alike:
            if shows_the_same(collection, row["image"], known.image(like), mirrored=like.mirrored):
                reason = "same picture mirrored" if like.mirrored else "same picture"
                return {"status": "copy", "reason": reason, "kept_face": like.other_face}, [("picture", like)]
        likes += [("picture", like) for like in alike]
        likes += [("crop", like) for like in known.near(known.crops, *crop, ALIKE_CROP)]
    if fer2013:
        rows = list(_in_fer2013(row["crop"], *crop, fer2013))
        copies = [like for like in rows if like.correlation >= NEAR]
        if copies:
            nearest = max(copies, key=lambda like: like.correlation)
            reason = "in FER2013 mirrored" if nearest.mirrored else "in FER2013"
            return {"status": "copy", "reason": reason}, [("crop", nearest)]
        likes += [("crop", like) for like in rows if like.distance <= ALIKE_CROP]
    return {"status": "unique"}, likes


def _in_fer2013(crop: bytes, one: int, mirrored: int, fer2013: Fer2013) -> Iterator[_Like]:
    """Rows whose hash is near, with the correlation of their pixels."""
    face = np.frombuffer(crop, np.uint8).reshape(SIDE, SIDE)
    for distance, flipped, place in _near(fer2013.hashes, one, mirrored, LOOKED_AT):
        alike = correlation(face[:, ::-1] if flipped else face, fer2013.pixels[place])
        yield _Like(distance, flipped, row=place, correlation=alike)


def _near(hashes: np.ndarray, one: int, mirrored: int, limit: int) -> list[tuple[int, bool, int]]:
    """(distance, by the mirror image, place) of each hash within `limit` bits, the nearest first."""
    straight, flipped = distances(one, hashes), distances(mirrored, hashes)
    places = np.flatnonzero(np.minimum(straight, flipped) <= limit)
    found = [(int(min(straight[p], flipped[p])), bool(flipped[p] < straight[p]), int(p)) for p in places]
    return sorted(found)


def _licence_rank(licence: str | None) -> int:
    return BY_FREEDOM.index(licence) if licence in BY_FREEDOM else len(BY_FREEDOM)


def fer2013_of(collection: Collection, root: Path, progress: Progress | None = None) -> Fer2013:
    """The rows of the store at `root`; their hashes are computed once and kept beside the collection."""
    store = open_store(root)
    checksum = store.manifest["checksum"]
    cache = collection.root / f"fer2013-{checksum[:16]}.npy"
    if cache.exists():
        hashes = np.load(cache)
    else:
        hashes = np.empty(len(store.pixels), np.uint64)
        for row, pixels in enumerate(store.pixels):
            hashes[row] = phash(pixels)
            if progress and row % 1000 == 0:
                progress(row, len(hashes))
        _keep(cache, hashes)
    return Fer2013(checksum, hashes, store.pixels, store.digests, store.usage)


def _keep(path: Path, hashes: np.ndarray) -> None:
    content = io.BytesIO()
    np.save(content, hashes)
    write_atomically(path, content.getvalue())
