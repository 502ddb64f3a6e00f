"""The step `dedupe`: find copies among the faces, and copies of FER2013's rows.

Hashes select pairs, and pixels decide about them. Each face is compared as it is and mirrored:

- Whole images: if two hashes differ by 10 bits or less and the area of the face looks the same in both, the image is
  a copy. If the area looks different, it is another face with the same background, and the pair is marked as similar.
- Crops: those of different people can differ by only 10 bits. So a distance of 6 bits or less only marks the pair as
  similar, for the reviewer.
- FER2013: a crop whose pixels correlate with those of a row is a copy of that row.

Larger and RGB crops are hashed and compared in FER2013's form, 48 x 48 grey.

Similar faces are always in the same split.
"""

import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from sqlite3 import Row

import numpy as np

from fer_lightning.collect.images.hashes import SAME_IMAGE, as_hash, distances, phash
from fer_lightning.collect.images.same_image import correlation, shows_the_same
from fer_lightning.collect.providers.licences import BY_FREEDOM
from fer_lightning.collect.store.collection import Collection
from fer_lightning.collect.store.form import pixels_of
from fer_lightning.data.duplicates import NEAR
from fer_lightning.data.store import open_store
from fer_lightning.faces.image_form import FER2013_FORM
from fer_lightning.files import write_atomically
from fer_lightning.labels import USAGES
from fer_lightning.terminal import Progress

ALIKE_CROP = 6
# Rows of FER2013 within this number of bits are compared by their pixels.
LOOKED_AT = 12
_AT_ONCE = 50  # faces per transaction


@dataclass(frozen=True)
class DedupeResult:
    """Numbers of kept faces, copies, and kept faces that are marked as similar; of this call only."""

    unique: int = 0
    copies: int = 0
    flagged: int = 0


@dataclass(frozen=True)
class Fer2013:
    """Rows of a store: hashes uint64 (N,), pixels as in `FaceTable`, digests uint8 (N, 32), usage uint8 (N,)."""

    checksum: str
    hashes: np.ndarray
    pixels: np.ndarray
    digests: np.ndarray
    usage: np.ndarray


@dataclass(frozen=True)
class _Like:
    """A similar face or row of FER2013, with its distance in bits."""

    distance: int
    mirrored: bool
    other_face: int | None = None
    row: int | None = None
    correlation: float | None = None


@dataclass
class _KeptFaces:
    """Growing list of the kept faces: ids, hashes of their images and of their crops."""

    faces: np.ndarray
    pictures: np.ndarray
    crops: np.ndarray
    images: dict[int, str] = field(default_factory=dict)
    count: int = 0

    @classmethod
    def of(cls, rows: list[Row], extra: int) -> "_KeptFaces":
        size = len(rows) + extra
        kept = cls(np.zeros(size, np.int64), np.zeros(size, np.uint64), np.zeros(size, np.uint64))
        for row in rows:
            kept.add(row)
        return kept

    def add(self, row: Row) -> None:
        self.images[row["id"]] = row["image"]
        self.faces[self.count] = row["id"]
        self.pictures[self.count] = as_hash(row["picture_phash"])
        self.crops[self.count] = as_hash(row["phash"])
        self.count += 1

    def image(self, like: _Like) -> str:
        return self.images[like.other_face]

    def near(self, hashes: np.ndarray, one: int, mirrored: int, limit: int) -> list[_Like]:
        """Return the faces within `limit` bits of a hash or of its mirror image's hash, the nearest first."""
        matches = _near(hashes[: self.count], one, mirrored, limit)
        return [_Like(distance, flipped, other_face=int(self.faces[index])) for distance, flipped, index in matches]


