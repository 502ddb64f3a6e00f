"""The user's own images: a folder on this machine, or a CSV that lists paths or URLs with licences and creators.

Images of a folder have the licence `unknown` and are never released, unless provider.licence and provider.creator
state both for all of them. File names are not used as titles, because they may be names of people. The CSV (UTF-8,
separated by commas, with a header) has these columns:

    path or url   path relative to the CSV and inside its folder; or an http(s) URL
    licence       cc0, pdm, by, by-sa, by-nc, by-nc-sa, by-nd, by-nc-nd, own, unknown, or a name such as CC BY-SA 4.0
    creator       name to credit
    title, landing_url, creator_url, attribution, keywords   optional; keywords are separated by semicolons
"""

import csv
import hashlib
import logging
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from fer_lightning.collect.providers.fields import LONGEST_TEXT, digest, tags, text, web_url
from fer_lightning.collect.providers.licences import CODES, NO_DERIVATIVES, licence_code, licence_page
from fer_lightning.collect.providers.provider import (
    Candidate,
    Provider,
    Query,
    SearchPage,
    Unlicensed,
    licensed,
    usable_candidates,
)
from fer_lightning.config.settings import setting
from fer_lightning.errors import UserError
from fer_lightning.files import os_message
from fer_lightning.inputs import IMAGES, OTHER_IMAGES, PHOTOGRAPHS, LeftOut, has_suffix, is_read, list_folder
from fer_lightning.wording import terminal

log = logging.getLogger("fer_lightning")

COLUMNS = ("path", "url", "licence", "creator", "title", "landing_url", "creator_url", "attribution", "keywords")
NEED_NO_CREATOR = ("cc0", "pdm", "unknown")


@dataclass(frozen=True)
class Local(Provider):
    """Provider for the user's own images. It offers all of them, whatever the query."""

    name = "local"
    states_licences = True
    terms_url = ""
    terms_checked_on = ""
    requests_per_minute = float("inf")

    path: str | None = setting(
        None,
        "folder, searched with its subfolders, or CSV with the columns path or url, licence, creator: "
        "see docs/collect.md",
        path=True,
    )
    licence: str = setting(
        "unknown",
        "licence of images for which the CSV states none, such as own, cc0 or CC BY 4.0; unknown: never released",
    )
    creator: str | None = setting(None, "creator of images for which the CSV states none")
    page_size: int = setting(200, "images per page", minimum=1, maximum=10_000)
    left_out: LeftOut = field(default_factory=LeftOut, init=False)

    @property
    def everything(self) -> str:
        """Return only the name of the folder or file, without its path, because exports contain it."""
        return self.source.name or "everything" if self.source else "nothing"

    @property
    def source(self) -> Path | None:
        """Absolute path of the folder or CSV."""
        return Path(self.path).expanduser().absolute() if self.path else None

    def ready(self) -> None:
        """Read the whole CSV or list the whole folder; raise UserError if that fails."""
        if self.source is None:
            raise UserError(
                "provider.path: not set. Name a folder of images or a CSV that lists them: "
                "make collect PROVIDER=local FROM=folder"
            )
        code, _ = licence_code(self.licence)
        if code == "unknown" and self.licence.strip().lower() != "unknown":
            raise UserError(
                f"provider.licence={self.licence}: unknown licence. "
                f"Allowed: {', '.join(CODES)}, or a name such as CC BY 4.0."
            )
        if code in NO_DERIVATIVES:
            raise UserError(
                f"provider.licence={self.licence}: forbids adaptations, and a cropped face is one. "
                "Collect only images with another licence."
            )
        if code not in NEED_NO_CREATOR and not text(self.creator) and self.source.is_dir():
            raise UserError(
                f"provider.licence={self.licence}: this licence requires a credit. Add provider.creator=NAME."
            )
        if not self._candidates:
            more = "".join(f" {line}." for line in self.left_out.lines())
            raise UserError(f"provider.path={self.source}: holds no images. Allowed: {', '.join(PHOTOGRAPHS)}.{more}")

    def search(self, query: Query, cursor: str | None) -> SearchPage:
        """Return one page; the cursor is the number of images on earlier pages."""
        start = int(cursor or 0)
        offers = self._candidates[start : start + self.page_size]
        candidates, dropped, unlicensed = usable_candidates(offers, _licensed)
        end = start + len(offers)
        more = end < len(self._candidates)
        sha256 = digest([one.provider_id for one in offers])
        return SearchPage(candidates, str(end) if more else None, None, sha256, dropped, unlicensed)

    @cached_property
    def _candidates(self) -> list[Candidate]:
        """Candidates, listed on first use."""
        path = self.source
        if path is None or not path.exists():
            raise UserError(f"provider.path={path}: no such file or folder. Name a folder of images or a CSV.")
        if has_suffix(path.name, (*IMAGES, *OTHER_IMAGES)) and path.is_file():
            raise UserError(f"provider.path={path}: is a single image. Name its folder instead.")
        try:
            return list(self._of_folder(path) if path.is_dir() else self._of_manifest(path))
        except OSError as error:
            raise UserError(f"provider.path={path}: cannot be read ({os_message(error)}).") from error

    def _of_folder(self, folder: Path) -> Iterator[Candidate]:
        listed = list_folder(folder, inside=True)
        self.left_out.names.update(listed.left_out.names)
        for path in listed.files:
            if is_read(listed.name(path), PHOTOGRAPHS, self.left_out):
                yield self._described(_of_file(path))
        for line in self.left_out.lines():
            log.warning("%s: %s", terminal(folder), line)

    def _of_manifest(self, manifest: Path) -> Iterator[Candidate]:
        seen = set()
        for where, row in _rows(manifest):
            candidate = _of_row(manifest, where, row)
            if candidate.provider_id not in seen:
                seen.add(candidate.provider_id)
                yield self._from_row(candidate, where, row)

    def _from_row(self, candidate: Candidate, where: str, row: Mapping[str, str]) -> Candidate:
        licence, _ = licence_code(row["licence"])
        if licence == "unknown" and row["licence"].lower() not in ("", "unknown"):
            raise UserError(
                f"{where}, licence={row['licence']!r}: unknown licence. "
                f"Allowed: {', '.join(CODES)}, or a name such as CC BY 4.0."
            )
        described = self._described(candidate, licence=row["licence"], creator=row["creator"], title=row["title"])
        if described.licence not in NEED_NO_CREATOR and not described.creator:
            raise UserError(
                f"{where}, licence={described.licence}: this licence requires a credit. Fill the column creator."
            )
        return replace(
            described,
            landing_url=_address(where, row, "landing_url"),
            creator_url=_address(where, row, "creator_url"),
            attribution=text(row["attribution"], LONGEST_TEXT),
            tags=tags(row["keywords"].split(";")),
            raw_sha256=digest(row),
        )

    def _described(self, candidate: Candidate, *, licence: str = "", creator: str = "", title: str = "") -> Candidate:
        code, version = licence_code(licence or self.licence)
        return replace(
            candidate,
            title=text(title),
            creator=text(creator) or text(self.creator),
            licence=code,
            licence_version=version,
            licence_url=licence_page(code, version),
            licence_source="manifest" if licence else "setting",
        )


