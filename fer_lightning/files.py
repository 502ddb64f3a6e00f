"""Files: atomic writes, and readers of small files that may be damaged or come from elsewhere."""

import csv
import errno
import fcntl
import hashlib
import io
import json
import os
import stat
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, BinaryIO

from fer_lightning.errors import UserError
from fer_lightning.wording import harmless

TEMPORARY = ".tmp"
DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL)
LARGEST_JSON, LARGEST_YAML, LARGEST_FIELD = 2**26, 2**20, 2**22  # bytes
DEEPEST = 50  # levels of objects and lists
LONGEST_REASON = 200  # characters of another program's error in a message
RESTORE = "Restore the file from a copy, or remove it."


def write_atomically(path: Path, content: str | bytes) -> None:
    """Replace the file `path` by `content`, completely or not at all."""
    with replacing(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)


def write_csv(path: Path, header: Iterable[Any], rows: Iterable[Iterable[Any]]) -> None:
    """Replace the file `path` by a CSV table, completely or not at all."""
    write_atomically(path, csv_text([header, *rows]))


@contextmanager
def large_csv_fields() -> Iterator[None]:
    """Allow fields of CSV files up to LARGEST_FIELD meanwhile, instead of Python's 128 KiB."""
    former = csv.field_size_limit(LARGEST_FIELD)
    try:
        yield
    finally:
        csv.field_size_limit(former)


def csv_text(rows: Iterable[Iterable[Any]]) -> str:
    """Return the rows as CSV lines whose cells no spreadsheet reads as a formula."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(map(harmless, row) for row in rows)
    return text.getvalue()


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Open a temporary file that replaces `path` at the end of the block; it is flushed to disk, then renamed.

    On an error the old file stays and the temporary one is deleted. Each of several processes that write `path` at the
    same time has its own temporary file, and the last one that finishes is kept. A full or read-only disk is always an
    OSError with the path, even if the writer raises another error (torch.save: "unexpected pos").
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}{TEMPORARY}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException as error:
        with suppress(OSError):
            temporary.unlink()
        cause = error if isinstance(error, OSError) else error.__cause__ or error.__context__
        if isinstance(error, OSError | RuntimeError) and isinstance(cause, OSError) and cause.errno:
            raise OSError(cause.errno, cause.strerror, str(path)) from error
        raise


def os_message(error: OSError) -> str:
    """Return the message of an OSError: `path: No space left on device`."""
    message = error.strerror or str(error)
    return f"{error.filename}: {message}" if error.filename else message


def no_folder(path: Path) -> str:
    """Return what is wrong with a path that is not a folder."""
    return "must be a folder, not a file" if path.exists() else "no such folder"


def require_folder_path(path: Path, key: str) -> None:
    """Raise UserError if `path`, the value of the setting `key`, cannot be a folder because a file is in its place."""
    first = next(part for part in (path, *path.absolute().parents) if part.exists())
    if not first.is_dir():
        raise UserError(f"{key}={path}: {first} is a file. Name a folder; it is created if it is missing.")


def require_own_folder(path: Path, key: str, mark: tuple[str, str]) -> None:
    """Raise UserError if a command must not write its results into the folder `path`, the value of the setting `key`.

    mark  name of a file that the command writes, and a text near its beginning that no other file of this name has

    A folder with other content is rejected, so that no file of a user is replaced.
    """
    require_folder_path(path, key)
    name, text = mark
    if not path.is_dir() or not any(path.iterdir()):
        return
    if not has_near_start(path / name, text):
        raise UserError(
            f"{key}={path}: this folder holds files that are not results of this command. Name another folder."
        )


def has_near_start(path: Path, text: str) -> bool:
    """Return True if the text is in the first 4 KiB of a file; False if it is not, or if the file cannot be read."""
    try:
        with open(path, "rb") as file:
            return text.encode() in file.read(4096)
    except OSError:
        return False


def numpy_reason(error: Exception) -> str:
    """Return why numpy cannot read a file. About a file of another kind, numpy itself says that it is pickled."""
    is_other_kind = "pickle" in str(error) and not str(error).startswith("Object arrays")
    return "it does not begin as such a file" if is_other_kind else str(error)


class Record(dict):
    """JSON object of a file; a missing key raises UserError with the path and the key."""

    def __init__(self, values: dict[str, Any], path: Path, remedy: str) -> None:
        super().__init__(values)
        self.path, self.remedy = path, remedy

    def __missing__(self, key: str) -> Any:
        raise UserError(f"{self.path}: the key {key!r} is missing, so the file is damaged. {self.remedy}")


def file_checksum(path: Path) -> str:
    """Return the SHA-256 of a file's bytes in hex."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_json(path: Path, remedy: str = RESTORE) -> Record:
    """Return the JSON object in a file.

    remedy  last sentence of the message

    Raise FileNotFoundError if the file is missing. Raise UserError if it is larger than LARGEST_JSON, nested too deeply
    or damaged.
    """
    with report_bad_content(path, remedy):
        content = json.loads(read_text(path, LARGEST_JSON), object_hook=lambda values: Record(values, path, remedy))
        if not isinstance(content, Record):
            raise ValueError(f"it holds a {type(content).__name__}; it must hold an object")
        _refuse_depth(content)
    return content


