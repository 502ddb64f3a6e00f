"""Reader of summary.json, which checks the types of the values that other modules use."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fer_lightning.errors import UserError
from fer_lightning.files import Record, read_json

REMEDY = "Remove this file and run the command of the run again: the run resumes from last.ckpt."
TEXT, NUMBER, WHOLE = (str, type(None)), (int, float, type(None)), (int, type(None))
METRIC = {"value": NUMBER, "low": NUMBER, "high": NUMBER}
SET = {"rows": int, "acc": METRIC}
STATUSES = ("running", "done", "failed", "interrupted")
# Types of values by key; a nested dict describes an object. Keys may be missing, and other keys may have any value.
SHAPE: dict[str, Any] = {
    "status": str,
    **dict.fromkeys(("name", "job", "arm", "monitor", "mode"), str),
    **dict.fromkeys(("command", "commit", "started", "finished", "error", "hardware", "device", "precision"), TEXT),
    **dict.fromkeys(("seed", "epochs", "threads", "world_size"), WHOLE),
    **dict.fromkeys(("best_value", "wall_seconds", "seconds", "images_per_second"), NUMBER),
    **dict.fromkeys(("overrides", "members", "earlier"), list),
    "resumed_with": dict,
    "choices": dict,
    "expected": (dict, type(None)),
    "data": {"name": str, "checksum": str},
    "split": {"name": str, "checksum": str, "rows": {"train": int, "val": int, "test": int}},
    "init": {"path": str, "commit": TEXT, "checksum": str, "new": list, "classes": list, "rows": str},
    "parent": {"path": str, "commit": TEXT, "checksum": str, "epochs": int},
    "parameters": {"total": int},
    "best": {**dict.fromkeys(("val/acc", "val/f1_macro", "val/recall_mean", "val/ce"), NUMBER), "epoch": int},
    "overfitting_gap": {"best": NUMBER, "last": NUMBER},
    "test": {
        "test/acc": (int, float),
        **dict.fromkeys(("test/f1_macro", "test/recall_mean", "test/ce"), NUMBER),
        **dict.fromkeys(("all", "unseen", "clean"), SET),
        "reads": {"run": int, "data": WHOLE, "note": TEXT},
    },
}


def read_summary(path: Path) -> Record:
    """Return the content of a summary.json.

    Raise FileNotFoundError if the file is missing. Raise UserError if it is damaged.
    """
    summary = read_json(path, REMEDY)
    if problem := _problem(summary, SHAPE):
        raise UserError(f"{path}: {problem}, so the file is damaged. {REMEDY}")
    if summary["status"] not in STATUSES:
        raise UserError(f"{path}: status={summary['status']!r}: must be one of {', '.join(STATUSES)}. {REMEDY}")
    return summary


def unfinished_note(summary: dict[str, Any]) -> str | None:
    """Return the note about the weights of a run that is not finished; None for a finished one."""
    if summary["status"] == "done":
        return None
    return f"this run is not finished ({summary['status']}); its best.ckpt is from the best epoch so far"


@dataclass(frozen=True)
class RunTime:
    """Time that a run took over all its calls: it may have been interrupted and resumed.

    started   start of the first call, as in summary.json; None if it is not known
    seconds   wall seconds of all calls whose time is known
    complete  False if the time of a call is not known, because it was killed
    """

    started: str | None
    seconds: float
    complete: bool

    @classmethod
    def of(cls, summary: dict[str, Any]) -> "RunTime":
        calls = [call for call in summary.get("earlier", []) if isinstance(call, dict)] + [summary]
        seconds = [call["wall_seconds"] for call in calls if isinstance(call.get("wall_seconds"), int | float)]
        return cls(calls[0].get("started"), sum(seconds), len(seconds) == len(calls))


def _problem(values: dict[str, Any], shape: dict[str, Any], prefix: str = "") -> str:
    """Return the first value that does not have the type of `shape`, as a sentence without its end, or ''."""
    for key, kind in shape.items():
        value = values.get(key)
        if key not in values:
            continue
        if not isinstance(value, dict if isinstance(kind, dict) else kind) or isinstance(value, bool):
            return f"{prefix}{key} is a {type(value).__name__}"
        if isinstance(kind, dict) and (problem := _problem(value, kind, f"{prefix}{key}.")):
            return problem
    return ""
