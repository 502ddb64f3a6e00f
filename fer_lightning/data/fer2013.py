"""Data source for FER2013 from its store, in one of the taxonomies, with or without your own rows."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from fer_lightning.data.ferplus import COLUMNS
from fer_lightning.data.ingest import ingest
from fer_lightning.data.readers.faces import TRAINING
from fer_lightning.data.rows import rows_checksum, stored_order
from fer_lightning.data.store import Store, notes_of, open_store, store_problem
from fer_lightning.data.table import FaceTable
from fer_lightning.errors import UserError
from fer_lightning.labels import TAXONOMIES, Taxonomy


def load(
    root: str = "data/fer2013",
    taxonomy: Literal["fer2013", "learning_game", "learning_game_distracted"] = "fer2013",
    extra: str | None = None,
) -> FaceTable:
    """Return the faces of the store at `root` whose classes are in `taxonomy`, and the faces of `extra`.

    `extra` is a CSV `emotion,pixels[,Usage]` with the taxonomy's codes or names, class folders, or an archive
    of either. It is read once, into a separate store under `root`. Rows without Usage are split 70/15/15 per class.
    Raise UserError if the store is missing or a class has no training rows.
    """
    if problem := store_problem(root):
        raise UserError(problem)
    chosen = TAXONOMIES[taxonomy]
    base = open_store(Path(root))
    if base.manifest["taxonomy"] != "fer2013":
        raise UserError(
            f"data.root={root}: this store holds extra rows, not FER2013. Set data.root to its parent folder."
        )
    notes = notes_of(base.manifest)
    if taxonomy == "fer2013" and extra is None:
        part = _Part(base.pixels, base.labels, base.usage, base.source, base.digests, base.votes)
        return _table(part, chosen, base.manifest["checksum"], notes, Path(root))
    if extra is None:
        own = [name for name in chosen.classes if name not in base.classes]
        raise UserError(
            f"data.taxonomy={taxonomy}: FER2013 has no faces of {', '.join(own)}, so these classes would be empty. "
            f"Add your own faces with data.extra=path/to/custom.csv (emotion,pixels[,Usage]) or class folders."
        )
    added, extra_notes = _extra(root, extra, taxonomy, official=base.has_official_split)
    merged = _merge([_kept(base, chosen), added])
    checksum = rows_checksum(chosen.classes, merged.usage, merged.labels, merged.digests)
    return _table(merged, chosen, checksum, notes + extra_notes, Path(root))


@dataclass(frozen=True)
class _Part:
    pixels: np.ndarray
    labels: np.ndarray
    usage: np.ndarray
    source: np.ndarray
    digests: np.ndarray
    votes: np.ndarray | None


def _kept(base: Store, taxonomy: Taxonomy) -> _Part:
    """Return the rows of the classes that `base` and `taxonomy` share, with the taxonomy's codes, in memory."""
    codes = np.array([taxonomy.classes.index(c) if c in taxonomy.classes else -1 for c in base.classes])
    labels = codes[base.labels]
    rows = np.flatnonzero(labels >= 0)
    votes = None if base.votes is None else base.votes[rows]
    return _Part(base.pixels[rows], labels[rows], base.usage[rows], base.source[rows], base.digests[rows], votes)


def _extra(root: str, extra: str, taxonomy: str, official: bool) -> tuple[_Part, list[str]]:
    key = hashlib.sha256(f"{taxonomy} {Path(extra).absolute()}".encode()).hexdigest()[:12]
    folder = Path(root) / f"extra-{key}"
    try:
        result = ingest(extra, str(folder), taxonomy, deal_usage=True)
    except UserError as error:
        raise UserError(f"data.extra={extra}: {error}") from None
    store = open_store(folder)
    usage = store.usage if official else np.full_like(store.usage, TRAINING)
    source = np.array([f"{extra}:{name}" for name in store.source])
    counted = {name: sum(counts.values()) for name, counts in result.manifest["counts"].items()}
    shown = ", ".join(f"{count:,} {name}" for name, count in counted.items())
    notes = [f"extra rows of {extra}: {shown} ({result.outcome})"]
    notes += [f"extra rows of {extra}: {note}" for note in result.manifest["notes"]]
    return _Part(store.pixels, store.labels, usage, source, store.digests, votes=None), notes


def _merge(parts: list[_Part]) -> _Part:
    fields = ["pixels", "labels", "usage", "source", "digests"]
    joined = {name: np.concatenate([getattr(part, name) for part in parts]) for name in fields}
    if any(part.votes is not None for part in parts):
        joined["votes"] = np.concatenate([_votes_or_none(part) for part in parts])
    joined.setdefault("votes", None)
    order = stored_order(joined["usage"], joined["labels"], joined["digests"])
    return _Part(**{name: None if values is None else values[order] for name, values in joined.items()})


def _votes_or_none(part: _Part) -> np.ndarray:
    """Return the part's votes; zeros, which count as no votes, if it has none."""
    return np.zeros((len(part.labels), len(COLUMNS)), np.uint8) if part.votes is None else part.votes


def _table(part: _Part, taxonomy: Taxonomy, checksum: str, notes: list[str], cache: Path) -> FaceTable:
    trained = np.bincount(part.labels[part.usage == TRAINING], minlength=len(taxonomy.classes))
    empty = [name for name, count in zip(taxonomy.classes, trained, strict=True) if not count]
    if empty:
        others = [other.name for other in TAXONOMIES.values() if not set(empty) & set(other.classes)]
        raise UserError(
            f"data.taxonomy={taxonomy.name}: there are no Training rows of {', '.join(empty)}. Add some with data.extra"
            + (f", or choose a taxonomy without these classes: {', '.join(others)}." if others else ".")
        )
    return FaceTable(
        name=taxonomy.name,
        pixels=part.pixels,
        labels=part.labels,
        usage=part.usage,
        source=part.source,
        classes=taxonomy.classes,
        checksum=checksum,
        notes=notes,
        digests=part.digests,
        votes=part.votes,
        cache=cache,
    )
