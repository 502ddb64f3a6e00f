"""Read FER2013 in any of its forms into a store. `make data FROM=path` runs this command.

    python -m fer_lightning.data.ingest source=fer2013.csv
    python -m fer_lightning.data.ingest source=fer2013.csv root=data/fer2013 ferplus=fer2013new.csv

docs/data.md lists the forms that it reads.
"""

import errno
import shutil
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fer_lightning.compat.old_words import OldForm
from fer_lightning.config import command
from fer_lightning.config.messages import Command
from fer_lightning.config.settings import Settings, setting
from fer_lightning.data.duplicates import joined_rows
from fer_lightning.data.ferplus import read_votes, votes_checksum
from fer_lightning.data.readers.faces import TRAINING, ReadFaces
from fer_lightning.data.readers.files import file_fingerprint
from fer_lightning.data.readers.photographs import Photographs
from fer_lightning.data.readers.reader import RULES, read_faces, source_fingerprint
from fer_lightning.data.rows import image_numbers, pixel_digests, rows_checksum, stored_order
from fer_lightning.data.splits import SHARES, deal, deal_groups
from fer_lightning.data.store import (
    COLUMNS,
    VERSION,
    default_root,
    open_store,
    read_manifest,
    write_columns,
    write_manifest,
)
from fer_lightning.errors import UserError
from fer_lightning.faces.detector import open_detector
from fer_lightning.faces.face import SIDE
from fer_lightning.faces.image_form import FER2013_FORM, LARGEST, SMALLEST, ImageForm
from fer_lightning.faces.settings import FaceRules
from fer_lightning.failures import status_of
from fer_lightning.files import os_message, take_lock
from fer_lightning.inputs import PARTLY
from fer_lightning.labels import TAXONOMIES, USAGES, Taxonomy, taxonomy_of
from fer_lightning.machine import fitting_experiment
from fer_lightning.paths import CONF
from fer_lightning.terminal import Progress, plain_console, progress_bar
from fer_lightning.wording import message, typed

if TYPE_CHECKING:
    from rich.table import Table

# The checksums are those in torchvision.datasets.FER2013.
CHALLENGE_MD5 = {
    "f8428a1edbd21e88f42c73edd2a14f95": "fer2013.csv",  # pragma: allowlist secret
    "b114b9e04e6949e5fe8b6a98b3892b1d": "icml_face_data.csv",  # pragma: allowlist secret
    "3f0dfb3d3fd99c811a1299cb947e3131": "train.csv",  # pragma: allowlist secret
}
DEAL_SEED = 0
NO_VOTES = "no"  # instead of a file of votes
COLUMN_FILES = {f"{name}.npy" for name in (*COLUMNS, "pixels", "votes")}  # of a folder of rows
NOT_WRITABLE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}  # of a folder, not of a source


@dataclass(frozen=True)
class Ingested:
    """Result of an ingest: the store's manifest, and whether the store was reused, written or replaced."""

    manifest: dict[str, Any]
    outcome: str


