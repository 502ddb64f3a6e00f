"""Folders of this installation."""

from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
ROOT = PACKAGE.parent
CONF = ROOT / "conf"
DATA = ROOT / "data"
DOCS = ROOT / "docs"
