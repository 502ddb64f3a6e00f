"""Files of a folder that a command reads, and files that it leaves out, with the reason of each.

`make data`, `predict` and the collector all decide here. What they leave out is counted and named, and their exit
status is `PARTLY` if one of these files could have held a face.
"""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fer_lightning.errors import UserError
from fer_lightning.files import has_near_start
from fer_lightning.wording import terminal

JPEG = (".jpg", ".jpeg", ".jpe", ".jfif")
FACES = (*JPEG, ".png")  # images of class folders
PHOTOGRAPHS = (*FACES, ".webp")  # photographs of `make data PHOTOS=yes` and of the collector
IMAGES = (*PHOTOGRAPHS, ".bmp", ".tif", ".tiff", ".gif")  # images that predict reads
OTHER_IMAGES = (".heic", ".heif", ".avif", ".pgm", ".ppm", ".pbm", ".pnm", ".jp2", ".jxl", ".tga")
TABLES = (".csv", ".tsv")
LISTS = (".txt",)  # of these, only lists of images and labels are read
ARRAYS = (".npy", ".npz", ".parquet")
VIDEOS = (
    *(".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv", ".mjpeg", ".y4m"),
    *(".3gp", ".3g2", ".mts", ".m2ts", ".ogv", ".flv"),
)

PREDICTED = '"program": "fer_lightning.predict"'  # in summary.json of a folder of results

PARTLY = 3  # exit status of a command that read only a part of its input
MAX_DEPTH = 32  # folders below the input
MAX_FOLDERS = 100_000  # links can make a few folders look like very many
SYSTEM_FILES = ("__macosx", "thumbs.db", "desktop.ini", "icon\r")

SYSTEM = "hidden file or file of the operating system"
OTHER_KIND = "file of another kind"
OTHER_FORMAT = "image or video in a format that is not read here (convert it)"
OWN_FILES = "store or result of this program"
DANGLING = "link to nothing (mount its disk, or run git annex get or dvc pull)"
OUTSIDE = "link to something outside"
LOOP = "link to a folder that contains it"
SPECIAL = "pipe, device or socket"
REPLACED = "member of an archive that a later one of the same name replaces"
CLOSED = "folder that cannot be opened"
TOO_DEEP = f"folder more than {MAX_DEPTH} levels deep (use a folder closer to it)"
UNLABELLED = "table without labels, such as the competition's test.csv"
PART_OF_TABLE = "table whose rows are also in the table that is read"
MISSING = "image that a table names but that is not here"
UNNAMED = "image that no row of the table names"
OTHER_VERSION = "other version of an image that is read: RAF-DB's photographs beside the faces aligned/"
NOT_NEEDED = "table of labels beside class folders, which give the labels"
ARRAY_BESIDE = "file that may hold faces, beside images that are read"
BESIDE = "image or table of faces beside the table that is read"
HARMLESS = (
    SYSTEM,
    OTHER_KIND,
    OWN_FILES,
    REPLACED,
    OTHER_VERSION,
    UNLABELLED,
    PART_OF_TABLE,
    NOT_NEEDED,
)  # they hold no face


@dataclass
class LeftOut:
    """Files that are not read: their names by reason."""

    names: dict[str, list[str]] = field(default_factory=dict)

    def add(self, reason: str, name: str) -> None:
        self.names.setdefault(reason, []).append(name)

    @property
    def partly(self) -> bool:
        """Return True if a file is left out that may hold a face."""
        return any(reason not in HARMLESS for reason in self.names)

    def lines(self) -> list[str]:
        """Return one line per reason, with the number of files, their suffixes and an example."""
        return [
            f"not read: {len(names):,} file{'s' if names[1:] else ''} ({_suffixes(names)}), {reason}, "
            f"e.g. {terminal(names[0])}"
            for reason, names in self.names.items()
        ]


@dataclass
class Folder:
    """Content of a folder: files and folders in order, and what is left out."""

    root: Path
    files: list[Path] = field(default_factory=list)
    folders: list[Path] = field(default_factory=list)
    left_out: LeftOut = field(default_factory=LeftOut)

    def name(self, path: Path) -> str:
        """Return the path below the root, with forward slashes, as valid text."""
        return path.relative_to(self.root).as_posix().encode("utf-8", "backslashreplace").decode()

    def leave_out(self, reason: str, path: Path) -> None:
        self.left_out.add(reason, self.name(path))


def list_folder(root: Path, *, inside: bool = False, without: Path | None = None) -> Folder:
    """Return the content of a folder with its subfolders. Links are followed, except links to nothing and loops.

    inside   True: links to something outside of `root` are left out too
    without  folder of the program's own results, which is left out
    """
    listed = Folder(root)
    kept = root.resolve() if inside else None
    _list(listed, root, (_identity(root),), kept, without and without.resolve())
    return listed


def _list(listed: Folder, here: Path, chain: tuple, inside: Path | None, without: Path | None) -> None:
    try:
        entries = sorted(here.iterdir())
    except OSError:
        if here == listed.root:
            raise
        listed.leave_out(CLOSED, here)
        return
    if here != listed.root and _is_own({path.name: path for path in entries}):
        listed.leave_out(OWN_FILES, here)
        return
    if here != listed.root:
        listed.folders.append(here)
    if len(listed.folders) > MAX_FOLDERS:
        raise UserError(f"{listed.root}: has more than {MAX_FOLDERS:,} folders. Use a folder with fewer subfolders.")
    below = []
    for path in entries:
        if reason := _reason(path, chain, inside, without):
            listed.leave_out(reason, path)
        elif path.is_dir():
            below.append(path)
        else:
            listed.files.append(path)
    for path in below:
        _list(listed, path, (*chain, _identity(path)), inside, without)


def _is_own(entries: dict[str, Path]) -> bool:
    """Return True if the entries are those of a store, or of a folder with results of `predict`."""
    if {"store.json", "pixels.npy"} & entries.keys():
        return True
    return "summary.json" in entries and has_near_start(entries["summary.json"], PREDICTED)


def _reason(path: Path, chain: tuple, inside: Path | None, without: Path | None) -> str | None:
    """Return why a path is left out; None if it is read."""
    if is_system_file(path.name):
        return SYSTEM
    if not path.exists():
        return DANGLING
    if inside and path.is_symlink() and not path.resolve().is_relative_to(inside):
        return OUTSIDE
    if not path.is_dir():
        return None if path.is_file() else SPECIAL
    if without and path.resolve() == without:
        return OWN_FILES
    if _identity(path) in chain:
        return LOOP
    return TOO_DEEP if len(chain) > MAX_DEPTH else None


def _identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino


def is_system_file(name: str) -> bool:
    """Return True for a hidden file, and for a file that an operating system adds to folders."""
    return name.startswith(".") or name.lower() in SYSTEM_FILES


def has_suffix(name: str, suffixes: Sequence[str]) -> bool:
    return name.lower().endswith(tuple(suffixes))


def is_read(name: str, suffixes: Sequence[str], left_out: LeftOut) -> bool:
    """Return True if the file has one of the suffixes, in any letter case; otherwise add it to `left_out`."""
    if has_suffix(name, suffixes):
        return True
    left_out.add(OTHER_FORMAT if has_suffix(name, (*IMAGES, *OTHER_IMAGES, *VIDEOS)) else OTHER_KIND, name)
    return False


def _suffixes(names: list[str]) -> str:
    counts = Counter(os.path.splitext(name)[1].lower() or "no suffix" for name in names)
    shown = ", ".join(f"{count:,} {terminal(suffix)}" for suffix, count in counts.most_common(5))
    return f"{shown}, ..." if len(counts) > 5 else shown
