"""Taking a picture, a creator's pictures or an address out for good, and keeping them out.

First what must not come back is put on the list of `denied`, then files go, then rows: stopped at any moment, the same
command finishes it.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from fer_lightning.collect.database import Collection
from fer_lightning.collect.denied import SAME_PICTURE, creator_value, url_value
from fer_lightning.collect.hashes import as_hash
from fer_lightning.errors import UserError

_ID = re.compile(r"[0-9a-f]{8,64}")


@dataclass(frozen=True)
class PurgeResult:
    """What was there and is gone."""

    candidates: int
    pictures: int
    accepted: int


def purge(
    collection: Collection,
    *,
    image: str | None = None,
    creator: str | None = None,
    url: str | None = None,
    reason: str = "asked to be removed",
) -> PurgeResult:
    """Remove what one of these names, and every other copy of those pictures; never collect them again.

    image    the SHA-256 of the picture's bytes, or its first 8 or more digits, as the review page shows it
    creator  a name or the address of a creator's page
    url      of the picture or of the page that shows it
    UserError where an image is unknown, or its digits name several.
    """
    candidates = _candidates(collection, image, creator, url)
    pictures = _with_copies(collection, _pictures(collection, candidates))
    candidates |= _candidates_of(collection, pictures)
    accepted = _count(
        collection,
        "SELECT count(*) FROM current_settled JOIN face ON face.id = face WHERE outcome = 'accepted' AND image IN",
        pictures,
    )
    _deny(collection, candidates, pictures, creator=creator, url=url, reason=reason)
    for name in _among(collection, "SELECT file FROM picture WHERE image IN", pictures):
        collection.file(name).unlink(missing_ok=True)
    _remove(collection, candidates, pictures)
    return PurgeResult(len(candidates), len(pictures), accepted)


def _candidates(collection: Collection, image: str | None, creator: str | None, url: str | None) -> set[int]:
    if image is not None:
        found = _one_picture(collection, image)
        return _candidates_of(collection, {found})
    rows = collection.rows(
        "SELECT candidate.id, creator, creator_url, image_url, landing_url, final_url "
        "FROM candidate LEFT JOIN current_fetch ON current_fetch.candidate = candidate.id"
    )
    if creator is not None:
        wanted = creator_value(creator)
        return {row["id"] for row in rows if wanted in _values(creator_value, row["creator"], row["creator_url"])}
    wanted = url_value(url or "")
    urls = ("image_url", "landing_url", "final_url")
    return {row["id"] for row in rows if wanted in _values(url_value, *(row[name] for name in urls))}


def _values(value, *texts: str | None) -> set[str]:
    return {value(text) for text in texts if text}


def _one_picture(collection: Collection, image: str) -> str:
    image = image.strip().lower()
    if not _ID.fullmatch(image):
        raise UserError(f"--id {image!r}: 8 to 64 digits of a picture's SHA-256, as the review page shows them")
    found = [row["image"] for row in collection.rows("SELECT image FROM picture WHERE image GLOB ?", f"{image}*")]
    if len(found) != 1:
        raise UserError(
            f"--id {image}: {len(found) or 'no'} picture{'s' * (len(found) != 1)} of {collection.root} begin so; "
            f"the review page and provenance.csv have the whole image_id"
        )
    return found[0]


def _pictures(collection: Collection, candidates: set[int]) -> set[str]:
    found = _among(collection, "SELECT DISTINCT image FROM fetch WHERE image IS NOT NULL AND candidate IN", candidates)
    return set(found)


def _candidates_of(collection: Collection, pictures: set[str]) -> set[int]:
    return set(_among(collection, "SELECT DISTINCT candidate FROM fetch WHERE image IN", pictures))


def _with_copies(collection: Collection, pictures: set[str]) -> set[str]:
    """The pictures, and those that show the same, as it is or mirrored."""
    rows = collection.rows("SELECT image, phash, phash_mirrored FROM picture")
    removed = [row for row in rows if row["image"] in pictures]
    return pictures | {row["image"] for row in rows for gone in removed if _same(row, gone)}


def _same(one, other) -> bool:
    straight = (as_hash(one["phash"]) ^ as_hash(other["phash"])).bit_count()
    mirrored = (as_hash(one["phash_mirrored"]) ^ as_hash(other["phash"])).bit_count()
    return min(straight, mirrored) <= SAME_PICTURE


def _deny(
    collection: Collection,
    candidates: set[int],
    pictures: set[str],
    *,
    creator: str | None,
    url: str | None,
    reason: str,
) -> None:
    values = {("image", image) for image in pictures}
    values |= {
        ("picture", str(as_hash(phash)))
        for phash in _among(collection, "SELECT phash FROM picture WHERE image IN", pictures)
    }
    for column in ("image_url", "landing_url"):
        texts = _among(collection, f"SELECT {column} FROM candidate WHERE {column} IS NOT NULL AND id IN", candidates)
        values |= {("url", url_value(text)) for text in texts}
    if creator:
        values.add(("creator", creator_value(creator)))
    if url:
        values.add(("url", url_value(url)))
    with collection.writing():
        for kind, value in sorted(values):
            collection.add("denied", {"kind": kind, "value": value, "reason": reason}, known="IGNORE")


def _remove(collection: Collection, candidates: set[int], pictures: set[str]) -> None:
    """Rows from the latest to the earliest, so that none refers to one that is gone."""
    faces = set(_among(collection, "SELECT id FROM face WHERE image IN", pictures))
    collection.database.execute("PRAGMA secure_delete = ON")
    with collection.writing():
        collection.database.execute("INSERT INTO purging VALUES (1)")
        for table, column, values in (
            ("settled", "face", faces),
            ("decision", "face", faces),
            ("deduped", "kept_face", faces),
            ("deduped", "face", faces),
            ("likeness", "other_face", faces),
            ("likeness", "face", faces),
            ("face", "id", faces),
            ("picture", "image", pictures),
            ("fetch", "candidate", candidates),
            ("finding", "candidate", candidates),
            ("candidate", "id", candidates),
        ):
            for some in _chunks(values):
                marks = ", ".join("?" * len(some))
                collection.database.execute(f"DELETE FROM {table} WHERE {column} IN ({marks})", some)
        collection.database.execute("DELETE FROM purging")
    collection.database.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _among(collection: Collection, query: str, values: Iterable) -> list:
    """The first column of `query (values)`, some values at a time."""
    return [
        row[0] for some in _chunks(values) for row in collection.rows(f"{query} ({', '.join('?' * len(some))})", *some)
    ]


def _count(collection: Collection, query: str, values: Iterable) -> int:
    return sum(_among(collection, query, values))


def _chunks(values: Iterable, size: int = 500) -> Iterable[list]:
    ordered = sorted(values)
    return (ordered[start : start + size] for start in range(0, len(ordered), size))
