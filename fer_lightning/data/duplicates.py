"""Search for rows with the same image, byte for byte, or with nearly the same image, unchanged or mirrored.

Two images are near copies if the Pearson correlation of their 48 x 48 pixels is 0.95 or more. The search is exact and
covers all pairs. Let a and b be centred unit vectors, with projections Pa and Pb onto a few principal directions. The
correlation a.b is at most Pa.Pb + |a - Pa| |b - Pb| (Cauchy and Schwarz). This bound is one matrix product over
65 numbers per row. Only the few pairs with a bound above the limit are then correlated in full.
"""

import io
import warnings
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from fer_lightning.data.rows import image_numbers
from fer_lightning.data.table import FaceTable
from fer_lightning.faces.image_form import FER2013_FORM
from fer_lightning.files import write_atomically
from fer_lightning.terminal import Progress

NEAR = 0.95
# The time grows with the square of the number of images: seconds for FER2013, minutes for this many.
MAX_IMAGES = 300_000
_DIRECTIONS = 64
_SAMPLE = 1000
_CHUNK = 1024
_ROUNDING = 1e-4


@dataclass(frozen=True)
class NearPairs:
    """Pairs of images that are near copies.

    rows         int64 (M, 2), first < second, each the first row of its image
    correlation  float32 (M,)
    mirrored     bool (M,), True: the second image is a near copy of the mirrored first image, not of the image itself
    """

    rows: np.ndarray
    correlation: np.ndarray
    mirrored: np.ndarray


@dataclass(frozen=True)
class Duplicates:
    """Copies within a table.

    images  int64 (N,), the same number for rows with the same pixels
    near    pairs of images that are nearly the same
    """

    images: np.ndarray
    near: NearPairs

    def exact_in(self, rows: np.ndarray, others: np.ndarray) -> np.ndarray:
        """Return bool (len(rows),), True if one of the rows `others` has the same pixels."""
        return np.isin(self.images[rows], self.images[others])

    def has_copy_in(self, rows: np.ndarray, others: np.ndarray) -> np.ndarray:
        """Return bool (len(rows),), True if one of the rows `others` has the same or nearly the same image."""
        pairs = self.images[self.near.rows]
        pairs = np.concatenate([pairs, pairs[:, ::-1]])
        near = pairs[np.isin(pairs[:, 1], self.images[others]), 0]
        return self.exact_in(rows, others) | np.isin(self.images[rows], near)


def copies_of(table: FaceTable, progress: Progress | None = None) -> Duplicates:
    """Return the copies within a table; near copies are kept in its cache, under the table's checksum.

    In a table with more than 300,000 distinct images, only exact copies are searched for: a warning is given and
    `near` is empty.
    """
    images = image_numbers(table.digests)
    near = _cached(table)
    if near is None:
        first = np.sort(np.unique(images, return_index=True)[1])
        if len(first) > MAX_IMAGES:
            warnings.warn(
                f"{len(first):,} images are too many for a search for near copies (at most {MAX_IMAGES:,}); "
                "only exact copies are searched for",
                stacklevel=2,
            )
            first = first[:0]
        near = near_pairs(table.pixels, first, progress)
        _keep(table, near)
    return Duplicates(images, near)


def near_were_searched(copies: Duplicates) -> bool:
    """Return True if the table was small enough for a search for near copies."""
    return copies.images.max(initial=-1) < MAX_IMAGES


def groups(table: FaceTable, copies: Duplicates) -> np.ndarray:
    """Return int64 (N,), the same number for rows that are connected by copies, near copies or an equal `source`.

    Rows may be connected directly or through other rows.
    """
    return joined_rows(table.source, copies.images, copies.near.rows)


def joined_rows(source: np.ndarray, images: np.ndarray, pairs: np.ndarray | None = None) -> np.ndarray:
    """Return int64 (N,), the same number for rows that are connected by equal sources, equal images or `pairs`.

    pairs  int64 (M, 2), row numbers; None: no pairs
    """
    rows, pairs = np.arange(len(source)), np.empty((0, 2), np.int64) if pairs is None else pairs
    numbers = np.unique(source, return_inverse=True)[1].reshape(-1)
    first_image, first_source = len(rows), len(rows) + images.max(initial=-1) + 1
    starts = np.concatenate([rows, rows, pairs[:, 0]])
    ends = np.concatenate([first_image + images, first_source + numbers, pairs[:, 1]])
    size = first_source + numbers.max(initial=-1) + 1
    links = coo_array((np.ones(len(starts), np.uint8), (starts, ends)), shape=(size, size))
    return connected_components(links, directed=False)[1][: len(rows)].astype(np.int64)


