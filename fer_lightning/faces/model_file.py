"""YuNet's file: where it is, that it is the right one, and how to get it; what `make models [FROM=path]` runs.

    python -m fer_lightning.faces.model_file          from a public mirror
    python -m fer_lightning.faces.model_file FROM     from a file, or a folder that holds it

It is not part of this project: 232,589 bytes under the MIT licence of their author.
"""

import argparse
import hashlib
import os
import sys
import threading
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from fer_lightning.errors import UserError
from fer_lightning.files import in_words, write_atomically
from fer_lightning.paths import DATA

NAME = "face_detection_yunet_2023mar.onnx"
SHA256 = "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4"  # pragma: allowlist secret
SIZE = 232_589  # bytes
LICENCE = "MIT, Copyright (c) 2020 Shiqi Yu <shiqi.yu@gmail.com>"
# The same bytes under two names; in OpenCV's own repository lies a Git-LFS pointer of 131 bytes instead.
MIRRORS = (
    f"https://huggingface.co/opencv/face_detection_yunet/resolve/main/{NAME}",
    "https://github.com/ShiqiYu/libfacedetection.train/raw/0047ac24a/onnx/yunet_s_640_640.onnx",
)
FOLDER = DATA / "models"
ENVIRONMENT = "FER_FACE_MODEL"

SECONDS = 60.0  # for one mirror, from its name's resolution to the last byte
_POINTER = b"version https://git-lfs"
_GET_IT = "make models fetches it; make models FROM=path/to/" + NAME + " takes a copy that you have"


class NoModel(UserError):
    """The file is at none of the places where it is looked for, and nobody named one."""


def find_model(model: str | Path | None = None) -> Path:
    """The checked file: `model`, or what FER_FACE_MODEL names, or where `make models` puts it.

    NoModel where the last is missing; UserError where a named file is missing or any is not the right one.
    """
    named = model or os.environ.get(ENVIRONMENT)
    path = Path(named) if named else FOLDER / NAME
    if not path.is_file():
        if not named:
            raise NoModel(f"{path}: the face detector's file is not here; {_GET_IT}")
        how = "" if model else f" (named by {ENVIRONMENT})"
        raise UserError(f"{path}{how}: no such file; name YuNet's file {NAME}, or name none: {_GET_IT}")
    _read_checked(path)
    return path


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _read_checked(path: Path) -> bytes:
    try:
        with open(path, "rb") as file:
            data = file.read(SIZE + 1)
    except OSError as error:
        raise UserError(f"{in_words(error)}; {_GET_IT}") from error
    if problem := _problem(data):
        raise UserError(f"{path}: {problem}; {_GET_IT}")
    return data


def _problem(data: bytes) -> str | None:
    """Why these bytes are not YuNet's file; None where they are."""
    if data.startswith(_POINTER):
        return f"a Git-LFS pointer of {len(data)} bytes, which stands for the file and does not hold it"
    if len(data) > SIZE:
        return f"more than the {SIZE:,} bytes of {NAME}"
    if (found := sha256(data)) != SHA256:
        return f"not {NAME}: its SHA-256 is {found} ({len(data):,} bytes), the right one's {SHA256}"
    return None


def copy_model(source: str | Path, folder: Path = FOLDER) -> Path:
    """Put a checked copy of a file, or of the one so named in a folder, to where it is looked for."""
    path = Path(source)
    path = path / NAME if path.is_dir() else path
    if not path.is_file():
        raise UserError(f"FROM={source}: there is no {path}; give {NAME}, or the folder that holds it")
    write_atomically(folder / NAME, _read_checked(path))
    return folder / NAME


def fetch_model(folder: Path = FOLDER, mirrors: Sequence[str] = MIRRORS, seconds: float = SECONDS) -> Path:
    """The file from the first of the mirrors that gives the right bytes within `seconds`; UserError where none does."""
    for url in mirrors:
        print(f"fetching {url}")
        try:
            data = _get(url, seconds)
            problem = _problem(data)
        except OSError as error:
            problem = str(error)
        if problem is None:
            write_atomically(folder / NAME, data)
            return folder / NAME
        print(f"  no: {problem}", file=sys.stderr)
    raise UserError(
        f"{NAME} came from none of {len(mirrors)} mirrors. Run make models again, or download {mirrors[0]} on another "
        f"machine and run make models FROM=path/to/{NAME}"
    )


def _get(url: str, seconds: float) -> bytes:
    """What a URL answers, up to one byte more than is wanted; OSError after `seconds`, wherever it hangs.

    In a thread, since neither the resolution of a name nor a header that drips knows a time limit.
    """
    until, outcome = time.monotonic() + seconds, []

    def get() -> None:
        data = bytearray()
        try:
            with urllib.request.urlopen(url, timeout=seconds) as reply:
                while time.monotonic() < until and (piece := reply.read1(SIZE + 1 - len(data))):
                    data += piece
            outcome.append(bytes(data))
        except Exception as error:  # http.client's errors are no OSErrors
            outcome.append(error)

    thread = threading.Thread(target=get, daemon=True)
    thread.start()
    thread.join(seconds)
    if not outcome or time.monotonic() > until:
        raise TimeoutError(f"not all of it came within {seconds:g} s")
    if isinstance(outcome[0], Exception):
        raise OSError(str(outcome[0])) from outcome[0]
    return outcome[0]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m fer_lightning.faces.model_file",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("source", metavar="FROM", nargs="?", help="a file or folder to copy it from")
    source = parser.parse_args(arguments).source
    path = FOLDER / NAME
    try:
        if source:
            copy_model(source, FOLDER)
            how = f"copied from {source}"
        elif path.is_file() and _problem(path.read_bytes()) is None:
            how = "already here"
        else:
            fetch_model(FOLDER, MIRRORS)
            how = "fetched"
    except (UserError, OSError) as error:
        print(error if isinstance(error, UserError) else in_words(error), file=sys.stderr)
        return 2
    print(f"model     {path} ({how})\nsha256    {SHA256}\nlicence   {LICENCE}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
