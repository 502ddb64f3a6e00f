"""Audit a store of faces. `make audit [ROOT=data/fer2013]` runs this command.

    python -m fer_lightning.audit root=data/fer2013

The audit looks for these problems:

- exact and near copies within and across splits, also mirrored ones
- conflicting labels, and labels that no FER+ vote supports
- blank images and images without a face
- uneven classes
- unusual brightness or contrast

It writes these files into ROOT/audit:

    index.html          counts, charts and images of the worst cases; keep this page private
    audit.json          counts, thresholds, and the row numbers of all cases
    unseen_rows.csv, distinct_rows.csv, clean_rows.csv   test rows for an evaluation, each list stricter than the last
    excluded_rows.csv   test rows that are not clean, with the reasons
    flagged_rows.csv    all rows with a problem
"""

import json
import os
import re
import shlex
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fer_lightning.compat.old_words import OldForm
from fer_lightning.config import command
from fer_lightning.config.messages import Command
from fer_lightning.config.settings import Settings, setting
from fer_lightning.data.store import default_root, notes_of, open_store, store_problem
from fer_lightning.errors import UserError
from fer_lightning.failures import status_of
from fer_lightning.files import write_atomically, write_csv
from fer_lightning.paths import CONF
from fer_lightning.terminal import plain_console, progress_bar
from fer_lightning.wording import typed

if TYPE_CHECKING:
    from rich.table import Table

    from fer_lightning.audit.findings import Findings
    from fer_lightning.data.table import FaceTable

VERSION = 1
FOLDER = "audit"
LISTS = {
    "unseen": "test rows that are not blank and have no identical image in Training or PublicTest",
    "distinct": "unseen rows that have no nearly identical image in Training or PublicTest",
    "clean": "distinct rows that show a face, if FER+ votes are known; metrics on clean rows use this list",
}


def audit(root: str, progress: Any = None, command: str = "") -> tuple[Path, dict[str, Any]]:
    """Audit the store at `root`, write ROOT/audit, and return this folder and the content of audit.json.

    `progress` is called with the number of images done and of all images. Raise UserError if the store is missing or
    ROOT/audit is not writable.
    """
    from fer_lightning.audit.audit_page import render
    from fer_lightning.audit.findings import facts, find

    began = time.perf_counter()
    table, folder = table_of(root), Path(root) / FOLDER
    refuse_unwritable(root, folder)
    findings = find(table, progress)
    counts = facts(findings)
    lists = row_lists(findings)
    files = {name: {"rows": len(rows), "holds": holds} for name, (holds, _, rows) in lists.items()}
    files |= {"audit.json": {"rows": None, "holds": "all counts, thresholds and row numbers of all cases"}}
    description = {
        "version": VERSION,
        "root": root,
        "folder": str(folder),
        "name": table.name,
        "classes": list(table.classes),
        "rows": len(table),
        "checksum": table.checksum,
        "notes": table.notes,
        "command": command or f"python -m fer_lightning.audit {typed('root', root)}",
        "files": files,
        "written": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "seconds": round(time.perf_counter() - began, 1),
    }
    page = render(findings, counts, description)
    description["seconds"] = round(time.perf_counter() - began, 1)
    record = {**description, "findings": counts, "cases": cases(findings)}
    try:
        for name, (_, header, rows) in lists.items():
            write_csv(folder / name, header, rows)
        for stale in (name for name in (*_names(), "excluded_rows.csv") if name not in lists):
            (folder / stale).unlink(missing_ok=True)
        write_atomically(folder / "index.html", page)
        write_atomically(folder / "audit.json", _json(record))
    except OSError as error:
        raise UserError(f"ROOT={root}: {folder} cannot be written: {error.strerror or error}") from error
    return folder, record


def table_of(root: str) -> "FaceTable":
    """Return all rows of the store at `root`, with any classes; raise UserError if the store is missing."""
    from fer_lightning.data.table import FaceTable

    if problem := store_problem(root):
        raise UserError(problem.removeprefix("data."))
    store = open_store(Path(root))
    return FaceTable(
        name=store.manifest["taxonomy"],
        pixels=store.pixels,
        labels=store.labels,
        usage=store.usage,
        source=store.source,
        classes=store.classes,
        checksum=store.manifest["checksum"],
        notes=notes_of(store.manifest, root),
        digests=store.digests,
        votes=store.votes,
        cache=Path(root),
    )