def ingest(
    source: str,
    root: str,
    taxonomy: str = "fer2013",
    deal_usage: bool = False,
    progress: Progress | None = None,
    ferplus: str | None = None,
    photographs: Photographs | None = None,
    labels: str | None = None,
    form: ImageForm = FER2013_FORM,
) -> Ingested:
    """Read `source` into a store at `root`, unless the store was made from the same, unchanged source.

    deal_usage   True: rows without Usage are split 70/15/15 per class; False: all of them become Training rows
    ferplus      FER+'s fer2013new.csv, for a CSV with all rows; NO_VOTES: no votes; None: the file with which the store
                 at `root` was made, if it was
    labels       name of a file of conf/labels, for a source with numbers as labels; None: numbers are rejected, except
                 in the column emotion of a CSV with pixels, where they are the codes of the taxonomy
    form         size and color of the stored faces
    photographs  finds the faces in class folders of whole photographs; None: the images are faces
    """
    origin, folder, classes = Path(source).absolute(), Path(root), TAXONOMIES[taxonomy].numbered(labels)
    try:
        former = read_manifest(folder)
        key = {
            "path": str(origin),
            "fingerprint": source_fingerprint(origin, photographs is not None),
            "ferplus": _ferplus(ferplus, former, origin),
            "photographs": photographs.recipe if photographs else None,
            "labels": labels,
            "meaning": classes.checksum,
            "image": None if form == FER2013_FORM else list(form.shape),
            "rules": RULES,
        }
        if _made_from(former, key, taxonomy) and _is_intact(folder):
            return Ingested(former, "reused: size and time of the source are unchanged")
        with locked_store(folder):
            former = read_manifest(folder)  # another process may have written it while this one waited
            if _made_from(former, key, taxonomy) and _is_intact(folder):
                return Ingested(former, "reused: another process has just written it")
            faces = read_faces(origin, classes, progress, photographs, form)
            votes = _votes(Path(key["ferplus"]["path"]), faces, classes) if key["ferplus"] else faces.votes
            manifest = write_store(folder, faces, key, classes, votes, deal_usage)
    except OSError as error:
        if error.errno in NOT_WRITABLE:
            raise UserError(
                f"root={root} cannot be written: {os_message(error)}. An existing store there is unchanged. Free "
                "space, or name a folder on another disk (root=PATH; with make: ROOT=PATH)."
            ) from error
        raise UserError(
            f"FROM={source} cannot be read or ROOT={root} cannot be written: {os_message(error)}. "
            "An existing store at ROOT is unchanged. Fix this and run the same command again."
        ) from error
    return Ingested(manifest, _outcome(former, key))


def _made_from(manifest: dict[str, Any] | None, key: dict[str, Any], taxonomy: str) -> bool:
    if manifest is None or manifest["taxonomy"] != taxonomy:
        return False
    return all(manifest["source"].get(name) == value for name, value in key.items())


def _is_intact(root: Path) -> bool:
    """Return True if the files of the store have the content that was written."""
    try:
        open_store(root)
    except UserError:
        return False
    return True


def _outcome(former: dict[str, Any] | None, key: dict[str, Any]) -> str:
    if former is None:
        return "written"
    if former["source"]["path"] != key["path"]:
        return f"written; it replaces the store of {former['source']['path']}"
    if any(former["source"].get(name) != key[name] for name in ("photographs", "labels", "meaning", "image", "rules")):
        return "written again: the rules for reading images, labels or faces have changed"
    if all(former["source"].get(name) == value for name, value in key.items()):
        return "written again: the store was damaged"
    return "written again: the source has changed since it was last read"


@contextmanager
def locked_store(root: Path) -> Iterator[None]:
    """Allow one writer at a time; the system frees the lock of a process that dies.

    If the source is rejected and `root` is not a store, nothing stays there.
    """
    root.mkdir(parents=True, exist_ok=True)
    with open(root / ".lock", "w") as handle:
        take_lock(handle, wait=True)
        try:
            yield
        except UserError:
            if read_manifest(root) is None:
                (root / ".lock").unlink(missing_ok=True)
                with suppress(OSError):  # it has other content
                    root.rmdir()
            raise


def _ferplus(given: str | None, former: dict[str, Any] | None, origin: Path) -> dict[str, Any] | None:
    """Return path and fingerprint of the file of votes; None for no votes.

    given  path, NO_VOTES, or None: the file with which the store was made, which may be missing by now
    """
    if given == NO_VOTES:
        return None
    if given is not None and not Path(given).is_file():
        raise UserError(
            f"FERPLUS={given}: no such file. Give the path of FER+'s fer2013new.csv, or FERPLUS={NO_VOTES} for a store "
            "without votes."
        )
    if given is not None:
        path = Path(given).absolute()
        return {"path": str(path), "fingerprint": file_fingerprint(path)}
    if former is None or former["source"]["path"] != str(origin):
        return None
    used = former["source"]["ferplus"]
    if not used or not Path(used["path"]).is_file():
        return used
    return {"path": used["path"], "fingerprint": file_fingerprint(Path(used["path"]))}


def _votes(path: Path, faces: ReadFaces, taxonomy: Taxonomy) -> np.ndarray:
    if not path.is_file():
        raise UserError(
            f"FERPLUS={path}: the store was made with these votes, and the file is missing now. Name it again with "
            f"FERPLUS=PATH, or use FERPLUS={NO_VOTES} for a store without votes."
        )
    if not faces.form.startswith("csv") or faces.usage is None:
        raise UserError(
            f"FERPLUS={path}: FER+ uses the row numbers of the complete fer2013.csv, but FROM is {faces.form}. "
            f"Read the complete fer2013.csv with FROM, or use FERPLUS={NO_VOTES}."
        )
    return read_votes(path, faces.labels, faces.usage, taxonomy.classes)


