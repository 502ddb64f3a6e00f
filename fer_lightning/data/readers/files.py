"""A folder, a zip or a tar as one flat list of files, read in place: nothing is ever extracted.

The limits stand far above any honest copy of FER2013 (301 MB, 35,887 images) and keep a bomb from filling memory,
whatever the headers of an archive say.
"""

import bz2
import gzip
import io
import lzma
import os
import re
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from fer_lightning.errors import UserError

MAX_FILES = 500_000
MAX_BYTES = 8 << 30
MAX_DEPTH = 6
MAX_NAME = 4096  # characters
MAX_DIRECTORY = 128 << 20  # bytes of a zip's table of contents: 500,000 files with long names
CHUNK = 1 << 20  # bytes read at once, and the most that the headers of one member of a tar may hold
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_UNPACK = "unpack it yourself and give the folder"
_COMPRESSED_TARS = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zX": lzma.open}
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
    RecursionError,
)
_STORE_FILES = {"store.json", "pixels.npy"}


@dataclass(frozen=True)
class File:
    """One file of a source: its path relative to the source, with forward slashes, and the way to open it."""

    name: str
    size: int
    mtime_ns: int
    open: Callable[[], BinaryIO]


class OddFile(UserError):
    """One file that cannot be taken, while the rest of its source can; `reason` is the same for all of its kind."""

    def __init__(self, name: str, trouble: str, reason: str) -> None:
        super().__init__(f"{name}: {trouble}")
        self.name, self.reason = name, reason


@dataclass
class Listing:
    """What a source holds: kind is `file`, `folder`, `zip` or `tar`; names are relative, with forward slashes."""

    kind: str
    files: list[File] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)


@contextmanager
def open_files(path: Path) -> Iterator[Listing]:
    """Damaged, unsafe and boundless archives raise UserError."""
    if path.is_dir():
        yield _folder(path)
        return
    if not path.is_file():
        raise UserError(f"{path}: neither a file nor a folder")
    try:
        if zipfile.is_zipfile(path):
            with open(path, "rb") as handle, zipfile.ZipFile(_Bounded(path, handle, MAX_DIRECTORY)) as archive:
                yield _checked(path, "zip", _zip_members(path, archive))
        else:
            with _opened_tar(path) as (archive, stream):
                if archive:
                    yield _checked(path, "tar", _tar_members(path, archive, stream))
                else:
                    _refuse_packed(path)
                    yield Listing("file", [_plain(path, path.name)])
    except _DAMAGED as error:
        raise UserError(f"{path}: the archive is damaged ({error}); fetch or pack it again") from error
    except OSError as error:
        if error.errno is not None:
            raise
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


def _folder(root: Path) -> Listing:
    listing = Listing("folder")
    for folder, folders, names in os.walk(root, followlinks=True, onerror=_raise):
        here = Path(folder)
        depth = len(here.relative_to(root).parts)
        if depth and _STORE_FILES & set(names):
            folders.clear()
            continue
        folders[:] = sorted(name for name in folders if not _hidden(name)) if depth < MAX_DEPTH else []
        if depth:
            listing.folders.append(here.relative_to(root).as_posix())
        for name in sorted(names):
            if not _hidden(name) and (here / name).is_file():
                listing.files.append(_plain(here / name, (here / name).relative_to(root).as_posix()))
    return listing


def _raise(error: OSError) -> None:
    raise error


@dataclass(frozen=True)
class _Member:
    """An entry of an archive; `open` is None for a folder."""

    name: str
    size: int
    open: Callable[[], BinaryIO] | None


def _zip_members(path: Path, archive: zipfile.ZipFile) -> Iterator[_Member]:
    for member in archive.infolist():
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise UserError(
                f"{path}: {member.filename!r} is packed by method {member.compress_type}, whose unpacking cannot be "
                f"bounded; pack it with the usual one (deflate), or unpack it and give the folder"
            )
        way = None if member.is_dir() else lambda member=member: archive.open(member)
        yield _Member(member.filename, member.file_size, way)


class _Bounded:
    """A stream for zipfile and tarfile, which read a header of any length that the archive claims at once."""

    def __init__(self, path: Path, stream: BinaryIO, most: int) -> None:
        self.path, self.stream, self.most = path, stream, most
        self.headers: int | None = None  # bytes read since the last member was listed; None: not counted

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def read(self, size: int = -1) -> bytes:
        if self.headers is not None:
            self.headers += size
        if max(size, self.headers or 0) > self.most:
            raise UserError(f"{self.path}: an archive with headers of more than {self.most >> 20} MiB; {_UNPACK}")
        return self.stream.read(size)


@contextmanager
def _opened_tar(path: Path) -> Iterator[tuple[tarfile.TarFile | None, _Bounded]]:
    """The archive, packed or not; None where the file is no tar."""
    with open(path, "rb") as handle:
        start = handle.read(4)
    way = next((way for magic, way in _COMPRESSED_TARS.items() if start.startswith(magic)), open)
    with way(path, "rb") as handle:
        stream = _Bounded(path, handle, CHUNK)
        try:
            archive = tarfile.open(fileobj=stream, mode="r:")  # noqa: SIM115 (closed below)
        except tarfile.ReadError:
            yield None, stream
            return
        with archive:
            yield archive, stream


def _tar_members(path: Path, archive: tarfile.TarFile, stream: _Bounded) -> Iterator[_Member]:
    stream.headers = 0
    for member in archive:
        member.pax_headers = {}
        if member.issparse():
            raise UserError(f"{path}: {member.name[:80]!r} is packed as a sparse file; pack it without tar's --sparse")
        if member.isfile() or member.isdir():
            way = None if member.isdir() else lambda member=member: archive.extractfile(member)
            yield _Member(member.name, member.size, way)
        stream.headers = 0
    stream.headers = None


def _checked(path: Path, kind: str, members: Iterator[_Member]) -> Listing:
    listing, total = Listing(kind), 0
    for count, member in enumerate(members):
        total += member.size
        if count >= MAX_FILES or total > MAX_BYTES:
            raise UserError(
                f"{path}: holds more than {MAX_FILES:,} files or {MAX_BYTES >> 30} GiB, far more than FER2013; "
                f"{_UNPACK}"
            )
        if len(member.name) > MAX_NAME or _CONTROL.search(member.name):
            raise UserError(f"{path}: a member is named {member.name[:80]!r}, which is no name of a file; {_UNPACK}")
        name = PurePosixPath(member.name.replace("\\", "/"))
        if ".." in name.parts or name.is_absolute():
            raise UserError(f"{path}: the member {member.name!r} points outside the archive; nothing of it is read")
        if any(_hidden(part) for part in name.parts):
            continue
        if member.open:
            listing.files.append(File(name.as_posix(), member.size, 0, member.open))
        elif name.parts:
            listing.folders.append(name.as_posix())
    return listing


def _hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"


def read_bounded(file: File, limit: int) -> bytes:
    """The whole file, or OddFile where it holds more than `limit` bytes, whatever its header says."""
    data = bytearray()
    with file.open() as handle:
        while piece := handle.read(CHUNK):
            data += piece
            if len(data) > limit:
                reason = f"larger than {limit >> 20} MiB"
                raise OddFile(file.name, f"{reason}, too large for an image of one face", reason)
    return bytes(data)


def buffered(file: File) -> io.BufferedReader:
    return io.BufferedReader(file.open(), CHUNK)
