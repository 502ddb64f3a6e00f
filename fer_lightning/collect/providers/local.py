"""Pictures on this machine, in a folder, or those that a CSV lists by path or address, with licences and creators.

A folder says nothing about licences: they are `unknown`, and nothing is released, unless provider.licence and
provider.creator say for all of them what they are; file names, which may be people's, are no titles. The CSV (UTF-8,
commas, a header) has the columns

    path or url   relative to the CSV and inside its folder; or an http(s) address
    licence       cc0, pdm, by, by-sa, by-nc, by-nc-sa, by-nd, by-nc-nd, own, unknown, or a name such as CC BY-SA 4.0
    creator       to name beside the picture
    title, landing_url, creator_url, attribution, keywords   may be left out; keywords are parted by semicolons
"""

import csv
import hashlib
import logging
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from fer_lightning.collect.providers.fields import LONGEST_TEXT, digest, tags, text, web_url
from fer_lightning.collect.providers.licences import CODES, licence_code, licence_page
from fer_lightning.collect.providers.provider import Candidate, Page, Query, in_range
from fer_lightning.errors import UserError
from fer_lightning.files import in_words

log = logging.getLogger("fer_lightning")

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
COLUMNS = ("path", "url", "licence", "creator", "title", "landing_url", "creator_url", "attribution", "keywords")
NEED_NO_CREATOR = ("cc0", "pdm", "unknown")


class Local:
    """See `provider.py`. It offers all it has, whatever the query; the next run offers what is new or has changed.

    path       the folder, with those in it, or the CSV
    licence    of the pictures for which nothing else is said; all but cc0, pdm and unknown need a creator
    creator    of the pictures for which nothing else is said
    page_size  pictures that are written down at once
    """

    name = "local"
    hosts = None
    licence_known = True
    terms_url = ""
    terms_checked_on = ""
    requests_per_minute = float("inf")
    requests_per_day = None

    def __init__(
        self,
        client: Any = None,
        keys: Mapping[str, str] | None = None,
        *,
        path: str | None,
        licence: str = "unknown",
        creator: str | None = None,
        page_size: int = 200,
    ) -> None:
        in_range("page_size", page_size, 1, 10_000)
        self.path = Path(path).expanduser().absolute() if path else None
        self.licence, self.creator, self.page_size = licence.strip().lower(), text(creator), page_size

    @property
    def everything(self) -> str:
        """Its name alone: it stands in what is exported."""
        return self.path.name or "everything" if self.path else "nothing"

    def ready(self) -> None:
        """Reads the whole CSV, or lists the whole folder."""
        if self.path is None:
            raise UserError(
                "provider.path: name a folder of pictures or a CSV that lists them, as in "
                "`make collect PROVIDER=local FROM=folder`"
            )
        code, _ = licence_code(self.licence)
        if code == "unknown" and self.licence != "unknown":
            raise UserError(
                f"provider.licence={self.licence}: allowed: {', '.join(CODES)}, or a name such as CC BY 4.0"
            )
        if code not in NEED_NO_CREATOR and not self.creator and self.path.is_dir():
            raise UserError(f"provider.licence={self.licence}: say whom to name, with provider.creator=NAME")
        if not self._candidates:
            raise UserError(f"{self.path}: holds no pictures ({', '.join(SUFFIXES)})")

    def search(self, query: Query, cursor: str | None) -> Page:
        """Cursor: how many were offered before."""
        start = int(cursor or 0)
        candidates = self._candidates[start : start + self.page_size]
        end = start + len(candidates)
        more = end < len(self._candidates)
        return Page(candidates, str(end) if more else None, None, digest([one.provider_id for one in candidates]))

    @cached_property
    def _candidates(self) -> list[Candidate]:
        """As they are when first asked for."""
        path = self.path
        if path is None or not path.exists():
            raise UserError(f"provider.path={path}: no such file or folder")
        if path.suffix.lower() in SUFFIXES and path.is_file():
            raise UserError(f"provider.path={path}: is a picture; name the folder that it is in")
        try:
            return list(self._of_folder(path) if path.is_dir() else self._of_manifest(path))
        except OSError as error:
            raise UserError(f"provider.path={path}: cannot be read ({in_words(error)})") from error

    def _of_folder(self, folder: Path) -> Iterator[Candidate]:
        others = Counter()
        for path in _files(folder):
            if path.suffix.lower() in SUFFIXES:
                yield self._described(_of_file(path))
            else:
                others[path.suffix.lower() or "no suffix"] += 1
        if others:
            log.warning("%s: left out %s", folder, ", ".join(f"{n} {suffix}" for suffix, n in others.most_common(5)))

    def _of_manifest(self, manifest: Path) -> Iterator[Candidate]:
        seen = set()
        for where, row in _rows(manifest):
            found = _of_row(manifest, where, row)
            if found.provider_id not in seen:
                seen.add(found.provider_id)
                yield self._from_row(found, where, row)

    def _from_row(self, found: Candidate, where: str, row: Mapping[str, str]) -> Candidate:
        licence, _ = licence_code(row["licence"])
        if licence == "unknown" and row["licence"].lower() not in ("", "unknown"):
            raise UserError(
                f"{where}, licence={row['licence']!r}: allowed: {', '.join(CODES)}, or CC BY 4.0 and the like"
            )
        described = self._described(found, licence=row["licence"], creator=row["creator"], title=row["title"])
        if described.licence not in NEED_NO_CREATOR and not described.creator:
            raise UserError(f"{where}, licence={described.licence}: the column creator must say whom to name")
        return replace(
            described,
            landing_url=_address(where, row, "landing_url"),
            creator_url=_address(where, row, "creator_url"),
            attribution=text(row["attribution"], LONGEST_TEXT),
            tags=tags(row["keywords"].split(";")),
            raw_sha256=digest(row),
        )

    def _described(self, found: Candidate, *, licence: str = "", creator: str = "", title: str = "") -> Candidate:
        code, version = licence_code(licence or self.licence)
        return replace(
            found,
            title=text(title),
            creator=text(creator) or self.creator,
            licence=code,
            licence_version=version,
            licence_url=licence_page(code, version),
            licence_source="manifest" if licence else "setting",
        )


