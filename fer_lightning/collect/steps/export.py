"""The step `export`: write the accepted faces as custom.csv, provenance.csv, ATTRIBUTION.md and a dataset card.

custom.csv has the columns emotion, pixels, Usage and source; `data.extra=` reads it. Not every face that may be used
for private training may also be published. `not_released_because` decides this for each face, and with `release` only
the faces that may be published are exported.
"""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass
from itertools import groupby
from pathlib import Path
from sqlite3 import Row
from typing import Any

import numpy as np

from fer_lightning.collect.card import card
from fer_lightning.collect.providers.licences import FREE, NEED_CREDIT, NON_COMMERCIAL, licence_name
from fer_lightning.collect.steps.export_folders import (
    ATTRIBUTION,
    CARD,
    CSV,
    PROVENANCE,
    refuse_other_files,
    remove_export,
    sign,
)
from fer_lightning.collect.store.collection import Collection
from fer_lightning.collect.store.form import form_of
from fer_lightning.errors import UserError
from fer_lightning.files import csv_text, write_atomically
from fer_lightning.labels import TAXONOMIES
from fer_lightning.wording import markdown, typed

PROVENANCE_COLUMNS = {
    "identity": ("image_id", "crop_id", "phash_source", "phash_crop", "cluster"),
    "discovery": (
        "provider",
        "provider_id",
        "query",
        "query_language",
        "weak_label",
        "rank",
        "search_time",
        "collector_version",
        "config_hash",
        "response_sha256",
    ),
    "source": (
        "image_url",
        "landing_url",
        "title",
        "creator",
        "creator_url",
        "licence",
        "licence_version",
        "licence_url",
        "licence_source",
        "licence_checked_at",
        "attribution",
        "restrictions",
    ),
    "fetch": (
        "fetch_time",
        "final_url",
        "http_status",
        "content_type",
        "bytes",
        "etag",
        "last_modified",
        "x_robots_tag",
        "width",
        "height",
        "format",
    ),
    "face": (
        "detector",
        "model_sha256",
        "opencv_version",
        "box",
        "landmarks",
        "score",
        "n_faces",
        "roll_deg",
        "crop_box",
        "resize_filter",
        "face_px",
    ),
    "review": ("label", "decisions"),
    "lifecycle": ("split", "released", "not_released_because"),
}


class NothingToExport(UserError):
    """No accepted face matches the export's settings."""


@dataclass(frozen=True)
class ExportResult:
    """Result of an export.

    folder      output folder
    rows        number of rows in custom.csv
    left_out    numbers of accepted faces that are not exported, by reason
    releasable  number of rows that may be published
    withheld    numbers of rows that may not be published, by reason
    sha256      SHA-256 of custom.csv
    """

    folder: Path
    rows: int
    left_out: Counter[str]
    releasable: int
    withheld: Counter[str]
    sha256: str


def export(
    collection: Collection,
    *,
    folder: Path,
    taxonomy: str = "learning_game",
    release: bool = False,
    non_commercial: bool = False,
    licensed_providers: Sequence[str] = (),
) -> ExportResult:
    """Write the four files into `folder` and replace those of an earlier export.

    release             export only faces that may be published
    non_commercial      the release forbids commercial use, so that it may include NC licences
    licensed_providers  providers that state a licence for each image

    Raise UserError if the folder holds such files that this collection has not written. Raise NothingToExport if no
    face matches; the files of an earlier export are then removed.
    """
    refuse_other_files(collection, folder)
    left_out: Counter[str] = Counter()
    rows = []
    copies = _sources_of_copies(collection)
    for sources in _sources_by_face(collection):
        row, because = _judged(
            sources,
            copies[sources[0]["image"]],
            non_commercial=non_commercial,
            licensed_providers=licensed_providers,
        )
        if row["label"] not in TAXONOMIES[taxonomy].classes:
            left_out[f"{row['label']} is not a class of {taxonomy}"] += 1
        elif release and because:
            left_out[because] += 1
        else:
            rows.append((row, because))
    if not rows:
        remove_export(folder)
        raise NothingToExport(_why_nothing(left_out, taxonomy, release, collection.root))
    content = _faces_csv([row for row, _ in rows])
    files = {
        CSV: content,
        PROVENANCE: _provenance_csv(collection, rows),
        ATTRIBUTION: attribution([row for row, _ in rows]),
        CARD: card(collection, [row for row, _ in rows], release=release, non_commercial=non_commercial),
    }
    sha256 = hashlib.sha256(content.encode()).hexdigest()
    withheld = Counter(because for _, because in rows if because)
    releasable = len(rows) - withheld.total()
    entry = {"folder": str(folder.absolute()), "rows": len(rows), "releasable": releasable, "sha256": sha256}
    with collection.writing():  # before the files, so that purge finds the folder of a killed export
        collection.add("export", entry)
    sign(collection, folder)
    for name, text in files.items():
        write_atomically(folder / name, text)
    return ExportResult(folder, len(rows), left_out, releasable, withheld, sha256)


