"""Store: faces as memory-mapped arrays with an index, described by `store.json`, which is written last.

    <root>/store.json            content, source, and the name of the folder with the rows
    <root>/rows-*/pixels.npy     uint8 (N, S, S) grey or (N, S, S, 3) RGB, S = 48 for FER2013; sorted by usage, label
                                 and SHA-256 of the pixels
    <root>/rows-*/<name>.npy     labels, usage, source, digests and, with FER+, votes of the same rows
    <root>/extra-*/              a store of the same form for the rows of `data.extra`

`store.json` holds the SHA-256 of each file of rows and of itself. `open_store` compares them once per process.
A rows folder is used only after `store.json` names it, so a killed ingest leaves the former store or no store.
All arrays are memory-mapped when read and are written in pieces, so a store may be larger than memory.
Numpy is imported only when arrays are opened, because the config checker calls `store_problem` before numpy may load.
"""

import hashlib
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fer_lightning.errors import UserError
from fer_lightning.files import file_checksum, read_json, write_atomically
from fer_lightning.labels import Taxonomy
from fer_lightning.wording import typed_for_make

if TYPE_CHECKING:
    import numpy as np

VERSION = 2
EXTRA = "extra-"  # prefix of the stores of extra rows
MANIFEST = "store.json"
COLUMNS = ("labels", "usage", "source", "digests")
FER2013_TRAINING = {
    "angry": 3995,
    "disgust": 436,
    "fear": 4097,
    "happy": 7215,
    "sad": 4830,
    "surprise": 3171,
    "neutral": 4965,
}
IMAGE = (48, 48)  # shape of a face in a store that does not state it
# Type and shape of a row of each array; the shape of `pixels` is that of the store's faces.
SHAPES = {
    "pixels": ("|u1",),
    "labels": ("<i8",),
    "usage": ("|u1",),
    "source": ("<U",),
    "digests": ("|u1", 32),
    "votes": ("|u1", 10),
}
PIECE = 8192  # rows written at once
HOW_TO_ADD_VOTES = (
    "Add them: make data FROM=path/to/fer2013.csv FERPLUS=path/to/fer2013new.csv (from github.com/microsoft/FERPlus)."
)
WITHOUT_VOTES = "Or train without votes: data.labels=hard callbacks.best.monitor=val/acc."


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
    def is_fer2013(self) -> bool:
        """Return True if the faces are those of FER2013, judged by the number of Training rows of each class."""
        return self.pixels.shape[1:] == IMAGE and self.manifest["counts"].get("Training") == FER2013_TRAINING

    @property
    def has_official_split(self) -> bool:
        return official_split_problem(self.manifest) is None


def store_problem(root: str) -> str | None:
    """Return why no faces can be read from `root` and how to fix it; None if all is well. This takes milliseconds."""
    ways = _ways(root)
    try:
        manifest = read_json(Path(root, MANIFEST))
        if manifest["version"] != VERSION:
            return f"data.root={root}: the store has version {manifest['version']}; it must be {VERSION}.\n{ways}"
        if manifest.get("sha256", {}).get(MANIFEST, _digest_of(manifest)) != _digest_of(manifest):
            return f"data.root={root}: {MANIFEST} was changed after it was written.\n{ways}"
        for name, size in manifest["files"].items():
            if os.path.getsize(os.path.join(root, manifest["folder"], name)) != size:
                return f"data.root={root}: the size of {name} has changed since it was written.\n{ways}"
        official_split_problem(manifest)
        manifest["classes"], manifest["taxonomy"], manifest["source"]["path"], manifest["votes"]
    except (FileNotFoundError, NotADirectoryError):
        if Path(root).is_file():
            return f"data.root={root}: must be the folder of a store, not a file.\n{_ways(str(default_root()))}"
        return f"data.root={root}: this folder does not hold a store of faces.\n{ways}"
    except UserError as error:
        return f"data.root={root}: {MANIFEST} cannot be read ({error})\n{ways}"
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return f"data.root={root}: {MANIFEST} cannot be read ({error!r}).\n{ways}"
    return None


def _ways(root: str) -> str:
    """Return the commands that make a store at `root` unnecessary or whole."""
    where = "" if Path(root) == default_root() else f" {typed_for_make('ROOT', root)}"
    return (
        f"Read your copy of FER2013: make data FROM=path/to/fer2013.csv{where}\n"
        f"Or train a small network on drawn faces: python train.py experiment=quickstart"
    )


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


