"""The real data set for tests; FER2013_SOURCE names the folder that holds its `materialize.py`."""

import os
from pathlib import Path

import pytest

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
