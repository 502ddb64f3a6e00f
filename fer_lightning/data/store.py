"""The store: faces as a memory map beside an index, described by `store.json`, which is written last.

    <root>/store.json            what it holds, where it came from, which folder holds the rows
    <root>/rows-*/pixels.npy     uint8 (N, 48, 48), sorted by usage, label and SHA-256 of the pixels
    <root>/rows-*/index.npz      labels, usage, source, digests of the same rows
    <root>/extra-*/              the same again for rows of `data.extra`

Until `store.json` names a rows folder nobody opens it, so a killed ingest leaves the former store or none.
Numpy is imported where arrays are opened, for the config checker asks `store_problem` before it may load.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

VERSION = 1
MANIFEST = "store.json"


@dataclass(frozen=True)
class Store:
    """An opened store; arrays as in `FaceTable`, `digests` uint8 (N, 32), `manifest` as in store.json."""

    manifest: dict[str, Any]
    pixels: "np.ndarray"
    labels: "np.ndarray"
    usage: "np.ndarray"
    source: "np.ndarray"
    digests: "np.ndarray"

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(self.manifest["classes"])

    @property
    def has_official_split(self) -> bool:
        return all(sum(counts.values()) for counts in self.manifest["counts"].values())


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
    with np.load(folder / "index.npz") as index:
        arrays = {name: index[name] for name in ("labels", "usage", "source", "digests")}
    return Store(manifest=manifest, pixels=np.load(folder / "pixels.npy", mmap_mode="r"), **arrays)


def source_changed(manifest: dict[str, Any]) -> bool:
    """Whether the file that a store was made from has another size or time now; folders are not walked."""
    source = manifest["source"]
    try:
        status = os.stat(source["path"])
    except OSError:
        return False
    return os.path.isfile(source["path"]) and source["fingerprint"] != [1, status.st_size, status.st_mtime_ns]