def refuse_unwritable(root: str, folder: Path) -> None:
    """Raise UserError before the audit starts if its results cannot be written."""
    try:
        folder.mkdir(exist_ok=True)
        probe = folder / f".{os.getpid()}.tmp"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise UserError(
            f"ROOT={root}: the audit cannot write to {folder} ({error.strerror or error}). Make the folder writable, "
            f"or copy the store to a writable folder: cp -r {shlex.quote(root)} elsewhere"
        ) from error


def row_lists(findings: "Findings") -> dict[str, tuple[str, list[str], list[tuple]]]:
    """Return description, header and rows of each CSV; lists of test rows only with an official split."""
    from fer_lightning.audit.findings import exclusion_reasons

    lists = {}
    keys = ["sha256", "usage", "label", "source"]
    if findings.test is not None:
        for strictness, holds in LISTS.items():
            rows = [_identity(findings, row) for row in findings.listed(strictness).tolist()]
            lists[f"{strictness}_rows.csv"] = (holds, keys, rows)
        reasons = zip(findings.test.rows.tolist(), exclusion_reasons(findings), strict=True)
        excluded = [(*_identity(findings, row), "; ".join(why)) for row, why in reasons if why]
        lists["excluded_rows.csv"] = (
            "the test rows that are not clean, with all reasons",
            [*keys, "reasons"],
            excluded,
        )
    flagged = [(row, *_identity(findings, row), "; ".join(problems)) for row, problems in _flags(findings).items()]
    holds = "all rows with a problem; the column row has the row number of audit.json and predictions.csv"
    lists["flagged_rows.csv"] = (holds, ["row", *keys, "findings"], flagged)
    return lists


def cases(findings: "Findings") -> dict[str, Any]:
    """Return the row numbers of all cases; a near pair is a list of row, row, correlation, mirrored."""
    import numpy as np

    labels, groups = findings.table.labels, findings.groups()
    near = zip(findings.near.tolist(), findings.correlation.tolist(), findings.mirrored.tolist(), strict=True)
    return {
        "identical": [group.tolist() for group in groups],
        "conflicting": [group.tolist() for group in groups if np.ptp(labels[group])],
        "near": [[*pair, round(correlation, 4), mirrored] for pair, correlation, mirrored in near],
        **{name: np.flatnonzero(which).tolist() for name, which in _kinds(findings).items()},
    }


def _kinds(findings: "Findings") -> dict[str, Any]:
    """Return the findings about single rows by name, each bool (N,)."""
    import numpy as np

    from fer_lightning.audit.findings import OUTLYING

    unvoted = np.zeros(len(findings.table), bool) if findings.own_votes is None else findings.own_votes == 0
    return {
        "blank": findings.blank,
        "not_a_face": findings.not_face,
        "too_dark": findings.brightness_z < -OUTLYING,
        "too_bright": findings.brightness_z > OUTLYING,
        "too_flat": findings.contrast_z < -OUTLYING,
        "too_harsh": findings.contrast_z > OUTLYING,
        "label_without_votes": unvoted,
    }


def _flags(findings: "Findings") -> dict[int, list[str]]:
    """Return the problems of each row as phrases, only for rows with a problem."""
    import numpy as np

    labels, flags = findings.table.labels, {}
    for group in findings.groups():
        problems = ["identical image"] + (["identical image with another label"] if np.ptp(labels[group]) else [])
        for row in group.tolist():
            flags.setdefault(row, []).extend(problems)
    near: dict[int, set[str]] = {}
    for a, b in findings.near.tolist():
        problems = {"near copy"} | ({"near copy with another label"} if labels[a] != labels[b] else set())
        near.setdefault(a, set()).update(problems)
        near.setdefault(b, set()).update(problems)
    for row, problems in near.items():
        flags.setdefault(row, []).extend(sorted(problems))
    for name, which in _kinds(findings).items():
        for row in np.flatnonzero(which).tolist():
            flags.setdefault(row, []).append(name.replace("_", " "))
    return dict(sorted(flags.items()))


def _identity(findings: "Findings", row: int) -> tuple[str, str, str, str]:
    from fer_lightning.labels import USAGES

    table = findings.table
    digest = table.digests[row].tobytes().hex()
    return digest, USAGES[table.usage[row]], table.classes[table.labels[row]], str(table.source[row])


