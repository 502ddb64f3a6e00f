"""Atomic writes: a file is always complete, either the old one or the new one."""

import csv
import errno
import fcntl
import io
import os
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, BinaryIO

from fer_lightning.wording import harmless

TEMPORARY = ".tmp"
DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL)


def write_atomically(path: Path, content: str | bytes) -> None:
    """Replace the file `path` by `content`, completely or not at all."""
    with replacing(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)


def write_csv(path: Path, header: Iterable[Any], rows: Iterable[Iterable[Any]]) -> None:
    """Replace the file `path` by a CSV table, completely or not at all."""
    write_atomically(path, csv_text([header, *rows]))


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


def in_words(error: OSError) -> str:
    """Return the message of an OSError: `path: No space left on device`."""
    message = error.strerror or str(error)
    return f"{error.filename}: {message}" if error.filename else message


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
