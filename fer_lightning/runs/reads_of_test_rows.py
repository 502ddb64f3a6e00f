"""Count of test-set reads in test_reads.csv, in the run's folder and in the data folder.

Choosing a model by its test score needs more than one read of the test rows, so the count makes such a choice visible.
A read is recorded before any metric is computed from it. This module does not import torch.
"""

import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fer_lightning.files import csv_text, take_lock
from fer_lightning.paths import ROOT
from fer_lightning.runs.run_folder import command_line, git_state, now

if TYPE_CHECKING:
    from fer_lightning.data.splits import Split
    from fer_lightning.data.table import FaceTable

NAME = "test_reads.csv"
FIELDS = ("time", "command", "tta", "commit", "split", "run")


def record(run: Path, table: "FaceTable", split: "Split", tta: str = "none") -> dict[str, Any]:
    """Record one read of the test rows of `split`; see `count_read`."""
    return count_read(run, table.cache, split.name, split.checksum, tta)


def count_read(run: Path, data: Path | None, split: str, checksum: str, tta: str = "none") -> dict[str, Any]:
    """Append a line to test_reads.csv in the run's folder and, if the faces have a folder, in the data folder.

    The test rows of split=training_fold are rows of Training: nothing is counted and no file is written.

    Returns the new number of lines as `run` and `data` (None if the faces have no folder), and a `note` or None.
    A data folder that is not writable gives a note, not an error.
    """
    if _of_training(split):
        return {"run": 0, "data": None, "note": None}
    line = (now(), command_line(), tta, git_state(ROOT)["commit"] or "", checksum, str(run.resolve()))
    return {"run": append(run / NAME, line), **_count_in_data(data, line)}


def count_file(file: Path, data: Path | None, checksum: str) -> dict[str, Any]:
    """Count a read by a file of another program, which has no run folder; see `count_read`."""
    line = (now(), command_line(), "none", git_state(ROOT)["commit"] or "", checksum, str(file.resolve()))
    return {"run": None, **_count_in_data(data, line)}


def _count_in_data(data: Path | None, line: tuple[str, ...]) -> dict[str, Any]:
    if data is None:
        return {"data": None, "note": None}
    path = data / NAME
    try:
        return {"data": append(path, line), "note": None}
    except OSError as error:
        return {"data": None, "note": f"not recorded in {path}: {error.strerror}"}


def append(path: Path, line: tuple[str, ...]) -> int:
    """Append one line, whole or not at all, under a file lock, and return the new number of lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a+b", buffering=0) as file:
        take_lock(file, wait=True)
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


def sentence(reads: dict[str, Any], split: str, data: str) -> str:
    """Return, for example, `PrivateTest was read 2 times by this run, 31 times on this data.`

    data  name of the data; faces that a program draws have no PrivateTest
    """
    if _of_training(split):
        return "The test rows are a fold of Training; PrivateTest was not read."
    rows = "PrivateTest was" if split.startswith("official") and data != "synthetic" else "The test rows were"
    counts = {"by this run": reads["run"], "on this data": reads["data"]}
    counted = ", ".join(f"{_times(count)} {scope}" for scope, count in counts.items() if count is not None)
    text = f"{rows} read {counted}".rstrip()
    return f"{text} ({reads['note']})." if reads["note"] else f"{text}."


def _of_training(split: str) -> bool:
    """Return True if the split named `split` tests on rows of Training."""
    return split.startswith("training_fold")


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number:,} times"


def _as_csv(fields: tuple[str, ...]) -> bytes:
    """Return the fields as exactly one CSV line; line breaks in a field become spaces."""
    return csv_text([[" ".join(field.split()) for field in fields]]).encode()
