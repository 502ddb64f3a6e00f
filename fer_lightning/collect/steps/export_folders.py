"""Folders that hold an export, and whether the export is of this collection or of another one.

An export inside the folder of a collection is of that collection. Others are signed with the id of their collection.
A copy of a collection gets an id of its own, and a moved collection keeps its id. So `purge` finds its own exports, and
never touches those of another collection.
"""

import csv
import json
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from fer_lightning.collect.store.collection import FILE, Collection
from fer_lightning.errors import UserError
from fer_lightning.files import large_csv_fields, write_atomically

FILES = CSV, PROVENANCE, ATTRIBUTION, CARD = "custom.csv", "provenance.csv", "ATTRIBUTION.md", "DATASET_CARD.md"
SIGNATURE = ".collection"  # file of an export with the id of its collection
IDENTITY = "collection.json"


@dataclass(frozen=True)
class Traces:
    """Values in the files of an export that show that it holds a purged image."""

    images: frozenset[str]
    crops: frozenset[str]  # SHA-256 of the pixels
    pixels: frozenset[str]  # as custom.csv writes them


@dataclass
class ExportFolders:
    """Folders of exports.

    own      of this collection
    foreign  of another collection, although this one recorded or configured the folder
    missing  recorded by this collection, but no longer there
    """

    own: list[Path] = field(default_factory=list)
    foreign: list[Path] = field(default_factory=list)
    missing: list[Path] = field(default_factory=list)


def sign(collection: Collection, folder: Path) -> None:
    write_atomically(folder / SIGNATURE, _identity(collection)["id"] + "\n")


def export_folders(collection: Collection, configured: Path | None = None) -> ExportFolders:
    """Return the folders that are recorded, configured or inside the collection."""
    recorded = {Path(row["folder"]) for row in collection.rows("SELECT DISTINCT folder FROM export")}
    candidates = recorded | {path.parent.absolute() for path in collection.files_below() if path.name in FILES}
    candidates |= {configured.absolute()} if configured else set()
    identity, folders = _identity(collection), ExportFolders()
    for folder in sorted(candidates):
        if not folder.is_dir():
            folders.missing += [folder] if folder in recorded else []
        elif _is_own(collection, folder, identity, recorded=folder in recorded):
            folders.own.append(folder)
        elif any((folder / name).exists() for name in FILES):
            folders.foreign.append(folder)
    return folders


def refuse_other_files(collection: Collection, folder: Path) -> None:
    """Raise UserError if `folder` has files with the names of an export that this collection has not written."""
    present = [name for name in FILES if (folder / name).exists()]
    if present and folder.absolute() not in export_folders(collection, folder).own:
        raise UserError(
            f"export.folder={folder}: holds {present[0]}, which is not of an export of this collection. Name another "
            "folder."
        )


def _is_own(collection: Collection, folder: Path, identity: dict, *, recorded: bool) -> bool:
    try:
        signed = (folder / SIGNATURE).read_text(errors="replace").strip()
    except OSError:
        signed = None
    owner = next((parent for parent in (folder, *folder.parents) if (parent / FILE).exists()), None)
    if owner is not None and owner.resolve() == collection.root.resolve():
        return True
    return signed == identity["id"] or (signed is None and recorded and owner is None)


def _identity(collection: Collection) -> dict:
    """Return {"id", "root"} of the collection. If its original still exists elsewhere, the copy gets a new id."""
    here, path = str(collection.root.resolve()), collection.root / IDENTITY
    stored = _read(path)
    identity = stored or {"id": secrets.token_hex(16), "root": here}
    if identity["root"] != here and (_read(Path(identity["root"], IDENTITY)) or {}).get("id") == identity["id"]:
        identity = {"id": secrets.token_hex(16)}
    identity = {"id": identity["id"], "root": here}
    if identity != stored:
        write_atomically(path, json.dumps(identity) + "\n")
    return identity


def _read(path: Path) -> dict | None:
    """Return the content of an identity file; None if it is missing or damaged."""
    try:
        content = json.loads(path.read_text())
        valid = isinstance(content["id"], str) and isinstance(content["root"], str)
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return None
    return content if valid else None


def remove_export(folder: Path) -> None:
    for name in (*FILES, SIGNATURE):
        (folder / name).unlink(missing_ok=True)


def remove_unfinished(folder: Path) -> None:
    """Delete temporary files of an export that was killed."""
    names = "|".join(map(re.escape, (*FILES, SIGNATURE)))
    for path in folder.glob(".*.tmp"):
        if re.fullmatch(rf"\.({names})\.\d+\.tmp", path.name):
            path.unlink(missing_ok=True)


def holds(folder: Path, traces: Traces) -> bool:
    """Return True if one of the export's files holds one of the images; a killed export may have only some files."""
    return (
        any(row.get("image_id") in traces.images for row in _rows(folder / PROVENANCE))
        or any(row.get("pixels") in traces.pixels for row in _rows(folder / CSV))
        or any(crop in _text(folder / ATTRIBUTION) for crop in {crop[:12] for crop in traces.crops})
    )


def _rows(path: Path) -> Iterator[dict]:
    if path.is_file():
        with open(path, newline="", encoding="utf-8", errors="replace") as file, large_csv_fields():
            yield from csv.DictReader(file)


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