def classes_problem(chosen: Taxonomy, manifest: dict[str, Any], extra: str | None) -> str | None:
    """Return why a store, of which this is the manifest, cannot give the chosen classes; None if it can."""
    if "ferplus" in chosen.sources:
        labels = f"data.taxonomy={chosen.name}: its labels are those of FER+."
        return None if manifest["votes"] else f"{labels} {HOW_TO_ADD_VOTES}"
    missing = [name for name in chosen.classes if name not in manifest["classes"]]
    if not missing or extra is not None:
        return None
    return (
        f"data.taxonomy={chosen.name} without data.extra: the store has no faces of {', '.join(missing)}, so these "
        "classes would be empty. Add your own faces with data.extra=path/to/custom.csv (emotion,pixels[,Usage]) or "
        "class folders."
    )


def color_problem(manifest: dict[str, Any], in_channels: int) -> str | None:
    """Return why a network with so many input channels cannot take the faces of a store; None if it can."""
    if len(manifest.get("image", IMAGE)) == 2 or in_channels == 3:
        return None
    return (
        f"model.in_channels={in_channels}: the faces of the store are RGB, so it must be 3. Use model.in_channels=3, "
        "or read the faces in grey into another store: make data COLOR=no ROOT=..."
    )


def read_manifest(root: Path) -> dict[str, Any] | None:
    """Return the content of store.json, or None without an intact store."""
    if store_problem(str(root)):
        return None
    return read_json(root / MANIFEST)


def write_manifest(root: Path, manifest: dict[str, Any]) -> dict[str, Any]:
    """Write store.json with the digests of all files, and return its content. The rows folder must be complete."""
    folder = root / manifest["folder"]
    names = sorted(path.name for path in folder.iterdir())
    manifest = manifest | {
        "files": {name: (folder / name).stat().st_size for name in names},
        "sha256": {name: file_checksum(folder / name) for name in names},
    }
    manifest["sha256"][MANIFEST] = _digest_of(manifest)
    write_atomically(root / MANIFEST, json.dumps(manifest, indent=2) + "\n")
    return manifest


def open_store(root: Path) -> Store:
    """Open a store for which `store_problem` returns None. Raise UserError if the content of a file has changed.

    The content is compared once per process. FER2013 takes about 0.2 s, and a store of an earlier version, which has
    no digests of files, about 0.5 s.
    """
    manifest = read_json(root / MANIFEST)
    _refuse_changed_files(root, manifest)
    store = _mapped(root, manifest)
    state = _state(root, manifest)
    if state not in _verified:
        _refuse_other_rows(root, store)
        _verified.add(state)
    return store


def _mapped(root: Path, manifest: dict[str, Any]) -> Store:
    """Return the arrays as memory maps. Raise UserError if one does not have the type and shape of its column."""
    arrays = {name: _column(root, manifest, name) for name in ("pixels", *COLUMNS)}
    votes = _column(root, manifest, "votes") if "votes.npy" in manifest["files"] else None
    return Store(manifest=manifest, votes=votes, **arrays)


def _column(root: Path, manifest: dict[str, Any], name: str) -> "np.ndarray":
    import numpy as np

    try:
        # Copy-on-write, because torch requires writable memory; the arrays are never changed.
        array = np.load(root / manifest["folder"] / f"{name}.npy", mmap_mode="c", allow_pickle=False)
    except FileNotFoundError:
        raise
    except Exception as error:  # numpy raises errors of many classes for a damaged header
        raise UserError(_changed(root, f"{name}.npy cannot be read ({error})")) from None
    kind, *sides = SHAPES[name]
    sides += manifest.get("image", IMAGE) if name == "pixels" else ()
    if not array.dtype.str.startswith(kind) or array.shape != (manifest["rows"], *sides):
        raise UserError(_changed(root, f"{name}.npy holds {array.dtype} {array.shape}"))
    return array


# States of stores whose content this process has compared with their digests.
_verified: set[tuple[Any, ...]] = set()