def blank(pixels: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return bool (len(rows),), True if all pixels of the row's image have one grey level or one color."""
    channels = pixels.shape[3] if pixels.ndim == 4 else 1
    chunks = (pixels[rows[start : start + _CHUNK]] for start in range(0, len(rows), _CHUNK))
    parts = [(np.ptp(chunk.reshape(len(chunk), -1, channels), axis=1) == 0).all(axis=1) for chunk in chunks]
    return np.concatenate([np.empty(0, bool), *parts])


def near_pairs(pixels: np.ndarray, rows: np.ndarray, progress: Progress | None = None) -> NearPairs:
    """Return the near copies among the distinct, ascending `rows` of `pixels` (N, ...), without blank images."""
    rows = rows[~blank(pixels, rows)]
    if not len(rows):
        return _joined([])
    basis, mirrored_basis = _directions(pixels, rows)
    plain, flipped = _bounds(pixels, rows, basis), _bounds(pixels, rows, mirrored_basis)
    confirmed = []
    for start in range(0, len(rows), _CHUNK):
        for mirrored, others in enumerate((plain, flipped)):
            limit = plain[start : start + _CHUNK] @ others[start:].T
            # Few values are nonzero: on the flat array, numpy finds them seven times faster than in two dimensions.
            first, second = np.divmod(np.flatnonzero(limit >= NEAR - _ROUNDING), limit.shape[1])
            ahead = second > first
            pairs = np.stack([start + first[ahead], start + second[ahead]], axis=1)
            confirmed.append(_confirmed(pixels, rows[pairs], bool(mirrored)))
        if progress:
            progress(min(start + _CHUNK, len(rows)), len(rows))
    return _joined(confirmed)


def _directions(pixels: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return principal directions (2304, 64) of a sample of the images, fewer for a small sample, and their mirrors."""
    images = _unit(pixels[rows[:: -(-len(rows) // _SAMPLE)]])
    among_images = np.linalg.eigh(images @ images.T)[1][:, : -_DIRECTIONS - 1 : -1]
    basis = np.linalg.qr(images.T @ among_images)[0].astype(np.float32)
    side = FER2013_FORM.size
    mirrored = basis.reshape(side, side, -1)[:, ::-1].reshape(basis.shape)
    return basis, mirrored


def _bounds(pixels: np.ndarray, rows: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """Return float32 (N, 65): projections and the length of the rest; the product of two rows bounds a correlation."""
    values = np.empty((len(rows), basis.shape[1] + 1), np.float32)
    for start in range(0, len(rows), _CHUNK):
        chunk = slice(start, start + _CHUNK)
        values[chunk, :-1] = _unit(pixels[rows[chunk]]) @ basis
    values[:, -1] = np.sqrt(np.maximum(0, 1 - np.square(values[:, :-1]).sum(axis=1)))
    return values


def _confirmed(pixels: np.ndarray, pairs: np.ndarray, mirrored: bool) -> NearPairs:
    """Return the pairs (M, 2) whose correlation reaches the limit."""
    correlation = np.empty(len(pairs), np.float32)
    for start in range(0, len(pairs), _CHUNK):
        first, second = (_unit(pixels[column]) for column in pairs[start : start + _CHUNK].T)
        if mirrored:
            side = FER2013_FORM.size
            second = second.reshape(-1, side, side)[:, :, ::-1].reshape(second.shape)
        correlation[start : start + _CHUNK] = np.einsum("nd,nd->n", first, second)
    near = correlation >= NEAR
    return NearPairs(pairs[near], correlation[near], np.full(near.sum(), mirrored))


def _joined(parts: list[NearPairs]) -> NearPairs:
    """Return all pairs, sorted; a pair that is near both unchanged and mirrored counts as unchanged."""
    if not parts:
        return NearPairs(np.empty((0, 2), np.int64), np.empty(0, np.float32), np.empty(0, bool))
    rows, correlation, mirrored = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("rows", "correlation", "mirrored")
    )
    order = np.lexsort((mirrored, rows[:, 1], rows[:, 0]))
    rows, correlation, mirrored = rows[order], correlation[order], mirrored[order]
    new = np.append(True, (rows[1:] != rows[:-1]).any(axis=1))[: len(rows)]
    return NearPairs(rows[new].astype(np.int64), correlation[new], mirrored[new])


def _unit(images: np.ndarray) -> np.ndarray:
    """Return images as float32 (n, 2304), centred and of length 1; a product of two is a correlation.

    Larger and RGB images are compared in FER2013's form, 48 x 48 grey.
    """
    vectors = FER2013_FORM.fit_all(images).reshape(len(images), -1).astype(np.float32)
    vectors -= vectors.mean(axis=1, keepdims=True)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def _cache_file(table: FaceTable) -> Path | None:
    return table.cache and Path(table.cache) / f"near-copies-{table.checksum[:16]}.npz"


def _cached(table: FaceTable) -> NearPairs | None:
    path = _cache_file(table)
    try:
        with np.load(path) as kept:
            return NearPairs(kept["rows"], kept["correlation"], kept["mirrored"])
    except (TypeError, OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None


def _keep(table: FaceTable, near: NearPairs) -> None:
    path = _cache_file(table)
    if path is None:
        return
    try:
        content = io.BytesIO()
        np.savez(content, rows=near.rows, correlation=near.correlation, mirrored=near.mirrored)
        write_atomically(path, content.getvalue())
    except OSError:
        table.notes.append(f"{path.parent} is not writable, so every run repeats the search for near copies")
