"""Finished runs that differ from a run only in their number of epochs."""

import re
from contextlib import suppress
from pathlib import Path

from fer_lightning.errors import UserError
from fer_lightning.runs.run_folder import RunFolder
from fer_lightning.wording import typed

EPOCHS = re.compile(r"(^|_)trainer\.max_epochs-\d+(?=_)")
WHY = "The schedule depends on the length, so this is another run and starts from the beginning."


def note_on_other_lengths(path: Path) -> str | None:
    """Return a note that names the finished runs of other lengths beside a run folder; None without such runs."""
    finished = [str(other) for other in sorted(path.parent.glob("*")) if _differs_in_length(other, path)]
    if not finished:
        return None
    more = f"To train a finished run for more epochs: {typed('extend', finished[0])} trainer.max_epochs=..."
    return f"finished with another trainer.max_epochs: {', '.join(finished)}. {WHY} {more}"


def _differs_in_length(other: Path, path: Path) -> bool:
    if other == path or EPOCHS.sub("", other.name).lstrip("_") != EPOCHS.sub("", path.name).lstrip("_"):
        return False
    with suppress(UserError, OSError):
        return RunFolder(other).is_done()
    return False
