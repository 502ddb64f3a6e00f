"""The dataset card: what was collected, how, from whom, under which licences, and what it must not be used for.

After the questions of Gebru et al. 2021, Datasheets for Datasets (arXiv:1803.09010).
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from sqlite3 import Row

from fer_lightning.collect.review.agreement import agreement
from fer_lightning.collect.review.decisions import current
from fer_lightning.collect.store.collection import Collection, now
from fer_lightning.collect.store.funnel import STAGES, funnels, total
from fer_lightning.labels import USAGES


def card(collection: Collection, rows: Sequence[Row], *, release: bool, non_commercial: bool) -> str:
    """Markdown about the exported rows, and about the whole collection where it says so."""
    sections = [
        ("# Dataset card: collected faces", _what(rows, release, non_commercial)),
        ("## Classes and splits", _classes(rows)),
        ("## How they were collected", _process(collection, rows)),
        ("## How they were labelled", _labels(collection)),
        ("## Licences and sources", _sources(rows)),
        ("## Known biases", BIASES),
        ("## Consent, law and what not to do", LIMITS),
        ("## Upkeep", UPKEEP),
    ]
    return "\n\n".join(f"{title}\n\n{text}" for title, text in sections) + "\n"


def _what(rows: Sequence[Row], release: bool, non_commercial: bool) -> str:
    terms = "non-commercial use" if non_commercial else "any use that their licences allow"
    kind = (
        f"This selection passed the release gate, for {terms}."
        if release
        else (
            "**This selection is for training at home. Do not publish it:** provenance.csv says of each row whether "
            "its licence would allow that."
        )
    )
    return (
        f"{len(rows):,} faces, 48 x 48, grey, written on {now()[:10]}. They were gathered because no data set of "
        f"facial expressions has their classes. {kind}"
    )


def _classes(rows: Sequence[Row]) -> str:
    counts: dict[str, Counter] = {}
    for row in rows:
        counts.setdefault(row["label"], Counter())[row["usage"]] += 1
    table = [(label, *(by[usage] for usage in USAGES), by.total()) for label, by in sorted(counts.items())]
    return _table(("class", *USAGES, "all"), table) + (
        "\n\nPictures that look alike stand in one split, and so do those that look like a row of FER2013. When more "
        "are collected, a face stays in its split, unless it turns out to be like one that is tested: then it is "
        "tested too."
    )


def _process(collection: Collection, rows: Sequence[Row]) -> str:
    whole = total(funnels(collection))
    steps = _table(("step", "pictures"), [(stage, whole.reached[stage]) for stage in STAGES])
    detectors = Counter(f"{row['detector']}, OpenCV {row['opencv_version']}" for row in rows)
    queries = Counter((row["weak_label"], row["query"], row["query_language"]) for row in rows)
    asked = _table(
        ("searched for", "query", "language", "faces"),
        [(*query, count) for query, count in queries.most_common()],
    )
    return (
        f"Of the whole collection:\n\n{steps}\n\n"
        f"Faces were found by {', '.join(detectors)}; one of each picture was cut out, as a square around it. "
        f"The queries that found the exported faces:\n\n{asked}"
    )


def _labels(collection: Collection) -> str:
    by = Counter(
        (f"pass {row['pass']}", row["annotator"]) for row in collection.rows("SELECT * FROM standing_decision")
    )
    table = _table(("pass", "annotator", "decisions"), [(*who, count) for who, count in sorted(by.items())])
    return (
        "What was searched for is kept apart from what a person saw. A face counts only where everybody who decided "
        f"about it chose the same label; doubtful and disputed ones are left out.\n\n"
        f"{table}\n\n{_agreement(collection)}"
    )


def _agreement(collection: Collection) -> str:
    found = agreement(current(collection, pass_=1), current(collection, pass_=2))
    if not found.faces:
        return "**No face was looked at twice, so nothing is known about how reliable the labels are.**"
    return found.in_words()


def _sources(rows: Sequence[Row]) -> str:
    licences = Counter((row["provider"], row["licence"] or "unknown") for row in rows)
    creators = Counter(row["creator"] for row in rows if row["creator"])
    most = creators.most_common(1)
    text = _table(("provider", "licence", "faces"), [(*key, count) for key, count in licences.most_common()])
    if most:
        text += (
            f"\n\n{len(creators):,} creators are named; the most frequent one made {most[0][1] / len(rows):.0%} of the "
            f"faces. ATTRIBUTION.md credits each, provenance.csv has one row for each face."
        )
    return text


BIASES = """\
- Pictures from the web are posed, stock or illustrative far more often than lived: they show what people upload under a
  word. Recordings of one's own (licence `own`) show few people, in few places.
- Faces that the detector misses are missing: strongly turned, covered, small or dark ones.
- Search engines prefer some countries, ages, skin tones and languages. None of that was measured here, and
  none of it is even.
- Frustration and boredom have no agreed face. The labels say which word a reviewer put to a picture, no more."""

LIMITS = """\
- **A licence is not consent.** Those who made the pictures allowed copies; those who are seen in them were not asked,
  unless the licence is `own`, by which whoever collected them says that they were.
- Do not identify anybody, and do not compute face embeddings. None were computed here.
- Article 5(1)(f) of the EU's AI Act (Regulation 2024/1689) forbids systems that infer emotions of people at work and in
  education, except for medical or safety reasons. A learning game at school is such a case.
- A face is personal data (Article 4 of the GDPR): keep it no longer than you need it, and keep it to yourself.
- Not for decisions about people: not for hiring, grading, policing, credit, insurance or health.
- Apparent minors were to be left out. Whoever finds one should have it removed."""

UPKEEP = """\
`python -m fer_lightning.collect purge --id ID` (or `--creator NAME`, `--url ADDRESS`) removes a picture with every
copy of it and keeps it from being collected again; `export` then writes these files anew. Ask whoever gave you this
selection to do so, and delete your copy of the row: provenance.csv names each picture's address and creator."""


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(_cell(value) for value in line)} |" for line in lines)


def _cell(value: object) -> str:
    text = f"{value:,}" if isinstance(value, int) else " ".join(str(value).split())
    return text.replace("|", "\\|").replace("<", "&lt;")
