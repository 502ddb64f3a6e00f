"""Folders of this installation."""

import os
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
ROOT = PACKAGE.parent
DOCS = ROOT / "docs"
WEIGHTS = PACKAGE / "weights"
INSTALLED_CONF = PACKAGE / "conf"


def is_checkout() -> bool:
    """Return True if the package is the one of a checkout, and False if it was installed from a wheel."""
    return not INSTALLED_CONF.is_dir()


# Settings: beside the package in a checkout, inside the package in an installation.
CONF = ROOT / "conf" if is_checkout() else INSTALLED_CONF
ENV_FILE = (ROOT if is_checkout() else Path.cwd()) / ".env"


def with_home(path: str) -> str:
    """Return the path with a leading ~ or ~user replaced by the home folder."""
    return os.path.expanduser(path)


def drop_empty_root() -> None:
    """Remove an empty FER2013_ROOT from the environment, so that configs read it as make does: as not set."""
    if not os.environ.get("FER2013_ROOT"):
        os.environ.pop("FER2013_ROOT", None)