def dedupe(collection: Collection, *, fer2013: Fer2013 | None, progress: Progress | None = None) -> DedupeResult:
    """Keep or set aside each face that is new or was not yet compared with this FER2013.

    Among new copies, the one with the freest licence is kept; if licences are equal, the largest image is kept. A kept
    face stays kept when a better copy arrives later, because it may already be reviewed.
    """
    new = collection.rows(_NEW, fer2013.checksum if fer2013 else None)
    new.sort(key=lambda row: (row["was"] is None, _licence_rank(row["licence"]), -row["size"], row["id"]))
    looked_at = {row["id"] for row in new}
    kept = _KeptFaces.of([row for row in collection.rows(_KEPT) if row["id"] not in looked_at], len(new))
    counts = {"unique": 0, "copies": 0, "flagged": 0}
    for start in range(0, len(new), _AT_ONCE):
        with collection.writing():
            for row in new[start : start + _AT_ONCE]:
                _decide(collection, row, kept, fer2013, counts)
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


def _decide(
    collection: Collection, row: Row, kept: _KeptFaces, fer2013: Fer2013 | None, counts: dict[str, int]
) -> None:
    verdict, likes = _verdict(collection, row, kept, fer2013)
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
        kept.add(row)
    counts["unique" if verdict["status"] == "unique" else "copies"] += 1
    counts["flagged"] += verdict["status"] == "unique" and bool(likes)


def _verdict(
    collection: Collection, row: Row, kept: _KeptFaces, fer2013: Fer2013 | None
) -> tuple[dict[str, object], list[tuple[str, _Like]]]:
    """Return the `deduped` row and the similar faces: the original of a copy, or all similar faces of a kept face."""
    crop = (as_hash(row["phash"]), as_hash(row["phash_mirrored"]))
    likes: list[tuple[str, _Like]] = []
    if row["was"] is None:
        picture = (as_hash(row["picture_phash"]), as_hash(row["picture_phash_mirrored"]))
        alike = kept.near(kept.pictures, *picture, SAME_IMAGE)
        for like in alike:
            if shows_the_same(collection, row["image"], kept.image(like), mirrored=like.mirrored):
                reason = "same image mirrored" if like.mirrored else "same image"
                return {"status": "copy", "reason": reason, "kept_face": like.other_face}, [("picture", like)]
        likes += [("picture", like) for like in alike]
        likes += [("crop", like) for like in kept.near(kept.crops, *crop, ALIKE_CROP)]
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
    """Yield the rows with a similar hash, with the correlation of their pixels."""
    face = FER2013_FORM.fit(pixels_of(crop))
    for distance, flipped, row in _near(fer2013.hashes, one, mirrored, LOOKED_AT):
        alike = correlation(face[:, ::-1] if flipped else face, FER2013_FORM.fit(fer2013.pixels[row]))
        yield _Like(distance, flipped, row=row, correlation=alike)


def _near(hashes: np.ndarray, one: int, mirrored: int, limit: int) -> list[tuple[int, bool, int]]:
    """Return (distance, mirrored, index) of each hash within `limit` bits, the nearest first."""
    straight, flipped = distances(one, hashes), distances(mirrored, hashes)
    indices = np.flatnonzero(np.minimum(straight, flipped) <= limit)
    return sorted((int(min(straight[i], flipped[i])), bool(flipped[i] < straight[i]), int(i)) for i in indices)


def _licence_rank(licence: str | None) -> int:
    return BY_FREEDOM.index(licence) if licence in BY_FREEDOM else len(BY_FREEDOM)


def fer2013_of(collection: Collection, root: Path, progress: Progress | None = None) -> Fer2013:
    """Return the rows of the store at `root`; their hashes are computed once and cached in the collection's folder."""
    store = open_store(root)
    checksum = store.manifest["checksum"]
    cache = collection.root / f"fer2013-{checksum[:16]}.npy"
    if cache.exists():
        hashes = np.load(cache)
    else:
        hashes = np.empty(len(store.pixels), np.uint64)
        for row, pixels in enumerate(store.pixels):
            hashes[row] = phash(FER2013_FORM.fit(pixels))
            if progress and row % 1000 == 0:
                progress(row, len(hashes))
        _keep(cache, hashes)
    return Fer2013(checksum, hashes, store.pixels, store.digests, store.usage)


def _keep(path: Path, hashes: np.ndarray) -> None:
    content = io.BytesIO()
    np.save(content, hashes)
    write_atomically(path, content.getvalue())
