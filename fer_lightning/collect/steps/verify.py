"""The step `verify`: check that the database is sound, that every file matches its name and that no file is stray.

An image whose file is missing is marked as not fetched, so that the next `fetch` downloads it again. On request, the
web pages of the accepted images are checked too, because a licence needs a page that proves it.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from fer_lightning.collect.http.client import HttpReason, ImageClient, Refused
from fer_lightning.collect.store.attempts import FILE_LOST
from fer_lightning.collect.store.collection import Collection
from fer_lightning.terminal import Progress


@dataclass(frozen=True)
class VerifyResult:
    """Number of checked images, one message per fault, and number of removed strays (files that no row names)."""

    images: int
    faults: list[str]
    strays: int


def verify(collection: Collection, *, progress: Progress | None = None) -> VerifyResult:
    """Check every row and file. Remove files that no row names, which a killed step may leave.

    Call it only inside `collection.locked("steps")`: a running step has files whose rows are not written yet.
    """
    faults = [row[0] for row in collection.rows("PRAGMA integrity_check") if row[0] != "ok"]
    faults += [
        f"{row[0]}: row {row[1]} refers to a missing {row[2]}" for row in collection.rows("PRAGMA foreign_key_check")
    ]
    pictures = collection.rows("SELECT image, file FROM picture")
    for number, row in enumerate(pictures):
        if fault := _fault(collection.file(row["file"])):
            faults.append(fault)
            _get_again(collection, row["image"])
        if progress:
            progress(number + 1, len(pictures))
    for row in collection.rows("SELECT id, crop, crop_id FROM face WHERE status = 'face'"):
        if hashlib.sha256(row["crop"]).hexdigest() != row["crop_id"]:
            faults.append(f"face {row['id']}: its crop has changed since it was stored")
    return VerifyResult(len(pictures), faults, collection.remove_strays())


def pages_that_are_gone(
    collection: Collection, *, client: ImageClient, progress: Progress | None = None
) -> list[tuple[str, str]]:
    """Return (image, URL) of each accepted image whose web page no longer exists. Each page is requested once."""
    pages = collection.rows(_PAGES)
    gone = []
    for number, row in enumerate(pages):
        try:
            client.get_bytes(row["landing_url"], hosts=None)
        except Refused as refused:
            if refused.reason is HttpReason.NOT_FOUND:
                gone.append((row["image"], row["landing_url"]))
        if progress:
            progress(number + 1, len(pages))
    return gone


_PAGES = """
SELECT DISTINCT face.image, candidate.landing_url
FROM accepted_face JOIN face ON face.id = accepted_face.face JOIN source USING (image)
JOIN candidate ON candidate.id = source.candidate
WHERE candidate.landing_url LIKE 'http%' ORDER BY face.image
"""


def _fault(path: Path) -> str | None:
    if not path.is_file():
        return f"{path} is missing; the next `fetch` downloads it again"
    if hashlib.sha256(path.read_bytes()).hexdigest() != path.stem:
        path.unlink()
        return f"{path} has changed since it was stored and was removed; the next `fetch` downloads it again"
    return None


def _get_again(collection: Collection, image: str) -> None:
    lost = {"status": "failed", "stage": "fetch", "reason": FILE_LOST, "detail": "found by verify"}
    with collection.writing():
        for row in collection.rows("SELECT candidate FROM current_fetch WHERE image = ? AND status = 'stored'", image):
            collection.add("fetch", {"candidate": row["candidate"], **lost})
