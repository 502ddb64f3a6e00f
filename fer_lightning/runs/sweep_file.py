"""Reader of sweep.json, the plan of a sweep; `launch.plan` describes and writes it."""

from pathlib import Path
from typing import Any

from fer_lightning.errors import UserError
from fer_lightning.files import read_json

NAME = "sweep.json"


def read_plan(folder: Path) -> dict[str, Any]:
    """Return the content of a folder's sweep.json; a plan without jobs if the file is missing or damaged."""
    try:
        plan = read_json(folder / NAME)
    except (OSError, UserError):
        plan = {}
    return plan if _has_form(plan) else {"command": None, "jobs": []}


def _has_form(plan: dict[str, Any]) -> bool:
    command, jobs = plan.get("command"), plan.get("jobs")
    return isinstance(command, str | None) and isinstance(jobs, list) and all(map(_is_job, jobs))


def _is_job(entry: Any) -> bool:
    if not isinstance(entry, dict):
        return False
    texts = all(isinstance(entry.get(key), str) for key in ("job", "arm"))
    return texts and isinstance(entry.get("seed"), int | None) and isinstance(entry.get("overrides"), list)
