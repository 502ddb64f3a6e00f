"""The step `purge`: remove an image, a creator's images or a URL permanently, and block them from then on.

First the hashes are added to `denied`. Then the stores of trainings, the exports and the files are deleted, and the
rows last, because they say what else must go. If the step is stopped, the same command finishes it, and until then
every other step is rejected.
"""

import hashlib
import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fer_lightning.collect.images.hashes import as_hash, same_image
from fer_lightning.collect.images.same_image import shows_the_same
from fer_lightning.collect.steps.export_folders import (
    ExportFolders,
    Traces,
    export_folders,
    holds,
    remove_export,
    remove_unfinished,
)
from fer_lightning.collect.steps.merge import images_of_minors
from fer_lightning.collect.store.collection import REPORTS, Collection
from fer_lightning.collect.store.denied import creator_value, url_value
from fer_lightning.data.ingest import locked_store
from fer_lightning.data.store import is_extra_store, open_store, read_manifest
from fer_lightning.errors import UserError
from fer_lightning.wording import typed

AT_ONCE = 500  # values in one query
_ID = re.compile(r"[0-9a-f]{8,64}")


@dataclass(frozen=True)
class PurgeResult:
    """Result of a purge.

    candidates, images, accepted  numbers of removed candidates, images and accepted faces
    exports                       folders whose exports were removed too
    kept                          folders with exports of another collection that hold one of the images
    missing                       recorded folders of exports that no longer exist
    stores                        stores of trainings that were removed
    """

    candidates: int
    images: int
    accepted: int
    exports: list[Path]
    kept: list[Path]
    missing: list[Path]
    stores: list[Path]


def purge(
    collection: Collection,
    *,
    image: str | None = None,
    creator: str | None = None,
    url: str | None = None,
    minors: bool = False,
    reason: str = "asked to be removed",
    export_folder: Path | None = None,
    fer2013: Path | None = None,
) -> PurgeResult:
    """Remove the images that one of these selects, with all their copies, and block them from being collected again.

    image    SHA-256 of the image's bytes, or its first 8 or more digits, as the review page shows it
    creator  name of a creator, or URL of the creator's page
    url      URL of the image or of the page that shows it
    minors   True: all images with a face that a reviewer marked as an apparent minor
    fer2013  folder in which trainings store the faces of exports

    Exports are searched in recorded folders, in `export_folder` and inside the collection. Those of other collections
    are never removed. Files of killed steps and the reports of `tally` are removed too. Raise UserError if no image or
    more than one image begins with the digits.
    """
    candidates, pictures = _with_copies(collection, _candidates(collection, image, creator, url, minors))
    traces = _traces(collection, pictures)
    accepted = sum(
        _among(collection, "SELECT count(*) FROM accepted_face JOIN face ON face.id = face WHERE image IN", pictures)
    )
    _deny(collection, candidates, pictures, creator=creator, url=url, reason=reason)
    collection.remove_strays()
    for name in REPORTS:
        (collection.root / name).unlink(missing_ok=True)
    folders = export_folders(collection, export_folder)
    exports = _with_traces(folders, traces)
    stores = remove_stores(fer2013, exports, traces.crops) if fer2013 else []
    for folder in exports:
        remove_export(folder)
    kept = [folder for folder in folders.foreign if holds(folder, traces)]
    for name in _among(collection, "SELECT file FROM picture WHERE image IN", pictures):
        collection.file(name).unlink(missing_ok=True)
    _remove(collection, candidates, pictures)
    _rewrite(collection)
    return PurgeResult(len(candidates), len(pictures), accepted, exports, kept, folders.missing, stores)


def require_finished(collection: Collection) -> None:
    """Raise UserError if an earlier purge was stopped before it removed its rows: an export would use them again."""
    image = collection.value("SELECT image FROM picture WHERE image IN (SELECT value FROM denied WHERE kind = 'image')")
    if image is not None:
        raise UserError(
            f"root={collection.root}: an earlier purge was stopped before its end, so images that must be removed are "
            "still there. Run that purge again, and then this command. If you do not remember it: "
            f"python -m fer_lightning.collect purge --id {image[:16]} {typed('root', collection.root)}"
        )


