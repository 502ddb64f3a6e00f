"""The step `tally`: tables of what the collection holds: classes by split, and losses by query."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rich.table import Column, Table

from fer_lightning.collect.store.collection import Collection
from fer_lightning.collect.store.funnel import STAGES, Funnel, total
from fer_lightning.files import write_csv
from fer_lightning.labels import USAGES


def classes(collection: Collection) -> dict[str, Counter]:
    """Return {label: {split: number of accepted faces}}, the most frequent label first."""
    counts: dict[str, Counter] = {}
    for row in collection.rows(_ACCEPTED):
        counts.setdefault(row["label"], Counter())[row["usage"]] = row["count"]
    return dict(sorted(counts.items(), key=lambda item: -item[1].total()))


_ACCEPTED = "SELECT label, usage, count(*) AS count FROM accepted_face GROUP BY label, usage"


def _name(header: str) -> Column:
    """Return a column of names, which wrap if they are long, so that no number is cut."""
    return Column(header, overflow="fold")


def class_table(counts: dict[str, Counter]) -> Table:
    table = Table(_name("class"), title="accepted faces", title_justify="left")
    for usage in (*USAGES, "all"):
        table.add_column(usage, justify="right", no_wrap=True)
    for label, by_usage in counts.items():
        table.add_row(label, *(f"{by_usage[usage]:,}" for usage in USAGES), f"{by_usage.total():,}")
    return table


def funnel_table(parts: Sequence[Funnel]) -> Table:
    """Return a table with a row for each query, and one for all queries."""
    table = Table(
        _name("query"), title="images that reached each stage, by the query that found them", title_justify="left"
    )
    for stage in STAGES:
        table.add_column(stage, justify="right", no_wrap=True)
    for part in parts:
        name = part.query + (f" ({part.language})" if part.language not in ("", "und") else "")
        table.add_row(name, *(f"{part.reached[stage]:,}" for stage in STAGES))
    if len(parts) > 1:
        table.add_section()
        table.add_row("all", *(f"{total(list(parts)).reached[stage]:,}" for stage in STAGES))
    return table


def loss_table(whole: Funnel) -> Table:
    """Return a table of the losses by stage and reason, in the order of the stages, the largest first."""
    table = Table(_name("lost before"), _name("reason"), title="lost images", title_justify="left")
    table.add_column("images", justify="right", no_wrap=True)
    order = sorted(whole.losses.items(), key=lambda item: (STAGES.index(item[0][0]), -item[1]))
    for (stage, reason), count in order:
        table.add_row(stage, reason, f"{count:,}")
    return table


def write_lost(path: Path, pictures: Sequence[Sequence[str]]) -> None:
    """Write one row per lost image."""
    write_csv(path, ("searched for", "query", "provider", "picture", "lost before", "because", "detail"), pictures)


def write_funnel(path: Path, parts: Sequence[Funnel]) -> None:
    """Write the images of each query that reached each stage, and losses as stages `lost before ...`."""
    rows: list[tuple] = []
    for part in parts:
        query = (part.query, part.language)
        rows += [(*query, stage, "", part.reached[stage]) for stage in STAGES]
        rows += [(*query, f"lost before {stage}", why, count) for (stage, why), count in part.losses.items()]
    write_csv(path, ("query", "language", "stage", "because", "pictures"), rows)
