"""Files that are either the old one or the new one, never half of one."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

TEMPORARY = ".tmp"
DISK_FULL = (errno.ENOSPC, errno.EDQUOT)


def write_atomically(path: Path, content: str | bytes) -> None:
    """Put `content` in the place of `path`, whole or not at all."""
    with replacing(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file to write that takes the place of `path` on leaving: flushed to disk, then renamed.

    On an error the old file stands and the new one is gone. Of several processes that write it at once, each has a
    temporary file of its own, and the last one's stands. A full or read-only disk is an OSError with the path,
    whatever the writer made of it: torch.save says "unexpected pos".
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
    """`path: No space left on device`"""
    what = error.strerror or str(error)
    return f"{error.filename}: {what}" if error.filename else what
