"""The step `fetch`: download the candidates' images, decode them and store them under the hash of their bytes.

A candidate's latest row in `fetch` holds its result. An image file is on disk before the row that names it. The rows
in `picture` and `fetch` are written in one transaction. So the step can be stopped at any moment and run again.
If the file of a known image is missing, the same bytes create it again.
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
from functools import partial
from itertools import islice
from typing import Any
from urllib.parse import unquote_to_bytes, urlsplit

import numpy as np
from PIL import Image

from fer_lightning.collect.http import client
from fer_lightning.collect.http.client import ImageClient, Refused
from fer_lightning.collect.images.decode import Decoded, Decoder, NotAnImage
from fer_lightning.collect.images.hashes import as_hash, as_signed, both_hashes
from fer_lightning.collect.settings import FetchSettings
from fer_lightning.collect.store.attempts import TO_FETCH
from fer_lightning.collect.store.collection import Collection
from fer_lightning.collect.store.denied import Denied
from fer_lightning.errors import UserError
from fer_lightning.files import os_message, write_atomically

MAX_FILE_BYTES = 15_000_000
MAX_TEXT = 500  # maximum characters of a stored header or detail
# Requests in a row without an answer after which a host that answered before is asked again. If it does not answer
# either, the network counts as offline, and these requests do not count as failed attempts.
OFFLINE_AFTER = 20
LOCAL = "local"  # the only provider whose candidates may be files on this machine
JPEG_QUALITY = 95
_NO_HOST = (client.HttpReason.CONNECTION_FAILED, client.HttpReason.ROBOTS_TXT_UNKNOWN)

_PENDING = f"SELECT * FROM candidate WHERE provider = ? AND id IN ({TO_FETCH}) ORDER BY id"


class FetchReason(StrEnum):
    """Reasons why a candidate gave no image, in addition to those of http/client.py and images/decode.py."""

    DENIED = "denied"
    NOT_A_FILE = "not a file"
    UNREADABLE_FILE = "unreadable file"
    OTHER_BYTES = "other bytes"


class _Unwanted(Exception):
    """Loss for a reason of this module, with the same fields as Refused and NotAnImage."""

    def __init__(self, reason: str, detail: str = "", final: bool = True) -> None:
        super().__init__(reason, detail)
        self.reason, self.detail, self.final = reason, detail, final


@dataclass(frozen=True)
class FetchResult:
    """Number of candidates of this call by result; see the table `fetch`."""

    stored: int
    refused: int
    failed: int


@dataclass
class _Outcome:
    """A row of `fetch` and its URL; for an image that has no file yet, also its row of `picture` and its file."""

    url: str
    fetch: dict[str, Any]
    picture: dict[str, Any] | None = None
    file: bytes = b""


@dataclass(frozen=True)
class _StoredImages:
    """File name of each image that has a row in `picture`, and the images whose file exists."""

    files: dict[str, str]
    whole: set[str]

    @classmethod
    def of(cls, collection: Collection) -> "_StoredImages":
        files = dict(collection.rows("SELECT image, file FROM picture"))
        return cls(files, {image for image, file in files.items() if collection.file(file).is_file()})


def fetch(
    collection: Collection,
    *,
    client: ImageClient,
    provider: str,
    hosts: tuple[str, ...] | None,
    at_once: int = FetchSettings.at_once,
    progress: Callable[[int, int], None] | None = None,
) -> FetchResult:
    """Download the provider's candidates that are not stored, not finally rejected and not tried too often.

    See attempts.py for the limit.

    hosts  hosts that images may come from; None: any public host

    Files that a killed step left are removed first. Any exception, including Ctrl-C, also stops the client. Raise
    UserError if the disk is full or no host answers.
    """
    collection.remove_strays()
    candidates = _by_turns([dict(row) for row in collection.rows(_PENDING, provider)])
    counts: Counter[str] = Counter()
    recorder = _Recorder(collection, _StoredImages.of(collection), partial(_answers, client, hosts))
    pool = ThreadPoolExecutor(at_once)
    with Decoder() as decoder:
        work = _Work(client, decoder, Denied.of(collection), hosts, recorder.stored)
        try:
            for outcome in _outcomes(pool, work, candidates, 2 * at_once):
                recorder.record(outcome)
                counts[outcome.fetch["status"]] += 1
                if progress:
                    progress(counts.total(), len(candidates))
            recorder.close()
        except BaseException:
            client.stop()
            decoder.close()
            raise
        finally:
            pool.shutdown(cancel_futures=True)
    return FetchResult(counts["stored"], counts["refused"], counts["failed"])


def _by_turns(candidates: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the first candidate of each host, then the second of each, and so on.

    So one host that does not answer does not delay the others.
    """
    turns: Counter[str] = Counter()
    order = []
    for position, candidate in enumerate(candidates):
        host = urlsplit(candidate["image_url"]).netloc
        order.append((turns[host], position))
        turns[host] += 1
    return [candidates[position] for _, position in sorted(order)]