def _candidates(
    collection: Collection, image: str | None, creator: str | None, url: str | None, minors: bool
) -> set[int]:
    if minors:
        return _candidates_of(collection, images_of_minors(collection))
    if image is not None:
        return _candidates_of(collection, _named(collection, image))
    if creator is not None:
        wanted = creator_value(creator)
        rows = collection.rows("SELECT candidate, creator, creator_url FROM licence")
        return {
            row["candidate"] for row in rows if wanted in _values(creator_value, row["creator"], row["creator_url"])
        }
    rows = collection.rows(
        "SELECT candidate.id, image_url, landing_url, final_url "
        "FROM candidate LEFT JOIN fetch ON fetch.candidate = candidate.id"
    )
    wanted = url_value(url or "")
    urls = ("image_url", "landing_url", "final_url")
    return {row["id"] for row in rows if wanted in _values(url_value, *(row[name] for name in urls))}


def _values(value, *texts: str | None) -> set[str]:
    return {value(text) for text in texts if text}


def _named(collection: Collection, image: str) -> set[str]:
    """Return the image whose id begins with these digits, as a set; an empty set if it was purged before."""
    image = image.strip().lower()
    if not _ID.fullmatch(image):
        raise UserError(
            f"--id {image!r}: must be 8 to 64 hexadecimal digits, the beginning of an image_id. "
            f"The review page shows it."
        )
    matches = [row["image"] for row in collection.rows("SELECT image FROM picture WHERE image GLOB ?", f"{image}*")]
    if len(matches) > 1 or not (matches or any(denied.startswith(image) for denied in _denied_images(collection))):
        raise UserError(
            f"--id {image}: {len(matches) or 'no'} images in {collection.root} begin with these digits. "
            f"Use the whole image_id from the review page or from provenance.csv."
        )
    return set(matches)


def _pictures(collection: Collection, candidates: set[int]) -> set[str]:
    images = _among(collection, "SELECT DISTINCT image FROM fetch WHERE image IS NOT NULL AND candidate IN", candidates)
    return set(images)


def _candidates_of(collection: Collection, pictures: set[str]) -> set[int]:
    return set(_among(collection, "SELECT DISTINCT candidate FROM fetch WHERE image IN", pictures))


def _with_copies(collection: Collection, candidates: set[int]) -> tuple[set[int], set[str]]:
    """Return the candidates and their images, with all copies of these images and all candidates of the copies.

    The search is repeated until it finds nothing new.
    """
    rows = collection.rows("SELECT image, phash, phash_mirrored FROM picture")
    names = np.array([row["image"] for row in rows])
    hashes = np.array([as_hash(row["phash"]) for row in rows], np.uint64)
    mirrored = dict(zip(names.tolist(), (as_hash(row["phash_mirrored"]) for row in rows), strict=True))
    plain = dict(zip(names.tolist(), hashes.tolist(), strict=True))
    pictures = _pictures(collection, candidates)
    pictures.update(_among(collection, "SELECT image FROM picture WHERE image IN", _denied_images(collection)))
    looked_at: set[str] = set()
    while new := pictures - looked_at:
        looked_at |= new
        for image in new & plain.keys():
            alike = set(names[same_image(hashes, plain[image], mirrored[image])].tolist()) - pictures
            pictures.update(other for other in alike if _same_face(collection, image, other, plain, mirrored))
        pictures |= _set_aside_with(collection, new)
        candidates = candidates | _candidates_of(collection, pictures)
        pictures |= _pictures(collection, candidates)
    return candidates, pictures


def _denied_images(collection: Collection) -> list[str]:
    """Return the blocked images, including those of an earlier purge that was stopped after it deleted files."""
    return [row["value"] for row in collection.rows("SELECT value FROM denied WHERE kind = 'image'")]


def _same_face(collection: Collection, image: str, other: str, plain: dict[str, int], mirrored: dict[str, int]) -> bool:
    flipped = (mirrored[image] ^ plain[other]).bit_count() < (plain[image] ^ plain[other]).bit_count()
    return shows_the_same(collection, image, other, mirrored=flipped)