def _why_nothing(left_out: Counter[str], taxonomy: str, release: bool, root: Path) -> str:
    if not left_out:
        return (
            "nothing to export: no face is accepted yet. "
            f"Review the faces: python -m fer_lightning.collect review merge export {typed('root', root)} emotion=..."
        )
    remedy = (
        "export.release=false for private training"
        if release
        else f"another export.taxonomy instead of {taxonomy}, one of {', '.join(TAXONOMIES)}"
    )
    reasons = "; ".join(f"{count:,} not exported: {reason}" for reason, count in left_out.items())
    return f"nothing to export: {reasons}. Use {remedy}."


def _sources_by_face(collection: Collection) -> Iterator[list[Row]]:
    """Return, for each accepted face, all candidates with its image, the one that was found first at the front."""
    return (list(rows) for _, rows in groupby(collection.rows(_ACCEPTED), key=lambda row: row["face"]))


def _sources_of_copies(collection: Collection) -> defaultdict[str, list[Row]]:
    """Return, by image, the sources of its copies: of those that `dedupe` set aside for it, and of their copies."""
    linked = defaultdict(set)
    for copy, kept in collection.rows(_COPIES):
        linked[copy].add(kept)
        linked[kept].add(copy)
    sources = defaultdict(list)
    for row in collection.rows(_SOURCES) if linked else ():
        sources[row["image"]].append(row)
    copies = defaultdict(list)
    for image in linked:
        reached, waiting = {image}, [image]
        while waiting:
            new = linked[waiting.pop()] - reached
            reached |= new
            waiting += new
        copies[image] = [row for other in sorted(reached - {image}) for row in sources[other]]
    return copies


def _judged(
    sources: list[Row], copies: list[Row], *, non_commercial: bool, licensed_providers: Sequence[str]
) -> tuple[Row, str | None]:
    """Return the source to credit, and the reason why the face may not be published (None if it may).

    copies  sources of copies of the image

    One source or copy that forbids publication is enough. A source without a licence is ignored if another one states
    it; a copy without a licence is always ignored.
    """

    def stated(rows: list[Row]) -> list[Row]:
        return [
            row for row in rows if row["provider"] in licensed_providers and row["licence"] not in (None, "unknown")
        ]

    credited = stated(sources) or sources
    reasons = (
        not_released_because(row, non_commercial=non_commercial, licensed_providers=licensed_providers)
        for row in (*credited, *stated(copies))
    )
    restricted = (f"restricted: {row['restrictions']}" for row in (*sources, *copies) if row["restrictions"])
    return credited[0], next(filter(None, (*reasons, *restricted)), None)


def not_released_because(row: Row, *, non_commercial: bool, licensed_providers: Sequence[str]) -> str | None:
    """Return the reason why an image from this source may not be published; None if it may.

    Apparent minors are never accepted (merge.py). Images that opt out are not fetched (fetch.py), and images whose
    removal was requested are deleted (purge.py). Licences that forbid changes are rejected, because a crop is a change.
    """
    if row["provider"] not in licensed_providers:
        return f"{row['provider']} does not state the licence"
    if row["licence"] not in FREE and not (non_commercial and row["licence"] in NON_COMMERCIAL):
        return f"licence {row['licence'] or 'unknown'}"
    if row["licence"] in NEED_CREDIT and not row["creator"]:
        return "the licence requires a credit, but the creator is unknown"
    return None