def parse_yaml(text: str) -> dict[str, Any]:
    """Return the mapping in a YAML text. Raise an error of PyYAML or of Python for any other text.

    Aliases are rejected, because a few lines with them can expand to any size.
    """
    import yaml

    loader, depth = getattr(yaml, "CSafeLoader", yaml.SafeLoader), 0
    for event in yaml.parse(text, Loader=loader):
        if isinstance(event, yaml.AliasEvent):
            raise ValueError("it holds an alias; it must hold only plain values")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            raise ValueError(f"it is nested more than {DEEPEST} levels deep")
    content = yaml.safe_load(text)
    if not isinstance(content, dict):
        raise ValueError(f"it holds a {type(content).__name__}; it must hold a mapping")
    return content


def read_text(path: Path, limit: int = LARGEST_JSON) -> str:
    """Return the text of a regular file of at most `limit` bytes; raise ValueError for any other file."""
    status = os.stat(path)
    if not stat.S_ISREG(status.st_mode):
        raise ValueError("it is not a regular file")
    if status.st_size > limit:
        raise ValueError(f"it has {status.st_size:,} bytes; it must have at most {limit:,}")
    return Path(path).read_bytes().decode()


@contextmanager
def report_bad_content(path: Path, remedy: str = RESTORE) -> Iterator[None]:
    """Raise UserError if the block cannot interpret the content of the file `path`.

    Only for blocks that parse or format what the file holds: every error but OSError counts as damage, because parsers
    raise errors of many classes.
    """
    try:
        yield
    except (OSError, UserError):
        raise
    except (Exception, RecursionError) as error:
        reason = " ".join(str(error).split())[:LONGEST_REASON]
        raise UserError(f"{path}: is damaged ({type(error).__name__}: {reason}). {remedy}") from error


def _refuse_depth(content: Any) -> None:
    """Raise ValueError if objects and lists are nested more than DEEPEST levels deep."""
    level, depth = [content], 0
    while level:
        level = [item for part in level for item in (part.values() if isinstance(part, dict) else part)]
        level, depth = [item for item in level if isinstance(item, dict | list)], depth + 1
        if depth > DEEPEST:
            raise ValueError(f"it is nested more than {DEEPEST} levels deep")


def take_lock(file: IO, *, wait: bool = False) -> bool:
    """Lock an open file until it is closed, and return True; return False if another process holds the lock.

    wait  wait until the lock is free

    A file system without locks gives a warning, and True: there, two processes must not write one folder.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise OSError(error.errno, error.strerror, file.name) from error
        warnings.warn(
            f"{file.name}: this file system has no locks ({error.strerror}). Do not start two commands that write "
            "this folder.",
            stacklevel=2,
        )
    return True
