"""Honest, fast and pleasant experiments in facial emotion recognition (FER).

    from fer_lightning import FaceReader

    faces = FaceReader()("photo.jpg")

`load_run` opens a trained run in a script; it needs the extra `train`.
"""

import importlib
from typing import TYPE_CHECKING, Any

from fer_lightning.compat.old_names import find_old_commands

if TYPE_CHECKING:
    from fer_lightning.evaluation.load_run import LoadedRun, load_run
    from fer_lightning.predict.reader import FaceReader, FaceReading, FaceReadings

__all__ = ["FaceReader", "FaceReading", "FaceReadings", "LoadedRun", "load_run"]

# Module of each public name, imported at its first use, so that `import fer_lightning` stays fast.
_MODULES = {
    **dict.fromkeys(("FaceReader", "FaceReading", "FaceReadings"), "fer_lightning.predict.reader"),
    **dict.fromkeys(("LoadedRun", "load_run"), "fer_lightning.evaluation.load_run"),
}

find_old_commands()


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULES[name]), name)
