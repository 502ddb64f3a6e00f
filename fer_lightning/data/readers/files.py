"""A folder, a zip or a tar as one flat list of files, read in place: nothing is ever extracted.

The limits stand far above any honest copy of FER2013 (301 MB, 35,887 images) and keep a bomb from filling
memory.
"""

import io
import lzma
import os
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from fer_lightning.errors import UserError

MAX_FILES = 500_000
MAX_BYTES = 8 << 30
MAX_DEPTH = 6
_PACKED = {
    b"PK": "zip",
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zX": "xz",
    b"7z\xbc\xaf": "7z",
    b"Rar!": "rar",
}
_DAMAGED = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    NotImplementedError,
)
_STORE_FILES = {"store.json", "pixels.npy"}


@dataclass(frozen=True)
class File:
    """One file of a source: its path relative to the source, with forward slashes, and the way to open it."""

    name: str
    size: int
    mtime_ns: int
    open: Callable[[], BinaryIO]


@contextmanager
def open_files(path: Path) -> Iterator[tuple[str, list[File]]]:
    """Yields (kind, files), kind being `file`, `folder`, `zip` or `tar`; damaged archives raise UserError."""
    if path.is_dir():
        yield "folder", _folder(path)
        return
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                yield "zip", _checked(path, _zip_members(archive))
        elif tarfile.is_tarfile(path):
            with tarfile.open(path) as archive:
                yield "tar", _checked(path, _tar_members(archive))
        else:
            _refuse_packed(path)
            yield "file", [_plain(path, path.name)]
    except _DAMAGED as error:
        raise UserError(f"{path}: the archive is damaged ({error}); fetch or pack it again") from error
    except RuntimeError as error:  # zipfile's way to say that a password is needed
        raise UserError(f"{path}: {error}; unpack it first and give the folder") from error


def _refuse_packed(path: Path) -> None:
    with open(path, "rb") as handle:
        start = handle.read(4)
    kind = next((kind for magic, kind in _PACKED.items() if start.startswith(magic)), None)
    if kind:
        raise UserError(
            f"{path}: begins like a {kind} file and opens neither as zip nor as tar: cut short, or no tar; "
            f"fetch it again, or unpack it and give what was in it"
        )


def fingerprint(files: list[File]) -> list[int]:
    """(count, bytes, newest time in ns): enough to notice that a source has changed, without reading it."""
    return [len(files), sum(file.size for file in files), max((file.mtime_ns for file in files), default=0)]


def file_fingerprint(path: Path) -> list[int]:
    status = path.stat()
    return [1, status.st_size, status.st_mtime_ns]


def _plain(path: Path, name: str) -> File:
    status = path.stat()
    return File(name, status.st_size, status.st_mtime_ns, lambda: open(path, "rb"))


def _folder(root: Path) -> list[File]:
    files = []
    for folder, folders, names in os.walk(root, followlinks=True):
        here = Path(folder)
        depth = len(here.relative_to(root).parts)
        if depth and _STORE_FILES & set(names):
            folders.clear()
            continue
        folders[:] = sorted(name for name in folders if not _hidden(name)) if depth < MAX_DEPTH else []
        for name in sorted(names):
            if not _hidden(name) and (here / name).is_file():
                files.append(_plain(here / name, (here / name).relative_to(root).as_posix()))
    return files


def _zip_members(archive: zipfile.ZipFile) -> Iterator[File]:
    for member in archive.infolist():
        if not member.is_dir():
            yield File(member.filename, member.file_size, 0, lambda member=member: archive.open(member))


def _tar_members(archive: tarfile.TarFile) -> Iterator[File]:
    for member in archive:
        if member.isfile():
            yield File(member.name, member.size, 0, lambda member=member: archive.extractfile(member))


def _checked(path: Path, members: Iterator[File]) -> list[File]:
    files, total = [], 0
    for file in members:
        total += file.size
        if len(files) >= MAX_FILES or total > MAX_BYTES:
            raise UserError(
                f"{path}: holds more than {MAX_FILES:,} files or {MAX_BYTES >> 30} GiB, "
                f"far more than FER2013; unpack it yourself and give the folder"
            )
        name = PurePosixPath(file.name.replace("\\", "/"))
        if ".." in name.parts or name.is_absolute():
            raise UserError(f"{path}: the member {file.name!r} points outside the archive; nothing of it is read")
        if not any(_hidden(part) for part in name.parts):
            files.append(replace(file, name=name.as_posix()))
    return files


def _hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"


def read_bounded(file: File, limit: int) -> bytes:
    """The whole file, or UserError where it holds more than `limit` bytes, whatever its header says."""
    with file.open() as handle:
        data = handle.read(limit + 1)
    if len(data) > limit:
        raise UserError(f"{file.name}: larger than {limit >> 20} MiB, too large for an image of one face")
    return data


def buffered(file: File) -> io.BufferedReader:
    return io.BufferedReader(file.open(), 1 << 20)
