"""Details that the review page shows for a face: its image, its sources and its similar faces."""

import json
from collections import defaultdict
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from fer_lightning.collect.store.collection import Collection

Details = dict[str, Any]

_LICENCE = ("provider", "creator", "licence", "licence_version", "licence_url", "restrictions")
_TELLING = ("title", "creator_url", "landing_url")
_ADDRESSES = ("licence_url", "creator_url", "landing_url")


def details(collection: Collection, faces: Sequence[int], *, blind: bool) -> dict[int, Details]:
    """Return {face: its details for the page}; faces that do not exist are missing.

    blind  omit what may reveal the emotion that was searched for: queries, titles and URLs
    """
    by_face = {row["id"]: _face(row) for row in _of(collection, _FACES, faces)}
    for row in _of(collection, _SOURCES, faces):
        by_face[row["face"]]["sources"].append(_source(row, blind))
    for row in _of(collection, _ALIKE, faces):
        by_face[row["face"]]["alike"].append({**row, "mirrored": bool(row["mirrored"])})
    for row in _of(collection, _FER2013, faces):
        by_face[row["face"]]["fer2013"].append({**row, "mirrored": bool(row["mirrored"])})
    if not blind:
        queries = defaultdict(list)
        for row in _of(collection, _QUERIES, faces):
            queries[row.pop("face")].append(row)
        for face, details_ in by_face.items():
            details_["queries"] = queries[face]
    return by_face


def _of(collection: Collection, query: str, faces: Sequence[int]) -> list[Details]:
    marks = ", ".join("?" * len(faces))
    return [dict(row) for row in collection.rows(query.replace("(?)", f"({marks})"), *faces)]


def _face(row: Details) -> Details:
    size = {"width": row["stored_width"], "height": row["stored_height"]}
    return {
        "image": row["image"],
        "file": row["file"],
        **size,
        "crop_box": json.loads(row["crop_box"]),
        "score": row["score"],
        "face_px": row["face_px"],
        "n_faces": row["n_faces"],
        "ambiguous": bool(row["ambiguous"]),
        "sources": [],
        "queries": [],
        "alike": [],
        "fer2013": [],
    }


def _source(row: Details, blind: bool) -> Details:
    source = {name: row[name] for name in (_LICENCE if blind else _LICENCE + _TELLING)}
    return source | {name: _web(source[name]) for name in _ADDRESSES if name in source}


def _web(address: str | None) -> str | None:
    """Return an http(s) URL, which is safe to link to; None for other values, such as a script."""
    try:
        is_web = address and urlsplit(address).scheme in ("http", "https")
    except ValueError:
        is_web = False
    return address if is_web else None


_FACES = """
SELECT face.id, face.image, crop_box, score, face_px, n_faces, ambiguous, file, stored_width, stored_height
FROM face JOIN picture USING (image) WHERE face.status = 'face' AND face.id IN (?)
"""
_SOURCES = """
SELECT DISTINCT face.id AS face, provider, title, landing_url, licence.* FROM face
JOIN fetch ON fetch.image = face.image AND fetch.status = 'stored' JOIN candidate ON candidate.id = fetch.candidate
LEFT JOIN current_licence AS licence ON licence.candidate = candidate.id
WHERE face.status = 'face' AND face.id IN (?) ORDER BY candidate.id
"""
_QUERIES = """
SELECT DISTINCT face.id AS face, page.emotion, page.query, page.language FROM face
JOIN fetch ON fetch.image = face.image AND fetch.status = 'stored' JOIN finding ON finding.candidate = fetch.candidate
JOIN page ON page.id = finding.page
WHERE face.status = 'face' AND face.id IN (?) ORDER BY page.id
"""
# A pair is stored only with the later face, but the page shows it with both faces.
_ALIKE = """
WITH pair AS (
  SELECT face, other_face AS other, kind, distance, mirrored FROM likeness WHERE other_face IS NOT NULL
  UNION SELECT other_face, face, kind, distance, mirrored FROM likeness WHERE other_face IS NOT NULL
)
SELECT pair.face, pair.other, other.crop_id, pair.kind, pair.distance, pair.mirrored
FROM pair JOIN face AS other ON other.id = pair.other JOIN face ON face.id = pair.face
WHERE face.status = 'face' AND other.status = 'face' AND pair.face IN (?) ORDER BY pair.distance, pair.other
"""
_FER2013 = """
SELECT DISTINCT face, fer2013_usage AS usage, distance, mirrored, correlation FROM likeness
JOIN face ON face.id = face WHERE face.status = 'face' AND fer2013_digest IS NOT NULL AND face IN (?)
ORDER BY distance
"""
