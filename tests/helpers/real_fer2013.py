"""The real data set for tests; FER2013_SOURCE names the folder that holds its `materialize.py`."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock

from fer_lightning.data.ingest import ingest

ROOT = Path(__file__).resolve().parents[2]
SOURCE = Path(os.environ.get("FER2013_SOURCE", ROOT.parent / "shared" / "fer2013"))

NEEDS_FER2013 = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(
        not (SOURCE / "materialize.py").exists(),
        reason="no real FER2013: FER2013_SOURCE names no folder with materialize.py",
    ),
]


def materialize(form: str, out: Path, *options: str) -> Path:
    """Write the real set to `out` in a form of `materialize.py`: csv, icml or folders."""
    command = [sys.executable, str(SOURCE / "materialize.py"), form, str(out), *options]
    subprocess.run(command, check=True, env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"})
    return out


def make_real_store(folder: Path) -> Path:
    """Return the store of the real set with the votes of FER+ below `folder`; only the first process makes it."""
    store = folder / "fer2013"
    with FileLock(folder / "fer2013.lock"):
        if not store.exists():
            ingest(str(materialize("csv", folder / "fer2013.csv")), str(store), ferplus=str(SOURCE / "labels.csv"))
    return store
