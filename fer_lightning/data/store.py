"""Store: faces as memory-mapped arrays with an index, described by `store.json`, which is written last.

    <root>/store.json            content, source, and the name of the folder with the rows
    <root>/rows-*/pixels.npy     uint8 (N, 48, 48), sorted by usage, label and SHA-256 of the pixels
    <root>/rows-*/<name>.npy     labels, usage, source, digests and, with FER+, votes of the same rows
    <root>/extra-*/              a store of the same form for the rows of `data.extra`

A rows folder is used only after `store.json` names it, so a killed ingest leaves the former store or no store.
All arrays are memory-mapped when read and are written in pieces, so a store may be larger than memory.
Numpy is imported only when arrays are opened, because the config checker calls `store_problem` before numpy may load.
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
    "Add them: make data FROM=path/to/fer2013.csv FERPLUS=path/to/fer2013new.csv (from github.com/microsoft/FERPlus). "
    "Or train without votes: data.labels=hard and monitor=val/acc."
)


@dataclass(frozen=True)
class Store:
    """Opened store: memory-mapped arrays as in `FaceTable`, and `manifest` as in store.json."""

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
    """Return why no faces can be read from `root` and how to fix it; None if all is well. This takes milliseconds."""
    where = "" if os.path.normpath(root) == os.path.normpath("data/fer2013") else f" ROOT={root}"
    ways = (
        f"Read your copy of FER2013: make data FROM=path/to/fer2013.csv{where}\n"
        f"Or train on drawn faces: python train.py data=synthetic"
    )
    path = os.path.join(root, MANIFEST)
    try:
        with open(path, encoding="utf-8") as handle:
            manifest = json.load(handle)
        if manifest["version"] != VERSION:
            return f"data.root={root}: the store has version {manifest['version']}; it must be {VERSION}.\n{ways}"
        for name, size in manifest["files"].items():
            if os.path.getsize(os.path.join(root, manifest["folder"], name)) != size:
                return f"data.root={root}: the size of {name} has changed since it was written.\n{ways}"
    except (FileNotFoundError, NotADirectoryError):
        return f"data.root={root}: this folder does not hold a store of faces.\n{ways}"
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return f"data.root={root}: {MANIFEST} cannot be read ({error!r}).\n{ways}"
    return None


def official_split_problem(manifest: dict[str, Any]) -> str | None:
    """Return which usages a store lacks and what to do next; None if it has all three."""
    missing = [usage for usage, counts in manifest["counts"].items() if not sum(counts.values())]
    if not missing:
        return None
    reasons = "".join(f"\n{note}" for note in manifest["notes"] if "official" in note)
    return (
        f"the store has no {' and no '.join(missing)} rows. "
        f"Use data.split=clean or data.split=stratified, or read a form of the data set that has these rows.{reasons}"
    )


def read_manifest(root: Path) -> dict[str, Any] | None:
    """Return the content of store.json, or None without an intact store."""
    if store_problem(str(root)):
        return None
    return json.loads((root / MANIFEST).read_text(encoding="utf-8"))


def open_store(root: Path) -> Store:
    """Open a store for which `store_problem` returns None; the pixels are read from disk only when they are used."""
    import numpy as np

    manifest = json.loads((root / MANIFEST).read_text(encoding="utf-8"))
    folder = root / manifest["folder"]
    # Copy-on-write, because torch requires writable memory; the arrays are never changed.
    arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="c") for name in ("pixels", *COLUMNS)}
    votes = np.load(folder / "votes.npy", mmap_mode="c") if "votes.npy" in manifest["files"] else None
    return Store(manifest=manifest, votes=votes, **arrays)


def write_columns(folder: Path, order: "np.ndarray", columns: dict[str, "np.ndarray"]) -> None:
    """Write each array's rows in `order` to <name>.npy, a piece at a time, flushed to disk.

    The rows are not written through a memory map, because a full disk would then kill the process instead of raising
    an OSError.
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
    """Return a store's notes, and a note if size or time of its source file have changed; folders are not checked."""
    notes, source = list(manifest["notes"]), manifest["source"]
    path = source["path"]
    try:
        status = os.stat(path)
    except OSError:
        return notes
    if os.path.isfile(path) and source["fingerprint"] != [1, status.st_size, status.st_mtime_ns]:
        notes.append(f"{path} has changed since it was read; run make data FROM={path} to update the store")
    return notes