def _licensed(candidate: Candidate) -> Candidate | Unlicensed:
    """Return the candidate unless its licence forbids a crop; the user's own images need no licence to be collected."""
    return candidate if candidate.licence == "unknown" else licensed(candidate)


def _of_file(path: Path) -> Candidate:
    """Return the candidate of a file; a file that has changed is a new candidate."""
    status = path.stat()
    identity = b"\0".join((os.fsencode(path), str(status.st_size).encode(), str(status.st_mtime_ns).encode()))
    return Candidate(Local.name, hashlib.sha256(identity).hexdigest(), path.as_uri())


def _rows(manifest: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield (file and line, row with all of `COLUMNS`)."""
    with open(manifest, encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, strict=True)
        try:
            spelling = _spelling(manifest, reader.fieldnames or [])
            for row in reader:
                where = f"{manifest}, line {reader.line_num}"
                if None in row or None in row.values():
                    raise UserError(
                        f"{where}: has more or fewer fields than the header. Put texts with commas in quotes."
                    )
                yield where, {column: row[name].strip() if (name := spelling.get(column)) else "" for column in COLUMNS}
        except UnicodeDecodeError as error:
            raise UserError(f"{manifest}: is not UTF-8 text. Save it as CSV in UTF-8.") from error
        except csv.Error as error:
            raise UserError(f"{manifest}, line {reader.reader.line_num}: {error}. Save it as CSV in UTF-8.") from error


def _spelling(manifest: Path, header: list[str]) -> dict[str, str]:
    """Return {column: its name in the file}."""
    names = {name.strip().lower().replace("license", "licence"): name for name in header}
    if not {"path", "url"} & names.keys():
        raise UserError(
            f"{manifest}: has no column path or url. Its columns: {', '.join(header) or 'none'}. Add one of the two."
        )
    if unused := [name for key, name in names.items() if key not in COLUMNS]:
        log.warning(
            "%s: the columns %s are ignored. Known columns: %s", manifest, ", ".join(unused), ", ".join(COLUMNS)
        )
    return names


def _of_row(manifest: Path, where: str, row: Mapping[str, str]) -> Candidate:
    if bool(row["path"]) == bool(row["url"]):
        raise UserError(f"{where}: must have a path or a url, and not both.")
    if row["url"]:
        url = _address(where, row, "url") or ""
        return Candidate(Local.name, hashlib.sha256(url.encode()).hexdigest(), url)
    folder = manifest.parent
    path = folder / row["path"]
    if not path.is_file():
        raise UserError(f"{where}, path={row['path']!r}: no such file in {folder}.")
    if not path.resolve().is_relative_to(folder.resolve()):
        raise UserError(
            f"{where}, path={row['path']!r}: is outside {folder}. Move the CSV to a folder that contains all images."
        )
    return _of_file(path)


def _address(where: str, row: Mapping[str, str], column: str) -> str | None:
    url = web_url(row[column])
    if row[column] and url is None:
        raise UserError(f"{where}, {column}={row[column][:80]!r}: must be a URL such as https://example.org/a.jpg.")
    return url
