"""Reader of a folder, a zip or a tar as one flat list of files; archives are read in place and never extracted.

The limits are far above any real copy of FER2013 (301 MB, 35,887 images). They prevent a harmful archive from filling
the memory, even if its headers are wrong.
"""

import bz2
import gzip
import hashlib
import io
import json
import lzma
import posixpath
import re
import stat
import tarfile
import zipfile
import zlib
from bisect import bisect_left
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from fer_lightning.errors import UserError
from fer_lightning.inputs import (
    DANGLING,
    LOOP,
    OUTSIDE,
    REPLACED,
    SPECIAL,
    SYSTEM,
    LeftOut,
    is_system_file,
    list_folder,
)

MAX_FILES = 500_000
MAX_BYTES = 8 << 30
MAX_LINKS = 40  # links from one to the next
MAX_NAME = 4096  # characters
MAX_DIRECTORY = 128 << 20  # bytes of a zip's table of contents: 500,000 files with long names
CHUNK = 1 << 20  # bytes read at once, and the maximum size of the headers of one member of a tar
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_UNPACK = "unpack the archive yourself and use the folder"
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


@dataclass(frozen=True)
class File:
    """One file of a source: its path relative to the source, with forward slashes, and a function that opens it."""

    name: str
    size: int
    mtime_ns: int
    open: Callable[[], BinaryIO]


class OddFile(UserError):
    """File that cannot be used, although the other files of its source can; `reason` is equal for all of its kind."""

    def __init__(self, name: str, trouble: str, reason: str) -> None:
        super().__init__(f"{name}: {trouble}")
        self.name, self.reason = name, reason


@dataclass
class Listing:
    """Content of a source: kind is `file`, `folder`, `zip` or `tar`; names are relative, with forward slashes."""

    kind: str
    files: list[File] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)
    left_out: LeftOut = field(default_factory=LeftOut)


@contextmanager
def open_files(path: Path) -> Iterator[Listing]:
    """Yield the content of a file, folder or archive; raise UserError for damaged, unsafe and too large archives."""
    if path.is_dir():
        yield _folder(path)
        return
    if not path.is_file():
        raise UserError(f"{path}: this is neither a file nor a folder. Use a CSV, a folder, a zip or a tar.")
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
        raise UserError(f"{path}: the archive is damaged ({error}). Download or pack it again.") from error
    except OSError as error:
        if error.errno is not None:
            raise
        raise UserError(f"{path}: the archive is damaged ({error}). Download or pack it again.") from error
    except RuntimeError as error:  # zipfile raises it if a password is needed
        raise UserError(f"{path}: {error}; {_UNPACK}") from error


def _refuse_packed(path: Path) -> None:
    with open(path, "rb") as handle:
        start = handle.read(4)
    kind = next((kind for magic, kind in _PACKED.items() if start.startswith(magic)), None)
    if kind:
        raise UserError(
            f"{path}: the file begins like a {kind} file, but it is not a readable zip or tar; it may be incomplete. "
            f"Download it again, or unpack it yourself and use its content."
        )


def fingerprint(files: list[File]) -> list[int]:
    """Return numbers that show that a source has changed, without reading it.

    They are the number of files, their bytes, the newest time in ns, and a number of all names, sizes and times: a file
    that is moved to another class keeps the first three.
    """
    facts = sorted((file.name, file.size, file.mtime_ns) for file in files)
    digest = hashlib.sha256(json.dumps(facts).encode()).digest()
    newest = max((file.mtime_ns for file in files), default=0)
    return [len(files), sum(file.size for file in files), newest, int.from_bytes(digest[:6])]


def file_fingerprint(path: Path) -> list[int]:
    status = path.stat()
    return [1, status.st_size, status.st_mtime_ns]


def _plain(path: Path, name: str) -> File:
    status = path.stat()
    return File(name, status.st_size, status.st_mtime_ns, lambda: open(path, "rb"))


