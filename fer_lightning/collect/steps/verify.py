"""Whether the collection is whole: the database sound, every file there and as its name says, no file too many.

A picture whose file is lost is marked as not fetched, so that the next `fetch` gets it again. Whether the pages that
show the accepted pictures are still there is asked for on request: a licence that nobody can look up is a weak one.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from fer_lightning.collect.http.client import Client, Reason, Refused
from fer_lightning.collect.store.attempts import FILE_LOST
from fer_lightning.collect.store.collection import Collection, Progress
from fer_lightning.files import TEMPORARY


@dataclass(frozen=True)
class VerifyResult:
    """pictures looked at; faults, each a line in words; strays, files that no row names, which are gone now."""

    pictures: int
    faults: list[str]
    strays: int


def verify(collection: Collection, *, progress: Progress | None = None) -> VerifyResult:
    """Look at every row and file. Files that no row names, left by a step that was killed, are removed.

    Hold `collection.locked("steps")`: a step at work has files whose rows are still to come.
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
            faults.append(f"face {row['id']}: its crop is not the one that was cut")
    return VerifyResult(len(pictures), faults, _remove_strays(collection, {row["file"] for row in pictures}))


def pages_that_are_gone(
    collection: Collection, *, client: Client, progress: Progress | None = None
) -> list[tuple[str, str]]:
    """(image, address) of each accepted picture whose page is not there any more; others are asked for once."""
    pages = collection.rows(_PAGES)
    gone = []
    for number, row in enumerate(pages):
        try:
            client.get_bytes(row["landing_url"], hosts=None)
        except Refused as refused:
            if refused.reason is Reason.NOT_FOUND:
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
        return f"{path} is missing; the next `fetch` gets it again"
    if hashlib.sha256(path.read_bytes()).hexdigest() != path.stem:
        path.unlink()
        return f"{path} had changed since it was stored and is removed; the next `fetch` gets it again"
    return None


def _get_again(collection: Collection, image: str) -> None:
    lost = {"status": "failed", "stage": "fetch", "reason": FILE_LOST, "detail": "found by verify"}
    with collection.writing():
        for row in collection.rows("SELECT candidate FROM current_fetch WHERE image = ? AND status = 'stored'", image):
            collection.add("fetch", {"candidate": row["candidate"], **lost})


def _remove_strays(collection: Collection, known: set[str]) -> int:
    strays = [path for path in (collection.root / "files").glob("*/*") if path.name not in known or _unfinished(path)]
    for path in strays:
        path.unlink()
    return len(strays)


def _unfinished(path: Path) -> bool:
    return path.name.endswith(TEMPORARY)