def _names() -> list[str]:
    return [f"{strictness}_rows.csv" for strictness in LISTS]


def _json(record: dict[str, Any]) -> str:
    """Return indented JSON with each list of numbers on one line."""
    text = json.dumps(record, indent=1, ensure_ascii=False)
    numbers = r"\[\s+([^\[\]{}\"]*?)\s+\]"
    return re.sub(numbers, lambda match: "[" + " ".join(match[1].split()) + "]", text) + "\n"


@dataclass(frozen=True, kw_only=True)
class AuditSettings(Settings):
    """Settings of an audit."""

    root: str = setting("data/fer2013", "folder of the store", path=True)


COMMAND = Command("python -m fer_lightning.audit", AuditSettings, CONF / "audit" / "audit.yaml")


def main(arguments: list[str] | None = None) -> int:
    return status_of(lambda: _run(arguments))


def _run(arguments: list[str] | None) -> None:
    overrides = command.read_arguments(COMMAND, __doc__, arguments, OldForm(keys=("root",)))
    options = command.settings(COMMAND, overrides)
    with progress_bar("comparing images") as progress:
        folder, record = audit(options.root, progress)
    _report(folder, record)


def _report(folder: Path, record: dict[str, Any]) -> None:
    plain_console().print(counts_table(record))
    root = record["root"]
    at = "" if Path(root) == default_root() else f" {typed('data.root', root)}"
    print(f"page      {folder / 'index.html'} (shows people: do not publish it)")
    print(f"lists     {folder}: {', '.join(record['files'])}")
    print(f"checksum  {record['checksum']}")
    print(f"seconds   {record['seconds']}")
    for note in record["notes"]:
        print(f"note      {note}")
    if record["findings"]["clean_rows"]:
        print("next      python -m fer_lightning.evaluate run=PATH   # metrics on all and on clean test rows")
    elif record["name"] == "fer2013":
        print(f"next      python train.py{at} data.split=clean   # a split without copies across its parts")


def counts_table(record: dict[str, Any]) -> "Table":
    """Return the table of the counts, for a terminal."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title=f"{record['rows']:,} faces of {record['name']}", title_justify="left", show_header=False)
    table.add_column(justify="right")
    table.add_column()
    for count, description in summary_lines(record["findings"]):
        table.add_row(count, Text(description))
    return table


def summary_lines(facts: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the counts that are printed on the terminal: number and description."""
    exact, near, conflicts = facts["exact_copies"], facts["near_copies"], facts["label_conflicts"]
    lines = [
        (exact["redundant_rows"], "redundant rows"),
        (exact["groups_blanks_apart"], "images in several rows"),
        (conflicts["conflicting_groups"], "of these images with several labels"),
    ]
    for usage, others in facts["copies_across_usages"].items():
        for other, counts in others.items():
            if other == "Training" or (usage, other) == ("PrivateTest", "PublicTest"):
                either = f" (exact or near: {counts['exact_or_near_or_mirrored']:,})" if near["looked_for"] else ""
                lines.append((counts["exact"], f"{usage} rows with an exact copy in {other}{either}"))
    if near["looked_for"]:
        lines.append((near["image_pairs"]["as_it_is"], "pairs of nearly identical images"))
        lines.append((near["image_pairs"]["mirrored"], "pairs of nearly identical images, one mirrored"))
    lines.append((sum(facts["blanks"].values()), "blank rows"))
    lines.append((sum(facts["light"]["outliers"].values()), "rows with unusual brightness or contrast"))
    shown = [(f"{count:,}", description) for count, description in lines]
    if votes := facts["votes"]:
        shown.append((f"{sum(u['not_a_face'] for u in votes['by_usage'].values()):,}", "rows without a face (FER+)"))
        shown += [
            (f"{100 * counts['agreement']:.1f} %", f"of {usage} labels have the most FER+ votes")
            for usage, counts in votes["by_usage"].items()
            if counts["agreement"] is not None
        ]
    if clean := facts["clean_rows"]:
        shown += [(f"{clean[name]:,}", f"{name} test rows") for name in LISTS]
        if not votes:
            shown[-1] = (shown[-1][0], f"{shown[-1][1]} (without FER+ votes, rows without a face are unknown)")
    return shown


if __name__ == "__main__":
    sys.exit(main())