def _answers(client: ImageClient, hosts: tuple[str, ...] | None, url: str) -> bool:
    """Return True if the host of `url` answers a request for it, in any way."""
    try:
        client.get_bytes(url, hosts=hosts)
    except Refused as refused:
        return refused.reason not in _NO_HOST
    return True


def _outcomes(
    pool: ThreadPoolExecutor, work: "_Work", candidates: list[dict[str, Any]], ahead: int
) -> Iterator[_Outcome]:
    """Yield outcomes as they arrive; at most `ahead` candidates are in progress or waiting to be recorded."""
    left = iter(candidates)
    running = {pool.submit(work, candidate) for candidate in islice(left, ahead)}
    while running:
        done, running = wait(running, return_when=FIRST_COMPLETED)
        for future in done:
            yield future.result()
        running |= {pool.submit(work, candidate) for candidate in islice(left, len(done))}


@dataclass(frozen=True)
class _Work:
    """Work of one thread: everything except writing to the database."""

    client: ImageClient
    decoder: Decoder
    denied: Denied
    hosts: tuple[str, ...] | None
    stored: _StoredImages

    def __call__(self, candidate: Mapping[str, Any]) -> _Outcome:
        row: dict[str, Any] = {"candidate": candidate["id"], "status": "stored", "stage": "fetch", "reason": None}
        outcome = _Outcome(candidate["image_url"], row)
        try:
            data = self._bytes(candidate, row)
            row |= {"bytes": len(data), "image": hashlib.sha256(data).hexdigest(), "stage": "decode"}
            if self.denied.image(row["image"]):
                raise _Unwanted(FetchReason.DENIED)
            if row["image"] not in self.stored.whole:
                outcome.picture, outcome.file = _picture(row["image"], self.decoder.decode(data))
                self._check(outcome.picture, own=candidate["image_url"].startswith("file:"))
        except (Refused, NotAnImage, _Unwanted) as lost:
            outcome.picture = None
            row |= {
                "status": "refused" if lost.final else "failed",
                "reason": lost.reason,
                "detail": lost.detail[:MAX_TEXT],
            }
        return outcome

    def _check(self, picture: Mapping[str, Any], own: bool) -> None:
        """Raise _Unwanted if the image is on the deny-list, or if it does not restore the lost file of its row.

        The user's own images may share the background of a denied image, so their hashes are not checked.
        """
        if not own and self.denied.picture(as_hash(picture["phash"]), as_hash(picture["phash_mirrored"])):
            raise _Unwanted(FetchReason.DENIED)
        lost = self.stored.files.get(picture["image"], picture["file"])
        if lost != picture["file"]:
            raise _Unwanted(FetchReason.OTHER_BYTES, f"{lost} was lost, and the new file differs from it", final=False)

    def _bytes(self, candidate: Mapping[str, Any], row: dict[str, Any]) -> bytes:
        """Return the image's bytes, and add URL, status and headers to `row`."""
        url, denied = candidate["image_url"], self.denied
        if denied.url(url) or denied.url(candidate["landing_url"]):
            raise _Unwanted(FetchReason.DENIED)
        if denied.creator(candidate["creator"]) or denied.creator(candidate["creator_url"]):
            raise _Unwanted(FetchReason.DENIED)
        if candidate["provider"] == LOCAL and url.startswith("file:"):
            row["final_url"] = url
            return _file(url)
        try:
            fetched = self.client.get_bytes(url, hosts=self.hosts)
        except Refused as refused:
            row |= _response_columns(refused.http_status, refused.headers)
            raise
        row |= _response_columns(fetched.status, fetched.headers) | {"final_url": fetched.final_url}
        return fetched.data


