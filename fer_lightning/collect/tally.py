"""What the collection holds now, as tables for the terminal: classes by split, decisions, losses by query."""

from collections import Counter
from collections.abc import Sequence

from rich.table import Table

from fer_lightning.collect.database import Collection
from fer_lightning.collect.funnel import STAGES, Funnel, total
from fer_lightning.labels import USAGES


def classes(collection: Collection) -> dict[str, Counter]:
    """{label: {split: accepted faces}}, the most frequent label first."""
    counts: dict[str, Counter] = {}
    for row in collection.rows(_ACCEPTED):
        counts.setdefault(row["label"], Counter())[row["usage"]] = row["count"]
    return dict(sorted(counts.items(), key=lambda item: -item[1].total()))


def outcomes(collection: Collection) -> Counter:
    """{(outcome, reason): faces} of the unique faces; those that nobody has decided about are `undecided`."""
    return Counter({(row["outcome"], row["reason"]): row["count"] for row in collection.rows(_OUTCOMES)})


_ACCEPTED = """
SELECT label, usage, count(*) AS count FROM current_settled JOIN current_deduped AS deduped USING (face)
WHERE outcome = 'accepted' AND deduped.status = 'unique' GROUP BY label, usage
"""
_OUTCOMES = """
SELECT coalesce(settled.outcome, 'undecided') AS outcome, settled.reason, count(*) AS count
FROM current_face AS face JOIN current_deduped AS deduped ON deduped.face = face.id AND deduped.status = 'unique'
LEFT JOIN current_settled AS settled ON settled.face = face.id
GROUP BY 1, 2 ORDER BY 3 DESC
"""


def class_table(counts: dict[str, Counter]) -> Table:
    table = Table("class", title="accepted faces", title_justify="left")
    for usage in (*USAGES, "all"):
        table.add_column(usage, justify="right")
    for label, by_usage in counts.items():
        table.add_row(label, *(f"{by_usage[usage]:,}" for usage in USAGES), f"{by_usage.total():,}")
    return table


def funnel_table(parts: Sequence[Funnel]) -> Table:
    """A row for each query, and one for all."""
    table = Table("query", title="how far the pictures came, by the query that found them first", title_justify="left")
    for stage in STAGES:
        table.add_column(stage, justify="right")
    for part in parts:
        name = part.query + (f" ({part.language})" if part.language else "")
        table.add_row(name, *(f"{part.reached[stage]:,}" for stage in STAGES))
    if len(parts) > 1:
        table.add_section()
        table.add_row("all", *(f"{total(list(parts)).reached[stage]:,}" for stage in STAGES))
    return table


def loss_table(whole: Funnel) -> Table:
    """Why pictures came no further, in the order of the stages and by number."""
    table = Table("lost before", "because", title="losses", title_justify="left")
    table.add_column("pictures", justify="right")
    order = sorted(whole.losses.items(), key=lambda item: (STAGES.index(item[0][0]), -item[1]))
    for (stage, reason), count in order:
        table.add_row(stage, reason, f"{count:,}")
    return table
