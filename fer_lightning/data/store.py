"""The store: faces as a memory map beside an index, described by `store.json`, which is written last.

    <root>/store.json            what it holds, where it came from, which folder holds the rows
    <root>/rows-*/pixels.npy     uint8 (N, 48, 48), sorted by usage, label and SHA-256 of the pixels
    <root>/rows-*/<name>.npy     labels, usage, source, digests and, with FER+, votes of the same rows
    <root>/extra-*/              the same again for rows of `data.extra`

Until `store.json` names a rows folder nobody opens it, so a killed ingest leaves the former store or none.
All arrays are memory-mapped when read and written in pieces, so that a store may be larger than memory.
Numpy is imported where arrays are opened, for the config checker asks `store_problem` before it may load.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

VERSION = 2
MANIFEST = "store.json"
COLUMNS = ("labels", "usage", "source", "digests")
PIECE = 8192  # rows written at once
HOW_TO_ADD_VOTES = (
    "Add them: make data FROM=path/to/fer2013.csv FERPLUS=path/to/fer2013new.csv (from github.com/microsoft/FERPlus); "
    "or do without: data.labels=hard, and monitor=val/acc."
)


@dataclass(frozen=True)
class Store:
    """An opened store; memory-mapped arrays as in `FaceTable`, `manifest` as in store.json."""

    manifest: dict[str, Any]
    pixels: "np.ndarray"
    labels: "np.ndarray"
    usage: "np.ndarray"
    source: "np.ndarray"
    digests: "np.ndarray"
    votes: "np.ndarray | None"

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(self.manifest["classes"])

    @property
    def has_official_split(self) -> bool:
        return official_split_problem(self.manifest) is None


def store_problem(root: str) -> str | None:
    """Why no faces can be read from `root`, with both ways on; None where all is well. Takes milliseconds."""
    where = "" if os.path.normpath(root) == os.path.normpath("data/fer2013") else f" ROOT={root}"
    ways = (
        f"either ingest your copy of FER2013: make data FROM=path/to/fer2013.csv{where}\n"
        f"or train on drawn faces: python train.py data=synthetic"
    )
    path = os.path.join(root, MANIFEST)
    try:
        with open(path, encoding="utf-8") as handle:
            manifest = json.load(handle)
        if manifest["version"] != VERSION:
            return f"data.root={root}: the store is of version {manifest['version']}, not {VERSION};\n{ways}"
        for name, size in manifest["files"].items():
            if os.path.getsize(os.path.join(root, manifest["folder"], name)) != size:
                return f"data.root={root}: {name} is not as long as it was written;\n{ways}"
    except (FileNotFoundError, NotADirectoryError):
        return f"data.root={root}: there is no store of faces in this folder;\n{ways}"
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return f"data.root={root}: {MANIFEST} cannot be read ({error!r});\n{ways}"
    return None


def official_split_problem(manifest: dict[str, Any]) -> str | None:
    """Which usages a store lacks, and what to do; None where it has all three."""
    missing = [usage for usage, counts in manifest["counts"].items() if not sum(counts.values())]
    if not missing:
        return None
    reasons = "".join(f"\n{note}" for note in manifest["notes"] if "official" in note)
    return (
        f"the store has no {' and no '.join(missing)} rows; "
        f"use data.split=clean or data.split=stratified, or ingest a form that has them{reasons}"
    )


def read_manifest(root: Path) -> dict[str, Any] | None:
    """What store.json says, or None where there is no sound store."""
    if store_problem(str(root)):
        return None
    return json.loads((root / MANIFEST).read_text(encoding="utf-8"))


def open_store(root: Path) -> Store:
    """Open a store that `store_problem` finds sound; the pixels stay on disk until they are touched."""
    import numpy as np

    manifest = json.loads((root / MANIFEST).read_text(encoding="utf-8"))
    folder = root / manifest["folder"]
    # Copy-on-write, since torch wants writable memory; nobody writes.
    arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="c") for name in ("pixels", *COLUMNS)}
    votes = np.load(folder / "votes.npy", mmap_mode="c") if "votes.npy" in manifest["files"] else None
    return Store(manifest=manifest, votes=votes, **arrays)


def write_columns(folder: Path, order: "np.ndarray", columns: dict[str, "np.ndarray"]) -> None:
    """Write each array's rows in `order` to <name>.npy, a piece at a time, flushed to disk.

    By plain writes and not through a map, so that a full disk is an OSError and not a dead process.
    """
    import numpy as np

    for name, values in columns.items():
        with open(folder / f"{name}.npy", "wb") as file:
            header = {"descr": np.lib.format.dtype_to_descr(values.dtype), "fortran_order": False}
            np.lib.format.write_array_header_1_0(file, header | {"shape": (len(order), *values.shape[1:])})
            for start in range(0, len(order), PIECE):
                file.write(values[order[start : start + PIECE]].tobytes())
            file.flush()
            os.fsync(file.fileno())


def notes_of(manifest: dict[str, Any]) -> list[str]:
    """A store's notes, with one more where its source file has another size or time now; folders are not walked."""
    notes, source = list(manifest["notes"]), manifest["source"]
    path = source["path"]
    try:
        status = os.stat(path)
    except OSError:
        return notes
    if os.path.isfile(path) and source["fingerprint"] != [1, status.st_size, status.st_mtime_ns]:
        notes.append(f"{path} has changed since it was ingested; make data FROM={path} takes it up")
    return notes