def _files(folder: Path) -> Iterator[Path]:
    """In order, without hidden ones and without those that a link fetches from elsewhere."""
    root = folder.resolve()
    for here, folders, names in os.walk(folder, onerror=_raise):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(here, name)
            if not name.startswith(".") and path.is_file() and path.resolve().is_relative_to(root):
                yield path


def _raise(error: OSError) -> None:
    raise error


def _of_file(path: Path) -> Candidate:
    """A file that has changed is another picture."""
    status = path.stat()
    identity = b"\0".join((os.fsencode(path), str(status.st_size).encode(), str(status.st_mtime_ns).encode()))
    return Candidate(Local.name, hashlib.sha256(identity).hexdigest(), path.as_uri())


def _rows(manifest: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """(where it stands, the row with all of `COLUMNS`)."""
    with open(manifest, encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, strict=True)
        try:
            spelling = _spelling(manifest, reader.fieldnames or [])
            for row in reader:
                where = f"{manifest}, line {reader.line_num}"
                if None in row or None in row.values():
                    raise UserError(f"{where}: has more or fewer fields than the header")
                yield where, {column: row[name].strip() if (name := spelling.get(column)) else "" for column in COLUMNS}
        except UnicodeDecodeError as error:
            raise UserError(f"{manifest}: is not UTF-8 text; save it as CSV in UTF-8") from error
        except csv.Error as error:
            raise UserError(f"{manifest}, line {reader.reader.line_num}: {error}; save it as CSV in UTF-8") from error


def _spelling(manifest: Path, header: list[str]) -> dict[str, str]:
    """{column: its name in the file}."""
    names = {name.strip().lower().replace("license", "licence"): name for name in header}
    if not {"path", "url"} & names.keys():
        raise UserError(f"{manifest}: has neither a column path nor url, but {', '.join(header) or 'nothing'}")
    if unused := [name for key, name in names.items() if key not in COLUMNS]:
        log.warning(
            "%s: the columns %s are not used; those that are: %s", manifest, ", ".join(unused), ", ".join(COLUMNS)
        )
    return names


def _of_row(manifest: Path, where: str, row: Mapping[str, str]) -> Candidate:
    if bool(row["path"]) == bool(row["url"]):
        raise UserError(f"{where}: give either a path or a url")
    if row["url"]:
        url = _address(where, row, "url") or ""
        return Candidate(Local.name, hashlib.sha256(url.encode()).hexdigest(), url)
    folder = manifest.parent
    path = folder / row["path"]
    if not path.is_file():
        raise UserError(f"{where}, path={row['path']!r}: no such file in {folder}")
    if not path.resolve().is_relative_to(folder.resolve()):
        raise UserError(f"{where}, path={row['path']!r}: lies outside {folder}; put the CSV above its pictures")
    return _of_file(path)


def _address(where: str, row: Mapping[str, str], column: str) -> str | None:
    url = web_url(row[column])
    if row[column] and url is None:
        raise UserError(
            f"{where}, {column}={row[column][:80]!r}: expected an address such as https://example.org/a.jpg"
        )
    return url