def write_store(
    root: Path,
    faces: ReadFaces,
    key: dict[str, Any],
    taxonomy: Taxonomy,
    votes: np.ndarray | None = None,
    deal_usage: bool = False,
) -> dict[str, Any]:
    """Write `faces` into the store at `root`, replace its former rows, and return its manifest.

    key    description of the source, for the manifest
    votes  uint8 (N, 10) in the order of `faces`
    """
    digests = pixel_digests(faces.pixels)
    usage, notes = _usage(faces, digests, deal_usage)
    order = stored_order(usage, faces.labels, digests)
    columns = {"labels": faces.labels, "usage": usage, "source": np.array(faces.source), "digests": digests}
    columns |= {"pixels": faces.pixels} | ({} if votes is None else {"votes": votes})
    usage, labels, digests = usage[order], faces.labels[order], digests[order]
    folder = Path(tempfile.mkdtemp(prefix="rows-", dir=root))
    folder.chmod(0o755)
    try:
        write_columns(folder, order, columns)
        manifest = {
            "version": VERSION,
            "folder": folder.name,
            "rows": len(labels),
            "image": list(faces.pixels.shape[1:]),
            "taxonomy": taxonomy.name,
            "classes": list(taxonomy.classes),
            "checksum": rows_checksum(taxonomy.classes, usage, labels, digests),
            "votes": None if votes is None else votes_checksum(votes[order]),
            "counts": _counts(taxonomy, usage, labels),
            "sources": len(set(faces.source)),
            "source": {
                **key,
                "form": faces.form,
                "md5": faces.md5,
                "challenge_file": CHALLENGE_MD5.get(faces.md5 or ""),
            },
            "notes": faces.notes + notes,
            "partly": faces.partly,
        }
        manifest = write_manifest(root, manifest)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    for stale in root.glob("rows-????????"):
        if stale.name != folder.name and {path.name for path in stale.glob("*")} <= COLUMN_FILES:
            shutil.rmtree(stale, ignore_errors=True)
    return manifest


def _usage(faces: ReadFaces, digests: np.ndarray, deal_usage: bool) -> tuple[np.ndarray, list[str]]:
    if faces.usage is not None:
        return faces.usage, []
    images, shared = image_numbers(digests), len(set(faces.source)) < len(faces.source)
    if deal_usage:
        kept = "copies and rows of one source stay" if shared else "copies stay"
        note = f"rows without Usage are split 70/15/15 per class (seed {DEAL_SEED}); {kept} in the same part"
        if not shared:
            return deal(faces.labels, images, DEAL_SEED), [note]
        joined = joined_rows(np.array(faces.source), images)
        return deal_groups(faces.labels, joined, SHARES, DEAL_SEED).astype(np.uint8), [note]
    note = (
        "the source has no Usage: all its rows are Training rows, so data.split=official is not possible; "
        f"data.split={_split_of(shared)} makes a split"
    )
    return np.full(len(faces.labels), TRAINING, np.uint8), [note]


def _split_of(shared: bool) -> str:
    """Return the split to propose: `stratified` does not keep the rows of one source together."""
    return "clean" if shared else "stratified"


def _counts(taxonomy: Taxonomy, usage: np.ndarray, labels: np.ndarray) -> dict[str, dict[str, int]]:
    counts = {}
    for code, name in enumerate(USAGES):
        by_class = np.bincount(labels[usage == code], minlength=len(taxonomy.classes))
        counts[name] = dict(zip(taxonomy.classes, by_class.tolist(), strict=True))
    return counts