# Images of copies, with the image for which each was set aside, at any time.
_COPIES = """
SELECT DISTINCT copy.image, kept.image FROM deduped
JOIN face AS copy ON copy.id = deduped.face JOIN face AS kept ON kept.id = deduped.kept_face
WHERE copy.image <> kept.image
"""
_SOURCES = """
SELECT source.image, candidate.provider, licence.licence, licence.creator, licence.restrictions
FROM source JOIN candidate ON candidate.id = source.candidate
JOIN current_licence AS licence ON licence.candidate = candidate.id ORDER BY candidate.id
"""
_ACCEPTED = """
SELECT accepted.face, accepted.label, accepted.usage, accepted.cluster, source.candidate,
  face.image, face.crop, face.crop_id, face.phash AS phash_crop, face.detector, face.model_sha256, face.opencv_version,
  face.box, face.landmarks, face.score, face.n_faces, face.roll_deg, face.crop_box, face.resize_filter, face.face_px,
  picture.phash AS phash_source, picture.width, picture.height, picture.format,
  fetch.time AS fetch_time, fetch.final_url, fetch.http_status, fetch.content_type, fetch.bytes, fetch.etag,
  fetch.last_modified, fetch.x_robots_tag,
  candidate.provider, candidate.provider_id, candidate.image_url, candidate.landing_url, candidate.title,
  licence.licence, licence.licence_version, licence.licence_url, licence.licence_source,
  licence.time AS licence_checked_at, licence.creator, licence.creator_url, licence.attribution, licence.restrictions,
  page.query, page.language AS query_language, page.emotion AS weak_label, finding.rank,
  page.time AS search_time, page.version AS collector_version, page.config_hash, page.response_sha256
FROM accepted_face AS accepted JOIN face ON face.id = accepted.face JOIN picture USING (image)
JOIN source USING (image) JOIN candidate ON candidate.id = source.candidate
JOIN current_licence AS licence ON licence.candidate = candidate.id
JOIN fetch ON fetch.id = (SELECT max(id) FROM fetch WHERE candidate = candidate.id AND status = 'stored')
JOIN first_page ON first_page.candidate = candidate.id JOIN page ON page.id = first_page.page
JOIN finding ON finding.page = page.id AND finding.candidate = candidate.id
ORDER BY accepted.usage, accepted.label, face.crop_id, accepted.face, candidate.id
"""


def _faces_csv(rows: Iterable[Row]) -> str:
    lines = ["emotion,pixels,Usage,source"]
    for row in rows:
        pixels = " ".join(map(str, np.frombuffer(row["crop"], np.uint8).tolist()))
        lines.append(f"{row['label']},{pixels},{row['usage']},cluster-{row['cluster']}")
    return "\n".join([*lines, ""])


def _provenance_csv(collection: Collection, rows: Iterable[tuple[Row, str | None]]) -> str:
    decisions = _decisions(collection)
    columns = [name for group in PROVENANCE_COLUMNS.values() for name in group]
    lines: list[list[Any]] = [columns]
    for row, because in rows:
        facts = dict(row) | {
            "image_id": row["image"],
            "split": row["usage"],
            "decisions": json.dumps(decisions.get(row["face"], [])),
            "released": "yes" if because is None else "no",
            "not_released_because": because,
        }
        lines.append([_public(facts[name]) for name in columns])
    return csv_text(lines)


def _decisions(collection: Collection) -> dict[int, list[dict[str, Any]]]:
    """Return the current decisions by face: pass, annotator, action, label, time, milliseconds, version of the page."""
    by_face: dict[int, list[dict[str, Any]]] = {}
    names = ("pass", "annotator", "action", "label", "time", "ms_spent", "page_version")
    for row in collection.rows("SELECT * FROM standing_decision ORDER BY id"):
        by_face.setdefault(row["face"], []).append({name: row[name] for name in names})
    return by_face


def _public(value: Any) -> Any:
    """Return a value for publication; paths on this machine become None."""
    return None if isinstance(value, str) and value.startswith("file:") else value


def attribution(rows: Sequence[Row]) -> str:
    """Return ATTRIBUTION.md: the creator of each image and the changes made to it, as the licences require."""
    size, color = astuple(form_of(rows[0]["crop"]))
    changes = f"cropped{'' if color else ', converted to grey'} and resized to {size} x {size} pixels"
    lines = [
        "# Attribution",
        "",
        f"{len(rows):,} images. One face of each image was {changes}.",
        "",
    ]
    for row in rows:
        title, creator = markdown(row["title"] or "Untitled"), markdown(row["creator"] or "unknown")
        licence = markdown(licence_name(row["licence"], row["licence_version"]))
        work = _link(title, row["landing_url"] or row["image_url"])
        by, under = _link(creator, row["creator_url"]), _link(licence, row["licence_url"])
        lines.append(f"- {work} by {by}, {under} ({row['provider']}; crop `{row['crop_id'][:12]}`)")
    return "\n".join([*lines, ""])


def _link(text: str, url: str | None) -> str:
    if not url or not url.startswith(("http://", "https://")):
        return text
    address = url.translate({ord(letter): f"%{ord(letter):02X}" for letter in "()<> "})
    return f"[{text}]({address})"
