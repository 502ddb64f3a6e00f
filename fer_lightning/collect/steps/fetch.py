"""The step that gets the candidates' pictures: each is asked for, decoded, and kept under the hash of what came.

A candidate's latest row in `fetch` says what became of it. A picture's file is on disk before the row that names it,
and both rows of a picture are written at once, so that the step can be stopped at any moment and called again.
Where the file of a known picture is gone, the same bytes make it anew.
"""

import hashlib
import io
import os
import sqlite3
import stat
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from typing import Any
from urllib.parse import unquote_to_bytes, urlsplit

import numpy as np
from PIL import Image

from fer_lightning.collect.http import client
from fer_lightning.collect.http.client import Client, Refused
from fer_lightning.collect.images.decode import Decoded, Decoder, NotAPicture
from fer_lightning.collect.images.hashes import as_hash, as_signed, both_hashes
from fer_lightning.collect.store.attempts import TO_FETCH
from fer_lightning.collect.store.collection import Collection
from fer_lightning.collect.store.denied import Denied
from fer_lightning.errors import UserError
from fer_lightning.files import in_words, write_atomically

MAX_FILE_BYTES = 15_000_000
MAX_TEXT = 500  # characters of a header or a detail
# So many in a row from hosts that do not answer: the network is gone, and the candidates should not pay for it.
OFFLINE_AFTER = 20
LOCAL = "local"  # the one provider whose candidates may lie on this machine's disk
JPEG_QUALITY = 95
_NO_HOST = (client.Reason.CONNECTION_FAILED, client.Reason.ROBOTS_TXT_UNKNOWN)

_PENDING = f"SELECT * FROM candidate WHERE provider = ? AND id IN ({TO_FETCH}) ORDER BY id"


class Reason(StrEnum):
    """Why a candidate gave no picture, beside the reasons of network.py and decode.py."""

    DENIED = "denied"
    NOT_A_FILE = "not a file"
    UNREADABLE_FILE = "unreadable file"
    OTHER_BYTES = "other bytes"


class _Unwanted(Exception):
    """Lost for a reason of this module, with the fields of Refused and NotAPicture."""

    def __init__(self, reason: str, detail: str = "", final: bool = True) -> None:
        super().__init__(reason, detail)
        self.reason, self.detail, self.final = reason, detail, final


@dataclass(frozen=True)
class FetchResult:
    """How many candidates of this call ended how; see the table `fetch`."""

    stored: int
    refused: int
    failed: int


@dataclass
class _Outcome:
    """A row of `fetch`; of a picture that has no file yet, its row and its file as well."""

    fetch: dict[str, Any]
    picture: dict[str, Any] | None = None
    file: bytes = b""


@dataclass(frozen=True)
class _Known:
    """The file of each image that has a row in `picture`, and the images whose file is there."""

    files: dict[str, str]
    whole: set[str]

    @classmethod
    def of(cls, collection: Collection) -> "_Known":
        files = dict(collection.rows("SELECT image, file FROM picture"))
        return cls(files, {image for image, file in files.items() if collection.file(file).is_file()})


def fetch(
    collection: Collection,
    *,
    client: Client,
    provider: str,
    hosts: tuple[str, ...] | None,
    at_once: int = 4,
    progress: Callable[[int, int], None] | None = None,
) -> FetchResult:
    """Get what a provider has offered and what is not here, refused for good, or tried too often: see attempts.py.

    hosts  that its pictures may come from; None: any that is public

    Stopped in any way, also by Ctrl-C, it stops the client too. UserError where the disk is full or no host answers.
    """
    candidates = [dict(row) for row in collection.rows(_PENDING, provider)]
    counts: Counter[str] = Counter()
    book = _Book(collection, _Known.of(collection))
    pool = ThreadPoolExecutor(at_once)
    with Decoder() as decoder:
        work = _Work(client, decoder, Denied.of(collection), hosts, book.known)
        try:
            for outcome in _outcomes(pool, work, candidates, 2 * at_once):
                book.enter(outcome)
                counts[outcome.fetch["status"]] += 1
                if progress:
                    progress(counts.total(), len(candidates))
            book.close()
        except BaseException:
            client.stop()
            decoder.close()
            raise
        finally:
            pool.shutdown(cancel_futures=True)
    return FetchResult(counts["stored"], counts["refused"], counts["failed"])


def _outcomes(
    pool: ThreadPoolExecutor, work: "_Work", candidates: list[dict[str, Any]], ahead: int
) -> Iterator[_Outcome]:
    """In the order in which they come, with no more than `ahead` under way or waiting to be recorded."""
    left = iter(candidates)
    running = {pool.submit(work, candidate) for candidate in islice(left, ahead)}
    while running:
        done, running = wait(running, return_when=FIRST_COMPLETED)
        for future in done:
            yield future.result()
        running |= {pool.submit(work, candidate) for candidate in islice(left, len(done))}


