"""Data source for FER2013 from its store, in one of the taxonomies, with or without your own rows."""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from fer_lightning.data.ferplus import COLUMNS, plurality
from fer_lightning.data.ingest import ingest
from fer_lightning.data.readers.csv_faces import OtherForm
from fer_lightning.data.readers.faces import TRAINING
from fer_lightning.data.rows import rows_checksum, stored_order
from fer_lightning.data.store import EXTRA, Store, classes_problem, notes_of, open_store, store_problem
from fer_lightning.data.table import FaceTable
from fer_lightning.errors import UserError
from fer_lightning.faces.image_form import ImageForm
from fer_lightning.labels import Taxonomy, taxonomy_of
from fer_lightning.wording import typed_for_make

OWN = "own"  # name of faces that are not FER2013's; the name of FER2013's faces is that of the taxonomy


def load(
    root: str | Path = "data/fer2013",
    taxonomy: str = "fer2013",
    extra: str | Path | None = None,
    classes: list[str] | None = None,
) -> FaceTable:
    """Return the faces of the store at `root` whose classes are in the taxonomy, and the faces of `extra`.

    taxonomy  name of a file of conf/taxonomy
    extra     CSV `emotion,pixels[,Usage]` with the taxonomy's codes or names, class folders, or an archive of either;
              read once, into a separate store under `root`. Rows without Usage are split 70/15/15 per class
    classes   names of the taxonomy's classes to keep; None: all
    Raise UserError if the store is missing or a class has no training rows.
    """
    if problem := store_problem(root):
        raise UserError(problem)
    chosen = taxonomy_of({"taxonomy": taxonomy, "classes": classes})
    base = open_store(Path(root))
    if Path(root).name.startswith(EXTRA):
        raise UserError(f"data.root={root}: this store holds extra rows. Set data.root to its parent folder.")
    if problem := classes_problem(chosen, base.manifest, extra):
        raise UserError(problem)
    notes = notes_of(base.manifest, root)
    name = chosen.name if base.is_fer2013 else OWN
    if chosen.classes == base.classes and "ferplus" not in chosen.sources and extra is None:
        part = _Part(base.pixels, base.labels, base.usage, base.source, base.digests, base.votes)
        return _table(part, name, chosen, base.manifest["checksum"], notes, Path(root))
    kept, dropped = _kept(base, chosen)
    parts, notes = [kept], notes + dropped
    if extra is not None:
        added, extra_notes = _extra(root, extra, chosen, base)
        parts, notes = [kept, added], notes + extra_notes
    merged = _merge(parts)
    checksum = rows_checksum(chosen.classes, merged.usage, merged.labels, merged.digests)
    return _table(merged, name, chosen, checksum, notes, Path(root))


@dataclass(frozen=True)
class _Part:
    pixels: np.ndarray
    labels: np.ndarray
    usage: np.ndarray
    source: np.ndarray
    digests: np.ndarray
    votes: np.ndarray | None
    extra: np.ndarray | None = None  # bool, True for rows of data.extra


def _kept(store: Store, taxonomy: Taxonomy) -> tuple[_Part, list[str]]:
    """Return the rows of the taxonomy's classes, with its codes, in memory, and a note about the other rows."""
    if "ferplus" in taxonomy.sources:
        labels = plurality(store.votes, taxonomy.classes)
    else:
        codes = [taxonomy.classes.index(c) if c in taxonomy.classes else -1 for c in store.classes]
        labels = np.array(codes)[store.labels]
    rows = np.flatnonzero(labels >= 0)
    votes = None if store.votes is None else store.votes[rows]
    facts = (values[rows] for values in (store.pixels, labels, store.usage, store.source, store.digests))
    part = _Part(*facts, votes, extra=np.zeros(len(rows), bool))
    others = len(labels) - len(rows)
    return part, [f"{others:,} rows of other classes are left out"] if others else []


def _of_other_form(root: str, extra: str, error: OtherForm) -> str:
    """Return the message for extra faces that do not have the form of the store."""
    collection, store = f"root=data/collect-{error.wanted.size}", f"{root}-{error.own.size}"
    return (
        f"data.extra={extra}: {error.name} holds faces of {error.own.description} pixels, and not of "
        f"{error.wanted.description}, the form of data.root={root}. Collect faces in the form of the "
        f"store, in a new folder: "
        f"make collect {error.wanted.make_variables} {typed_for_make('STEPS', collection)}. "
        f"Or read a store in their form: make data {error.own.make_variables} {typed_for_make('ROOT', store)} FROM=..."
    )


def _extra(root: str, extra: str, taxonomy: Taxonomy, base: Store) -> tuple[_Part, list[str]]:
    key = hashlib.sha256(f"{taxonomy.name} {Path(extra).absolute()}".encode()).hexdigest()[:12]
    folder, form = Path(root) / f"{EXTRA}{key}", ImageForm.of_shape(base.pixels.shape[1:])
    try:
        result = ingest(extra, str(folder), taxonomy.name, deal_usage=True, form=form)
    except OtherForm as error:
        raise UserError(_of_other_form(root, extra, error)) from None
    except UserError as error:
        raise UserError(f"data.extra={extra}: {error}") from None
    store = open_store(folder)
    part, dropped = _kept(store, replace(taxonomy, sources=("own",) * len(taxonomy.classes)))
    part = replace(
        part,
        usage=part.usage if base.has_official_split else np.full_like(part.usage, TRAINING),
        source=np.array([f"{extra}:{name}" for name in part.source]),
        extra=np.ones_like(part.extra),
    )
    counted = {name: sum(counts.values()) for name, counts in result.manifest["counts"].items()}
    shown = ", ".join(f"{count:,} {name}" for name, count in counted.items())
    notes = [f"{shown} ({result.outcome})", *result.manifest["notes"], *dropped]
    return part, [f"extra rows of {extra}: {note}" for note in notes]


def _merge(parts: list[_Part]) -> _Part:
    fields = ["pixels", "labels", "usage", "source", "digests", "extra"]
    joined = {name: np.concatenate([getattr(part, name) for part in parts]) for name in fields}
    if any(part.votes is not None for part in parts):
        joined["votes"] = np.concatenate([_votes_or_none(part) for part in parts])
    joined.setdefault("votes", None)
    order = stored_order(joined["usage"], joined["labels"], joined["digests"])
    return _Part(**{name: None if values is None else values[order] for name, values in joined.items()})


def _votes_or_none(part: _Part) -> np.ndarray:
    """Return the part's votes; zeros, which count as no votes, if it has none."""
    return np.zeros((len(part.labels), len(COLUMNS)), np.uint8) if part.votes is None else part.votes


def _table(part: _Part, name: str, taxonomy: Taxonomy, checksum: str, notes: list[str], cache: Path) -> FaceTable:
    trained = np.bincount(part.labels[part.usage == TRAINING], minlength=len(taxonomy.classes))
    empty = [name for name, count in zip(taxonomy.classes, trained, strict=True) if not count]
    if empty:
        others = ",".join(name for name in taxonomy.classes if name not in empty)
        raise UserError(
            f"data.taxonomy={taxonomy.name}: the data has no Training rows of {', '.join(empty)}. Add some with "
            f"data.extra, or train without these classes: data.classes=[{others}]"
        )
    return FaceTable(
        name=name,
        pixels=part.pixels,
        labels=part.labels,
        usage=part.usage,
        source=part.source,
        extra=part.extra,
        classes=taxonomy.classes,
        checksum=checksum,
        notes=notes,
        digests=part.digests,
        votes=part.votes,
        cache=cache,
    )
