"""File of the face detector YuNet, which is part of this package. `make models` checks it.

    python -m fer_lightning.faces.model_file

FER_FACE_MODEL in the environment, or the key faces.model of a command, names another copy of the same file.
"""

import argparse
import hashlib
import os
import sys
from pathlib import Path

from fer_lightning.errors import UserError
from fer_lightning.files import os_message
from fer_lightning.paths import WEIGHTS

NAME = "face_detection_yunet_2023mar.onnx"
SHA256 = "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4"  # pragma: allowlist secret
SIZE = 232_589  # bytes
LICENCE = "MIT, Copyright (c) 2020 Shiqi Yu <shiqi.yu@gmail.com>"
FOLDER = WEIGHTS
ENVIRONMENT = "FER_FACE_MODEL"

_POINTER = b"version https://git-lfs"
_FIX = f"To use the file of the package, name no other and unset {ENVIRONMENT}. If it is damaged, install it again"


class NoModel(UserError):
    """YuNet's file is missing in the package, and no other path is given."""


def find_model(model: str | Path | None = None) -> Path:
    """Return the path of the checked file: `model`, else that of FER_FACE_MODEL, else the file of the package.

    Raise NoModel if the package's file is missing. Raise UserError if a named file is missing or not YuNet's.
    """
    named = model or os.environ.get(ENVIRONMENT)
    path = Path(named) if named else FOLDER / NAME
    if not path.is_file():
        if not named:
            raise NoModel(f"{path}: the face detector's file is missing. Install the package again.")
        how = "" if model else f" (from {ENVIRONMENT})"
        raise UserError(f"{path}{how}: no such file. Give the path of YuNet's file {NAME}, or no path. {_FIX}.")
    _check(path)
    return path


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _check(path: Path) -> None:
    """Raise UserError if the file is not YuNet's."""
    try:
        with open(path, "rb") as file:
            data = file.read(SIZE + 1)
    except OSError as error:
        raise UserError(f"{os_message(error)}. {_FIX}.") from error
    if problem := _problem(data):
        raise UserError(f"{path}: {problem}. {_FIX}.")


def _problem(data: bytes) -> str | None:
    """Return why these bytes are not YuNet's file; None if they are."""
    if data.startswith(_POINTER):
        return f"this is a Git-LFS pointer of {len(data)} bytes, not the file itself"
    if len(data) > SIZE:
        return f"this is larger than the {SIZE:,} bytes of {NAME}"
    if (checksum := sha256(data)) != SHA256:
        return f"this is not {NAME}: its SHA-256 is {checksum} ({len(data):,} bytes); it must be {SHA256}"
    return None


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m fer_lightning.faces.model_file",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("source", metavar="source=PATH", nargs="?", help="no longer used")
    given = parser.parse_args(words).source
    try:
        if given:
            source = given.removeprefix("source=")
            raise UserError(
                f"source={source}: nothing is copied, because the detector is part of the package. To use another copy "
                f"of the file, set {ENVIRONMENT}={source} or faces.model={source}."
            )
        path = find_model()
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    print(f"face detector: {path}, {SIZE:,} bytes, checked. Licence: {LICENCE}")
    print("next: python -m fer_lightning.predict input=path/to/photographs")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