@dataclass(frozen=True)
class _Work:
    """What is done in a thread: everything but the database."""

    client: Client
    decoder: Decoder
    denied: Denied
    hosts: tuple[str, ...] | None
    known: _Known

    def __call__(self, candidate: Mapping[str, Any]) -> _Outcome:
        row: dict[str, Any] = {"candidate": candidate["id"], "status": "stored", "stage": "fetch", "reason": None}
        outcome = _Outcome(row)
        try:
            data = self._bytes(candidate, row)
            row |= {"bytes": len(data), "image": hashlib.sha256(data).hexdigest(), "stage": "decode"}
            if self.denied.image(row["image"]):
                raise _Unwanted(Reason.DENIED)
            if row["image"] not in self.known.whole:
                outcome.picture, outcome.file = _picture(row["image"], self.decoder.decode(data))
                self._check(outcome.picture, own=candidate["image_url"].startswith("file:"))
        except (Refused, NotAPicture, _Unwanted) as lost:
            outcome.picture = None
            row |= {
                "status": "refused" if lost.final else "failed",
                "reason": lost.reason,
                "detail": lost.detail[:MAX_TEXT],
            }
        return outcome

    def _check(self, picture: Mapping[str, Any], own: bool) -> None:
        """Rows never change: a picture whose file was lost is whole again with the very bytes that its row names.

        One's own pictures may have the background of a denied one, so that their hashes tell nothing.
        """
        if not own and self.denied.picture(as_hash(picture["phash"]), as_hash(picture["phash_mirrored"])):
            raise _Unwanted(Reason.DENIED)
        lost = self.known.files.get(picture["image"], picture["file"])
        if lost != picture["file"]:
            raise _Unwanted(Reason.OTHER_BYTES, f"{lost} was lost, and is now encoded otherwise", final=False)

    def _bytes(self, candidate: Mapping[str, Any], row: dict[str, Any]) -> bytes:
        """What came; `row` gets what is known of it."""
        url, denied = candidate["image_url"], self.denied
        if denied.url(url) or denied.url(candidate["landing_url"]):
            raise _Unwanted(Reason.DENIED)
        if denied.creator(candidate["creator"]) or denied.creator(candidate["creator_url"]):
            raise _Unwanted(Reason.DENIED)
        if candidate["provider"] == LOCAL and url.startswith("file:"):
            row["final_url"] = url
            return _file(url)
        try:
            fetched = self.client.get_bytes(url, hosts=self.hosts)
        except Refused as refused:
            row |= _about(refused.http_status, refused.headers)
            raise
        row |= _about(fetched.status, fetched.headers) | {"final_url": fetched.final_url}
        return fetched.data


def _about(status: int | None, headers: Mapping[str, str]) -> dict[str, Any]:
    named = {name.lower().replace("-", "_"): value[:MAX_TEXT] for name, value in headers.items()}
    kept = ("content_type", "etag", "last_modified", "x_robots_tag")
    return {"http_status": status, **{name: named.get(name) for name in kept}}


def _file(url: str) -> bytes:
    """A regular file; a pipe or a device could be without an end."""
    try:
        handle = os.open(unquote_to_bytes(urlsplit(url).path), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise _Unwanted(Reason.NOT_A_FILE)
            with open(handle, "rb", closefd=False) as file:
                data = file.read(MAX_FILE_BYTES + 1)
        finally:
            os.close(handle)
    except (OSError, ValueError) as error:
        detail = getattr(error, "strerror", None) or type(error).__name__
        raise _Unwanted(Reason.UNREADABLE_FILE, detail, final=False) from error
    if len(data) > MAX_FILE_BYTES:
        raise _Unwanted(client.Reason.TOO_LARGE, f"more than {MAX_FILE_BYTES:,} bytes")
    return data


def _picture(image: str, decoded: Decoded) -> tuple[dict[str, Any], bytes]:
    """The row of a picture and its file, which holds pixels alone: no EXIF, no colour profile, no comment."""
    file = io.BytesIO()
    Image.fromarray(decoded.pixels).save(file, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    with Image.open(file) as stored:
        phash, mirrored = both_hashes(np.asarray(stored.convert("L")))
    height, width = decoded.pixels.shape[:2]
    row = {
        "image": image,
        "file": hashlib.sha256(file.getvalue()).hexdigest() + ".jpg",
        "format": decoded.format,
        "width": decoded.width,
        "height": decoded.height,
        "stored_width": width,
        "stored_height": height,
        "phash": as_signed(phash),
        "phash_mirrored": as_signed(mirrored),
    }
    return row, file.getvalue()


class _Book:
    """Writes outcomes down. Those of hosts that do not answer wait until any host does: offline, nobody has failed."""

    def __init__(self, collection: Collection, known: _Known) -> None:
        self.collection, self.known = collection, known
        self.unanswered: list[_Outcome] = []
        self.answered = False

    def enter(self, outcome: _Outcome) -> None:
        if outcome.fetch["reason"] in _NO_HOST:
            self.unanswered.append(outcome)
            if len(self.unanswered) == OFFLINE_AFTER:
                raise _offline(outcome.fetch["detail"])
            return
        if outcome.fetch.get("http_status"):
            self.answered = True
            self.close()
        self._write(outcome)

    def close(self) -> None:
        while self.answered and self.unanswered:
            self._write(self.unanswered.pop(0))

    def _write(self, outcome: _Outcome) -> None:
        """Of two candidates with the same bytes that were under way at once, the second finds the picture known."""
        picture = outcome.picture if outcome.fetch.get("image") not in self.known.whole else None
        try:
            if picture:
                write_atomically(self.collection.file(picture["file"]), outcome.file)
            with self.collection.writing():
                if picture and picture["image"] not in self.known.files:
                    self.collection.add("picture", picture)
                self.collection.add("fetch", outcome.fetch)
        except (OSError, sqlite3.OperationalError) as error:
            what = in_words(error) if isinstance(error, OSError) else str(error)
            raise UserError(
                f"cannot keep pictures in {self.collection.root}: {what}. What was fetched before is kept; "
                f"mend that, and give the same command again."
            ) from error
        if picture:
            self.known.files[picture["image"]] = picture["file"]
            self.known.whole.add(picture["image"])


def _offline(detail: str) -> UserError:
    return UserError(
        f"the last {OFFLINE_AFTER} pictures were asked of hosts that do not answer ({detail}): is this machine "
        f"connected? What was fetched before is kept; give the same command again later, or go on with what there is: "
        f"python -m fer_lightning.collect detect dedupe review merge tally export"
    )