def _response_columns(status: int | None, headers: Mapping[str, str]) -> dict[str, Any]:
    by_name = {name.lower().replace("-", "_"): value[:MAX_TEXT] for name, value in headers.items()}
    kept = ("content_type", "etag", "last_modified", "x_robots_tag")
    return {"http_status": status, **{name: by_name.get(name) for name in kept}}


def _file(url: str) -> bytes:
    """Return the bytes of a regular file; pipes and devices are rejected because they may never end."""
    try:
        handle = os.open(unquote_to_bytes(urlsplit(url).path), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise _Unwanted(FetchReason.NOT_A_FILE)
            with open(handle, "rb", closefd=False) as file:
                data = file.read(MAX_FILE_BYTES + 1)
        finally:
            os.close(handle)
    except (OSError, ValueError) as error:
        detail = getattr(error, "strerror", None) or type(error).__name__
        raise _Unwanted(FetchReason.UNREADABLE_FILE, detail, final=False) from error
    if len(data) > MAX_FILE_BYTES:
        raise _Unwanted(client.HttpReason.TOO_LARGE, f"more than {MAX_FILE_BYTES:,} bytes")
    return data


def _picture(image: str, decoded: Decoded) -> tuple[dict[str, Any], bytes]:
    """Return the row of an image, and its file of only pixels: no EXIF, no colour profile, no comment."""
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


class _Recorder:
    """Writes outcomes to the database.

    Outcomes of hosts that do not answer are held back until any host answers. If the machine is offline, they are not
    recorded, so that no candidate loses an attempt.

    answers  function that returns True if the host of a URL answers a request for it
    """

    def __init__(self, collection: Collection, stored: _StoredImages, answers: Callable[[str], bool]) -> None:
        self.collection, self.stored, self.answers = collection, stored, answers
        self.unanswered: list[_Outcome] = []
        self.answered: str | None = None  # URL that was answered last

    def record(self, outcome: _Outcome) -> None:
        if outcome.fetch["reason"] in _NO_HOST:
            self.unanswered.append(outcome)
            if len(self.unanswered) == OFFLINE_AFTER:
                if not (self.answered and self.answers(self.answered)):
                    raise _offline(outcome.fetch["detail"])
                self.close()
            return
        if outcome.fetch.get("http_status"):
            self.answered = outcome.url
            self.close()
        self._write(outcome)

    def close(self) -> None:
        while self.answered and self.unanswered:
            self._write(self.unanswered.pop(0))

    def _write(self, outcome: _Outcome) -> None:
        """Write one outcome. If two candidates have the same bytes, only the first stores the image."""
        picture = outcome.picture if outcome.fetch.get("image") not in self.stored.whole else None
        try:
            if picture:
                write_atomically(self.collection.file(picture["file"]), outcome.file)
            with self.collection.writing():
                if picture and picture["image"] not in self.stored.files:
                    self.collection.add("picture", picture)
                self.collection.add("fetch", outcome.fetch)
        except (OSError, sqlite3.OperationalError) as error:
            cause = os_message(error) if isinstance(error, OSError) else str(error)
            raise UserError(
                f"{self.collection.root}: images cannot be stored ({cause}). Images fetched before are kept. "
                f"Fix this and run the same command again."
            ) from error
        if picture:
            self.stored.files[picture["image"]] = picture["file"]
            self.stored.whole.add(picture["image"])


def _offline(detail: str) -> UserError:
    return UserError(
        f"no host answered the last {OFFLINE_AFTER} requests ({detail}). Images fetched before are kept. "
        f"Check the network connection and run the same command again, or continue with the images that are stored: "
        f"python -m fer_lightning.collect detect dedupe review merge tally export"
    )