def _folder(root: Path) -> Listing:
    listed = list_folder(root)
    return Listing(
        "folder",
        [_plain(path, path.relative_to(root).as_posix()) for path in listed.files],
        [path.relative_to(root).as_posix() for path in listed.folders],
        listed.left_out,
    )


@dataclass(frozen=True)
class _Member:
    """An entry of an archive.

    open     opens the file; None for a folder, a link and other entries
    link     path of the link's target inside the archive; None for other entries
    folder   True for a folder
    """

    name: str
    size: int = 0
    open: Callable[[], BinaryIO] | None = None
    link: str | None = None
    folder: bool = False


def _zip_members(path: Path, archive: zipfile.ZipFile) -> Iterator[_Member]:
    for member in archive.infolist():
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise UserError(
                f"{path}: {member.filename!r} is packed with method {member.compress_type}, for which memory cannot be "
                f"limited. Pack it with the usual method (deflate), or {_UNPACK}."
            )
        if stat.S_ISLNK(member.external_attr >> 16):
            with archive.open(member) as content:
                target = content.read(MAX_NAME).decode("utf-8", "replace")
            yield _Member(member.filename, link=_target(member.filename, target))
        elif member.is_dir():
            yield _Member(member.filename, folder=True)
        else:
            yield _Member(member.filename, member.file_size, lambda member=member: archive.open(member))


