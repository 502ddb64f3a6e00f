"""Run train.py and send this process a signal at a chosen moment: python smoke_kill.py MOMENT NTH SIGNAL OVERRIDES...

A moment is `before:NAME` or `after:NAME`, the renaming of a finished file or folder to NAME; `half:NAME`, in the middle
of writing the checkpoint NAME; or a method of FERClassifier. NTH counts from 1.
"""

import itertools
import os
import runpy
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def arm(moment: str, nth: int, signum: int) -> None:
    count = itertools.count(1)

    def strike() -> None:
        if next(count) == nth:
            os.kill(os.getpid(), signum)

    kind, _, name = moment.partition(":")
    if kind in ("before", "after"):
        _around(os, "replace", name, strike if kind == "before" else None, strike if kind == "after" else None)
        _around(os, "rename", name, strike if kind == "before" else None, strike if kind == "after" else None)
    elif kind == "half":
        import torch

        save = torch.save

        def save_half(content, file):
            if name in Path(file.name).name:
                file.write(b"half of a checkpoint")
                file.flush()
                strike()
                file.seek(0)
            save(content, file)

        torch.save = save_half
    else:
        from fer_lightning.training.classifier import FERClassifier

        method = getattr(FERClassifier, moment)

        def wrapped(self, *args, **kwargs):
            strike()
            return method(self, *args, **kwargs)

        setattr(FERClassifier, moment, wrapped)


def _around(module, function: str, name: str, before, after) -> None:
    original = getattr(module, function)

    def moved(source, target):
        hit = Path(target).name.endswith(name)
        if hit and before:
            before()
        original(source, target)
        if hit and after:
            after()

    setattr(module, function, moved)


if __name__ == "__main__":
    moment, nth, signum, *overrides = sys.argv[1:]
    arm(moment, int(nth), int(signum))
    sys.argv = [str(ROOT / "train.py"), *overrides]
    runpy.run_path(sys.argv[0], run_name="__main__")
