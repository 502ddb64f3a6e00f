"""Dataset card: what was collected, how, from whom, under which licences, and what it must not be used for.

The text is pages/templates/dataset_card.md. Its sections follow the questions of Gebru et al. 2021, Datasheets for
Datasets (arXiv:1803.09010).
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from sqlite3 import Row

from fer_lightning.collect.review.agreement import agreement
from fer_lightning.collect.review.decisions import current
from fer_lightning.collect.store.collection import Collection, now
from fer_lightning.collect.store.form import form_of
from fer_lightning.collect.store.funnel import STAGES, funnels, total
from fer_lightning.labels import USAGES
from fer_lightning.pages.templates import render_markdown
from fer_lightning.wording import markdown


def card(collection: Collection, rows: Sequence[Row], *, release: bool, non_commercial: bool) -> str:
    """Return Markdown about the exported rows; sections about the whole collection say so."""
    reached = total(funnels(collection)).reached
    creators = Counter(row["creator"] for row in rows if row["creator"])
    return render_markdown(
        "dataset_card.md",
        faces=len(rows),
        form=form_of(rows[0]["crop"]).description,
        date=now()[:10],
        release=release,
        terms="non-commercial use" if non_commercial else "any use that the licences allow",
        usages=USAGES,
        classes=_classes(rows),
        steps=[(stage, f"{reached[stage]:,}") for stage in STAGES],
        detectors=list(dict.fromkeys(f"{row['detector']}, OpenCV {row['opencv_version']}" for row in rows)),
        queries=_counted((row["weak_label"], row["query"], row["query_language"]) for row in rows),
        decisions=_decisions(collection),
        agreement=_agreement(collection),
        licences=_counted((row["provider"], row["licence"] or "unknown") for row in rows),
        creators=len(creators),
        largest_share=max(creators.values(), default=0) / len(rows),
    )


def _classes(rows: Iterable[Row]) -> list[tuple[str, ...]]:
    counts: dict[str, Counter] = {}
    for row in rows:
        counts.setdefault(row["label"], Counter())[row["usage"]] += 1
    return [
        (markdown(label), *(f"{by[usage]:,}" for usage in USAGES), f"{by.total():,}")
        for label, by in sorted(counts.items())
    ]


def _counted(keys: Iterable[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Return a row for each distinct key with its number, the most frequent first."""
    return list(_cells(Counter(keys).most_common()))


def _cells(counts: Iterable[tuple[tuple[str, ...], int]]) -> Iterator[tuple[str, ...]]:
    for key, count in counts:
        yield *map(markdown, key), f"{count:,}"


def _decisions(collection: Collection) -> list[tuple[str, ...]]:
    rows = collection.rows("SELECT * FROM standing_decision")
    return list(_cells(sorted(Counter((f"pass {row['pass']}", row["annotator"]) for row in rows).items())))


def _agreement(collection: Collection) -> str:
    passes = agreement(current(collection, pass_=1), current(collection, pass_=2))
    if not passes.faces:
        return "**No face was reviewed twice, so the reliability of the labels is unknown.**"
    return passes.describe()