def _set_aside_with(collection: Collection, pictures: set[str]) -> set[str]:
    """Return the images that `dedupe` found to be copies of these, and those that these are copies of."""
    pairs = "FROM deduped JOIN face ON face.id = deduped.face JOIN face AS kept ON kept.id = kept_face WHERE"
    copies = _among(collection, f"SELECT face.image {pairs} kept.image IN", pictures)
    return {*copies, *_among(collection, f"SELECT kept.image {pairs} face.image IN", pictures)}


def _traces(collection: Collection, pictures: set[str]) -> Traces:
    """Return the traces of the images, and of those of earlier purges, whose export may not have been found then."""
    crops = _among(collection, "SELECT crop FROM face WHERE crop IS NOT NULL AND image IN", pictures)
    return Traces(
        images=frozenset({*pictures, *_denied_images(collection)}),
        crops=frozenset(hashlib.sha256(crop).hexdigest() for crop in crops),
        pixels=frozenset(" ".join(map(str, crop)) for crop in crops),
    )


def _with_traces(folders: ExportFolders, traces: Traces) -> list[Path]:
    """Delete what killed exports left, and return the folders of own exports that have one of the images."""
    for folder in folders.own:
        remove_unfinished(folder)
    return [folder for folder in folders.own if holds(folder, traces)]


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
    addresses = "CASE WHEN image_url LIKE 'file:%' THEN provider_id ELSE image_url END"
    texts = _among(collection, f"SELECT {addresses} FROM candidate WHERE id IN", candidates)
    values |= {("url", url_value(text)) for text in texts}
    if creator:
        values.add(("creator", creator_value(creator)))
    if url:
        values.add(("url", url_value(url)))
    with collection.writing():
        for kind, value in sorted(values):
            collection.add("denied", {"kind": kind, "value": value, "reason": reason}, on_conflict="IGNORE")


def _remove(collection: Collection, candidates: set[int], pictures: set[str]) -> None:
    """Delete the rows in the order of their references, so that no row refers to a deleted one."""
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
            ("licence", "candidate", candidates),
            ("candidate", "id", candidates),
        ):
            for some in _chunks(values):
                marks = ", ".join("?" * len(some))
                collection.database.execute(f"DELETE FROM {table} WHERE {column} IN ({marks})", some)
        collection.database.execute("DELETE FROM purging")


def _rewrite(collection: Collection) -> None:
    """Write the database again. SQLite leaves old copies of deleted rows in the unused parts of its pages."""
    collection.database.execute("VACUUM")
    collection.database.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _among(collection: Collection, query: str, values: Iterable) -> list:
    """Return the first column of `query (values)`; the values are passed in chunks."""
    return [
        row[0] for some in _chunks(values) for row in collection.rows(f"{query} ({', '.join('?' * len(some))})", *some)
    ]


def _chunks(values: Iterable) -> Iterable[list]:
    ordered = sorted(values)
    return (ordered[start : start + AT_ONCE] for start in range(0, len(ordered), AT_ONCE))


def remove_stores(root: Path, exports: list[Path], crops: frozenset[str]) -> list[Path]:
    """Delete the stores that trainings built from `data.extra` in FER2013's folder; return them.

    exports  a store that was built from one of these folders is deleted
    crops    a store that holds one of these faces is deleted, even if its source was moved; SHA-256 of the pixels

    A store that is damaged or unfinished is deleted too: it may hold the faces, and a training builds it again.
    """
    removed = []
    for folder in filter(is_extra_store, root.glob("*")):
        with locked_store(folder):  # a training that is writing it finishes first
            manifest = read_manifest(folder)
            if manifest is None or Path(manifest["source"]["path"]).parent in exports or _holds(folder, crops):
                shutil.rmtree(folder)
                removed.append(folder)
    return removed


def _holds(store: Path, crops: frozenset[str]) -> bool:
    """Return True if a store has one of the faces, or if its rows cannot be read."""
    try:
        return any(row.tobytes().hex() in crops for row in open_store(store).digests)
    except (UserError, OSError, ValueError, LookupError):
        return True
