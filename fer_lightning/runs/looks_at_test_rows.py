"""test_reads.csv: how often the test rows were looked at, in the run's folder and in the data's. Imports no torch.

Whoever chooses by test score has looked at it more than once; here that can be counted. A look is recorded before any
figure of it is known.
"""

import csv
import errno
import fcntl
import io
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fer_lightning.paths import ROOT
from fer_lightning.runs.run_folder import command_line, git_state, now

if TYPE_CHECKING:
    from fer_lightning.data.splits import Split
    from fer_lightning.data.table import FaceTable

NAME = "test_reads.csv"
FIELDS = ("time", "command", "tta", "commit", "split", "run")


def record(run: Path, table: "FaceTable", split: "Split", tta: str = "none") -> dict[str, Any]:
    """A look at the test rows of `split`: see `count`."""
    return count(run, table.cache, split.name, split.checksum, tta)


def count(run: Path, data: Path | None, split: str, checksum: str, tta: str = "none") -> dict[str, Any]:
    """Append a line to the file in the run's folder and to that in the data's, where the faces have a folder.

    The test rows of split=training_fold are rows of Training: nothing is counted and no file is written.

    Returns how many lines they now have, `run` and `data` (None where the faces have no folder), and a `note` or None:
    a data folder that cannot be written to is no error.
    """
    if _of_training(split):
        return {"run": 0, "data": None, "note": None}
    line = (now(), command_line(), tta, git_state(ROOT)["commit"] or "", checksum, str(run.resolve()))
    reads = {"run": append(run / NAME, line), "data": None, "note": None}
    if data is not None:
        path = data / NAME
        try:
            reads["data"] = append(path, line)
        except OSError as error:
            reads["note"] = f"not counted in {path}: {error.strerror}"
    return reads


def append(path: Path, line: tuple[str, ...]) -> int:
    """Add one line, whole or not at all, under a lock that other processes respect; how many there are now."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a+b", buffering=0) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        before = file.read()
        text = _as_csv(line) if before else _as_csv(FIELDS) + _as_csv(line)
        if before and not before.endswith(b"\n"):
            text = b"\n" + text
        try:
            if file.write(text) < len(text):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(file.fileno())
        except OSError as error:
            file.truncate(len(before))
            raise OSError(error.errno, error.strerror, str(path)) from error
    return sum(1 for line in (before + text).splitlines() if line) - 1


def sentence(reads: dict[str, Any], split: str) -> str:
    """`PrivateTest was read 2 times by this run, 31 times on this data.`"""
    if _of_training(split):
        return "The test rows are a fold of Training; PrivateTest was not read."
    rows = "PrivateTest was" if split.startswith("official") else "The test rows were"
    text = f"{rows} read {_times(reads['run'])} by this run"
    if reads["data"] is not None:
        text += f", {_times(reads['data'])} on this data"
    return f"{text} ({reads['note']})." if reads["note"] else f"{text}."


def _of_training(split: str) -> bool:
    """Return True if the split named `split` tests on rows of Training."""
    return split.startswith("training_fold")


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number:,} times"


def _as_csv(fields: tuple[str, ...]) -> bytes:
    """One line, whatever stands in the fields."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow([" ".join(field.split()) for field in fields])
    return text.getvalue().encode()