def _target(name: str, link: str) -> str:
    """Return the path inside the archive to which a symbolic link leads; it begins with / or .. if it leads outside."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(posixpath.normpath(name)), link))


class _Bounded:
    """Stream with a limit on read sizes, because zipfile and tarfile read a header of any length at once."""

    def __init__(self, path: Path, stream: BinaryIO, most: int) -> None:
        self.path, self.stream, self.most = path, stream, most
        self.headers: int | None = None  # bytes read since the last member was listed; None: not counted

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def read(self, size: int = -1) -> bytes:
        if self.headers is not None:
            self.headers += size
        if max(size, self.headers or 0) > self.most:
            raise UserError(f"{self.path}: the headers of the archive are larger than {self.most >> 20} MiB; {_UNPACK}")
        return self.stream.read(size)


@contextmanager
def _opened_tar(path: Path) -> Iterator[tuple[tarfile.TarFile | None, _Bounded]]:
    """Yield the archive, compressed or not; None if the file is not a tar."""
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
            raise UserError(f"{path}: {member.name[:80]!r} is a sparse file. Pack the tar without --sparse.")
        if member.islnk():
            yield _Member(member.name, link=posixpath.normpath(member.linkname))
        elif member.issym():
            yield _Member(member.name, link=_target(member.name, member.linkname))
        elif member.isfile():
            yield _Member(member.name, member.size, lambda member=member: archive.extractfile(member))
        else:
            yield _Member(member.name, folder=member.isdir())
        stream.headers = 0
    stream.headers = None


def _checked(path: Path, kind: str, members: Iterator[_Member]) -> Listing:
    """Return the files and folders of an archive; a link to a file follows the file that it leads to."""
    listing, bounds = Listing(kind), _Bounds(path)
    files: dict[str, _Member] = {}
    links: dict[str, str] = {}
    for member in members:
        bounds.count(member.size)
        relative = _member_path(path, member)
        name = relative.as_posix()
        if member.open:
            if name in files:
                listing.left_out.add(REPLACED, name)
            files[name] = member
        elif _is_system_path(name):
            listing.left_out.add(SYSTEM, name)
        elif member.link is not None:
            links[name] = member.link
        elif not member.folder:
            listing.left_out.add(SPECIAL, name)
        elif relative.parts:
            listing.folders.append(name)
    reached = _followed(files, {name: link for name, link in links.items() if name not in files}, listing, bounds)
    for name, member in files.items():
        if _is_system_path(name):
            listing.left_out.add(SYSTEM, name)
        else:
            listing.files.append(File(name, member.size, 0, member.open))
        listing.files += [File(other, member.size, 0, member.open) for other in reached.get(name, ())]
    return listing


def _is_system_path(name: str) -> bool:
    return any(map(is_system_file, name.split("/")))


@dataclass
class _Bounds:
    """Limits of an archive: number and size of its files, links included."""

    path: Path
    files: int = 0
    bytes: int = 0

    def count(self, size: int) -> None:
        self.files, self.bytes = self.files + 1, self.bytes + size
        if self.files > MAX_FILES or self.bytes > MAX_BYTES:
            raise UserError(
                f"{self.path}: the archive holds more than {MAX_FILES:,} files or {MAX_BYTES >> 30} GiB, far more than "
                f"FER2013. Check that it is the right file, or {_UNPACK}."
            )


def _member_path(path: Path, member: _Member) -> PurePosixPath:
    if len(member.name) > MAX_NAME or _CONTROL.search(member.name):
        raise UserError(f"{path}: the name of a member, {member.name[:80]!r}, is not a valid file name; {_UNPACK}")
    name = PurePosixPath(member.name.replace("\\", "/"))
    if ".." in name.parts or name.is_absolute():
        raise UserError(
            f"{path}: the path of the member {member.name!r} points outside the archive, so nothing was read. "
            f"Use another archive, or {_UNPACK}."
        )
    return name


def _followed(
    files: dict[str, _Member], links: dict[str, str], listing: Listing, bounds: _Bounds
) -> dict[str, list[str]]:
    """Return {file: further names of it}, from links to files and to folders; other links are left out of the listing.

    A linked folder also holds the files that links inside it lead to, but not the folders.
    """
    targets = {name: _resolved(name, links) for name in links}
    reachable = {name: name for name in files if not _is_system_path(name)}
    reachable |= {name: target for name, target in targets.items() if target in files}
    ordered = sorted(reachable)
    reached: dict[str, list[str]] = {}
    for name, target in targets.items():
        below = _below(target, ordered) if _inside(target) else []
        if target in files:
            linked = {name: target}
        elif below and not f"{name}/".startswith(f"{target}/"):
            listing.folders.append(name)
            linked = {name + file[len(target) :]: reachable[file] for file in below}
        else:
            reason = LOOP if below or target is None else DANGLING if _inside(target) else OUTSIDE
            listing.left_out.add(reason, name)
            continue
        for other, file in linked.items():
            bounds.count(files[file].size)
            reached.setdefault(file, []).append(other)
    return reached


def _below(folder: str, ordered: list[str]) -> list[str]:
    """Return the names of a sorted list that are inside a folder."""
    return ordered[bisect_left(ordered, f"{folder}/") : bisect_left(ordered, f"{folder}0")]  # 0 comes after /


def _inside(target: str | None) -> bool:
    return target is not None and target != ".." and not target.startswith(("/", "../"))


def _resolved(name: str, links: dict[str, str]) -> str | None:
    """Return the path that a link leads to, through further links and linked folders; None for a loop."""
    path = links[name]
    for _ in range(MAX_LINKS):
        parts = path.split("/")
        above = ("/".join(parts[:end]) for end in range(1, len(parts) + 1))
        linked = next((part for part in above if part in links), None)
        if linked is None:
            return path
        path = posixpath.normpath(links[linked] + path[len(linked) :])
    return None


def read_bounded(file: File, limit: int) -> bytes:
    """Return the whole file; raise OddFile if it holds more than `limit` bytes, even if its header says otherwise."""
    data = bytearray()
    with file.open() as handle:
        while piece := handle.read(CHUNK):
            data += piece
            if len(data) > limit:
                reason = f"larger than {limit >> 20} MiB"
                raise OddFile(file.name, f"the file is {reason}, too large to be read", reason)
    return bytes(data)


def buffered(file: File) -> io.BufferedReader:
    return io.BufferedReader(file.open(), CHUNK)