def _state(root: Path, manifest: dict[str, Any]) -> tuple[Any, ...]:
    """Return a value that changes if a file of the store is written again."""
    folder = root / manifest["folder"]
    status = [os.stat(folder / name) for name in sorted(manifest["files"])]
    return (
        folder.resolve(),
        _digest_of(manifest),
        *((s.st_ino, s.st_size, s.st_mtime_ns, s.st_ctime_ns) for s in status),
    )


def _refuse_changed_files(root: Path, manifest: dict[str, Any]) -> None:
    """Raise UserError if a file does not have its digest. A store of an earlier version has no digests."""
    if "sha256" not in manifest or _state(root, manifest) in _verified:
        return
    for name in manifest["files"]:
        if file_checksum(root / manifest["folder"] / name) != manifest["sha256"].get(name):
            raise UserError(_changed(root, f"the content of {name} has changed since it was written"))


def _refuse_other_rows(root: Path, store: Store) -> None:
    """Raise UserError if the columns do not have the checksums of store.json, or the pixels not their digests."""
    import numpy as np

    from fer_lightning.data.rows import pixel_digests, rows_checksum

    if store.labels.min(initial=0) < 0 or store.labels.max(initial=0) >= len(store.classes):
        raise UserError(_changed(root, "labels.npy holds labels of no class"))
    if rows_checksum(store.classes, store.usage, store.labels, store.digests) != store.manifest["checksum"]:
        raise UserError(_changed(root, "labels, usage or digests do not have the checksum of store.json"))
    if "sha256" in store.manifest:
        return
    if not np.array_equal(pixel_digests(store.pixels), store.digests):
        raise UserError(_changed(root, "the content of pixels.npy has changed since it was written"))
    if store.votes is not None and hashlib.sha256(store.votes).hexdigest() != store.manifest["votes"]:
        raise UserError(_changed(root, "the content of votes.npy has changed since it was written"))


def _changed(root: Path, problem: str) -> str:
    return f"data.root={root}: {problem}, so the store is damaged.\n{_ways(str(root))}"


def _digest_of(manifest: dict[str, Any]) -> str:
    """Return the SHA-256 of a manifest without its own digest."""
    others = {name: digest for name, digest in manifest.get("sha256", {}).items() if name != MANIFEST}
    return hashlib.sha256(json.dumps(manifest | {"sha256": others}, sort_keys=True).encode()).hexdigest()


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


def default_root() -> Path:
    """Return the folder of the store that commands use if none is named."""
    return Path(os.environ.get("FER2013_ROOT") or "data/fer2013")


def is_extra_store(folder: Path) -> bool:
    """Return True if the name of a folder is that of a store of extra rows, and not only similar to it."""
    return re.fullmatch(rf"{EXTRA}[0-9a-f]{{12}}", folder.name) is not None


def notes_of(manifest: dict[str, Any], root: str | Path) -> list[str]:
    """Return the notes of the store at `root`, and a note if size or time of its source file have changed.

    Source folders are not checked.
    """
    notes, source = list(manifest["notes"]), manifest["source"]
    path = source["path"]
    try:
        status = os.stat(path)
    except OSError:
        return notes
    if os.path.isfile(path) and source["fingerprint"] != [1, status.st_size, status.st_mtime_ns]:
        of_extra = "the next run with data.extra reads it again"
        way = of_extra if is_extra_store(Path(root)) else f"to update the store, run {_made_by(manifest, root)}"
        notes.append(f"{path} has changed since it was read; {way}")
    return notes


def _made_by(manifest: dict[str, Any], root: str | Path) -> str:
    """Return the make command that writes the store at `root` from its source again."""
    from fer_lightning.faces.image_form import FER2013_FORM, ImageForm  # imports OpenCV

    source, form = manifest["source"], ImageForm.of_shape(manifest.get("image", FER2013_FORM.shape))
    values = {
        "FROM": source["path"],
        "ROOT": None if Path(root) == default_root() else str(root),
        "LABELS": source.get("labels"),
        "TAXONOMY": None if manifest["taxonomy"] == "fer2013" else manifest["taxonomy"],
        "SIZE": None if form.size == FER2013_FORM.size else str(form.size),
        "COLOR": "yes" if form.color else None,
        "PHOTOS": "yes" if source.get("photographs") else None,
    }
    return " ".join(["make data", *(typed_for_make(name, value) for name, value in values.items() if value)])