@dataclass(frozen=True, kw_only=True)
class IngestSettings(Settings):
    """Settings of `make data`."""

    source: str = setting(comment="CSV, folder, zip or tar to read", path=True)
    root: str = setting("data/fer2013", "folder of the store", path=True)
    ferplus: str | None = setting(
        None,
        "FER+'s fer2013new.csv with votes of ten people for each row; no: no votes; null: the file with which the "
        "store was made, if it was",
        path=True,
    )
    taxonomy: str = setting("fer2013", "classes of the source and the order of its codes: a file of conf/taxonomy")
    labels: str | None = setting(
        None,
        "map of the numbers that the source uses as labels: a name in conf/labels; null: numbers are rejected, except "
        "in a column emotion beside a column pixels",
    )
    size: int = setting(
        SIDE,
        "side of the stored faces in pixels; a CSV of pixels must have this size",
        minimum=SMALLEST,
        maximum=LARGEST,
    )
    color: bool = setting(False, "true: the stored faces are RGB, for networks with model.in_channels=3; false: grey")
    photos: bool = setting(False, "true: the images are whole photographs; the face in each is found and cropped")


COMMAND = Command(
    "python -m fer_lightning.data.ingest",
    IngestSettings,
    CONF / "ingest" / "ingest.yaml",
    example="source=path/to/fer2013.csv",
)
OLD = OldForm(keys=("source", "root"), options={"--ferplus": "ferplus"}, flags={"--photos": "photos=yes"})


def main(arguments: list[str] | None = None) -> int:
    return status_of(lambda: _run(arguments))


def _run(arguments: list[str] | None) -> int:
    words = command.read_arguments(COMMAND, __doc__, arguments, OLD)
    options = command.settings(COMMAND, words)
    with _plain_warnings():
        photographs = Photographs(open_detector(), FaceRules()) if options.photos else None
        with progress_bar("reading") as progress:
            result = ingest(
                options.source,
                options.root,
                taxonomy_of({"taxonomy": options.taxonomy}, "taxonomy").name,
                progress=progress,
                ferplus=options.ferplus,
                photographs=photographs,
                labels=options.labels,
                form=ImageForm(options.size, options.color),
            )
    _report(result, options.root)
    return PARTLY if result.manifest.get("partly") else 0


@contextmanager
def _plain_warnings() -> Iterator[None]:
    """Print warnings as one line each, without a location in the source code."""
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_, **__: print(f"warning: {message}", file=sys.stderr)
        yield


def counts_table(manifest: dict[str, Any]) -> "Table":
    """Return the table of the rows by class and usage, for a terminal."""
    from rich.table import Table

    counts = manifest["counts"]
    table = Table("class", title=f"{manifest['rows']:,} faces", title_justify="left")
    for usage in counts:
        table.add_column(usage, justify="right")
    for name in manifest["classes"]:
        table.add_row(name, *(f"{column[name]:,}" for column in counts.values()))
    table.add_section()
    table.add_row("all", *(f"{sum(column.values()):,}" for column in counts.values()))
    return table


def _report(result: Ingested, root: str) -> None:
    manifest = result.manifest
    source, counts = manifest["source"], manifest["counts"]
    plain_console().print(counts_table(manifest))
    print(message(f"store     {root} ({result.outcome})"))
    print(message(f"source    {source['path']} ({source['form']})"))
    form = ImageForm.of_shape(manifest.get("image", FER2013_FORM.shape))
    if form != FER2013_FORM:
        print(f"faces     {form.description} pixels")
    print(f"checksum  {manifest['checksum']}")
    if source["challenge_file"]:
        print(f"file      identical to the challenge's {source['challenge_file']}")
    elif source["md5"]:
        print(f"file      not byte for byte a file of the challenge (MD5 {source['md5']}); its faces are used as read")
    if source["ferplus"]:
        print(message(f"votes     {source['ferplus']['path']} (FER+)"))
    for note in manifest["notes"]:
        print(f"note      {message(note)}")
    at = "" if Path(root) == default_root() else f" {typed('data.root', root)}"
    shared = manifest.get("sources", manifest["rows"]) < manifest["rows"]
    split = "" if all(sum(column.values()) for column in counts.values()) else f" data.split={_split_of(shared)}"
    taxonomy = "" if manifest["taxonomy"] == "fer2013" else f" data.taxonomy={manifest['taxonomy']}"
    channels = " model.in_channels=3" if form.color else ""
    print(f"next      python train.py{fitting_experiment()}{at}{taxonomy}{split}{channels}")


if __name__ == "__main__":
    sys.exit(main())
