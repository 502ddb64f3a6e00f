"""Dataset card: what was collected, how, from whom, under which licences, and what it must not be used for.

The sections follow the questions of Gebru et al. 2021, Datasheets for Datasets (arXiv:1803.09010).
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from sqlite3 import Row

from fer_lightning.collect.review.agreement import agreement
from fer_lightning.collect.review.decisions import current
from fer_lightning.collect.store.collection import Collection, now
from fer_lightning.collect.store.funnel import STAGES, funnels, total
from fer_lightning.labels import USAGES
from fer_lightning.wording import markdown


def card(collection: Collection, rows: Sequence[Row], *, release: bool, non_commercial: bool) -> str:
    """Return Markdown about the exported rows; sections about the whole collection say so."""
    sections = [
        ("# Dataset card: collected faces", _describe_selection(rows, release, non_commercial)),
        ("## Classes and splits", _classes(rows)),
        ("## How they were collected", _process(collection, rows)),
        ("## How they were labelled", _labels(collection)),
        ("## Licences and sources", _sources(rows)),
        ("## Known biases", BIASES),
        ("## Consent, law and what not to do", LIMITS),
        ("## Removal requests", UPKEEP),
    ]
    return "\n\n".join(f"{title}\n\n{text}" for title, text in sections) + "\n"


def _describe_selection(rows: Sequence[Row], release: bool, non_commercial: bool) -> str:
    terms = "non-commercial use" if non_commercial else "any use that the licences allow"
    kind = (
        f"This selection passed the release gate, for {terms}."
        if release
        else (
            "**This selection is only for private training. Do not publish it.** provenance.csv states for each row "
            "whether its licence allows publication."
        )
    )
    return (
        f"{len(rows):,} grey faces of 48 x 48 pixels, written on {now()[:10]}. They were collected because no data set "
        f"of facial expressions has their classes. {kind}"
    )


def _classes(rows: Sequence[Row]) -> str:
    counts: dict[str, Counter] = {}
    for row in rows:
        counts.setdefault(row["label"], Counter())[row["usage"]] += 1
    table = [(label, *(by[usage] for usage in USAGES), by.total()) for label, by in sorted(counts.items())]
    return _table(("class", *USAGES, "all"), table) + (
        "\n\nImages that look alike are in one split. Images that look like a row of FER2013 are in the split of that "
        "row. A face stays in its split when more faces are collected, with one exception: a face that looks like a "
        "test face moves to the split of that test face."
    )


def _process(collection: Collection, rows: Sequence[Row]) -> str:
    whole = total(funnels(collection))
    steps = _table(("step", "images"), [(stage, whole.reached[stage]) for stage in STAGES])
    detectors = Counter(f"{row['detector']}, OpenCV {row['opencv_version']}" for row in rows)
    queries = Counter((row["weak_label"], row["query"], row["query_language"]) for row in rows)
    asked = _table(
        ("searched for", "query", "language", "faces"),
        [(*query, count) for query, count in queries.most_common()],
    )
    return (
        f"Number of images in the whole collection that reached each step:\n\n{steps}\n\n"
        f"Faces were detected by {', '.join(detectors)}. One face per image was cropped, as a square around it. "
        f"These queries found the exported faces:\n\n{asked}"
    )


def _labels(collection: Collection) -> str:
    by = Counter(
        (f"pass {row['pass']}", row["annotator"]) for row in collection.rows("SELECT * FROM standing_decision")
    )
    table = _table(("pass", "annotator", "decisions"), [(*who, count) for who, count in sorted(by.items())])
    return (
        "The emotion that was searched for and the label that a reviewer chose are stored separately. A face is "
        f"exported only if all reviewers of it chose the same label. Uncertain and disputed faces are not exported.\n\n"
        f"{table}\n\n{_agreement(collection)}"
    )


def _agreement(collection: Collection) -> str:
    passes = agreement(current(collection, pass_=1), current(collection, pass_=2))
    if not passes.faces:
        return "**No face was reviewed twice, so the reliability of the labels is unknown.**"
    return passes.describe()


def _sources(rows: Sequence[Row]) -> str:
    licences = Counter((row["provider"], row["licence"] or "unknown") for row in rows)
    creators = Counter(row["creator"] for row in rows if row["creator"])
    most = creators.most_common(1)
    text = _table(("provider", "licence", "faces"), [(*key, count) for key, count in licences.most_common()])
    if most:
        text += (
            f"\n\n{len(creators):,} creators are named. The most frequent creator made {most[0][1] / len(rows):.0%} of "
            f"the faces. ATTRIBUTION.md credits each creator, and provenance.csv has one row for each face."
        )
    return text


BIASES = """\
- Images from the web are posed, stock or illustrative far more often than spontaneous: they show what people upload
  under a word. The collector's own recordings (licence `own`) show few people in few places.
- Faces that the detector does not find are missing: strongly turned, covered, small or dark faces.
- Search engines prefer some countries, ages, skin tones and languages. These preferences were not measured here, and
  the groups are not balanced.
- People do not agree on how frustration and boredom look. A label only states the word that a reviewer chose."""

LIMITS = """\
- **A licence is not consent.** The creators of the images allowed copies. The people in the images were not asked,
  unless the licence is `own`: then the collector states that they agreed.
- Do not identify anybody, and do not compute face embeddings. No face embeddings were computed here.
- Article 5(1)(f) of the EU's AI Act (Regulation 2024/1689) forbids systems that infer emotions of people at work and in
  education, except for medical or safety reasons. A learning game at school is such a case.
- A face is personal data (Article 4 of the GDPR): do not keep it longer than you need it, and do not share it.
- Do not use this data for decisions about people: hiring, grading, policing, credit, insurance or health.
- Reviewers were asked to reject apparent minors. If you find one, ask for its removal."""

UPKEEP = """\
`python -m fer_lightning.collect purge --id ID` (or `--creator NAME`, `--url URL`) removes an image with all its
copies and blocks it from being collected again. `export` then writes these files again. Ask the person who gave you
this selection to run both, and delete your copy of the row: provenance.csv names each image's URL and creator."""


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(_cell(value) for value in line)} |" for line in lines)


def _cell(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else markdown(value)
