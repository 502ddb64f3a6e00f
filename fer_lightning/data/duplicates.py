"""Which rows show the same picture: byte for byte, or nearly, as it is or mirrored.

Two images are near copies where the Pearson correlation of their 48 x 48 pixels is 0.95 or more. All pairs are looked
at, exactly: of centred unit vectors a and b with projections Pa and Pb onto a few principal directions, the
correlation a.b is at most Pa.Pb + |a - Pa| |b - Pb| (Cauchy and Schwarz), which is one matrix product over 65 numbers a
row; the few pairs above the limit are then correlated in full.
"""

import io
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from fer_lightning.data.rows import image_numbers
from fer_lightning.data.table import FaceTable
from fer_lightning.files import write_atomically

NEAR = 0.95
# Time grows with the square of the images: seconds for FER2013, minutes for this many.
MAX_IMAGES = 300_000
_DIRECTIONS = 64
_SAMPLE = 1000
_CHUNK = 1024
_ROUNDING = 1e-4

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class NearPairs:
    """rows int64 (M, 2), first < second, each the first row of its image; correlation float32 (M,); mirrored bool (M,):
    the second image is near the first one's mirror image, and not near it as it is."""

    rows: np.ndarray
    correlation: np.ndarray
    mirrored: np.ndarray


@dataclass(frozen=True)
class Copies:
    """images int64 (N,), the same number for the same pixels; near, the pairs of images that are nearly the same."""

    images: np.ndarray
    near: NearPairs

    def exact_in(self, rows: np.ndarray, others: np.ndarray) -> np.ndarray:
        """bool (len(rows),): the same pixels stand among the rows `others`."""
        return np.isin(self.images[rows], self.images[others])

    def has_copy_in(self, rows: np.ndarray, others: np.ndarray) -> np.ndarray:
        """bool (len(rows),): the same or nearly the same picture stands among the rows `others`."""
        pairs = self.images[self.near.rows]
        pairs = np.concatenate([pairs, pairs[:, ::-1]])
        near = pairs[np.isin(pairs[:, 1], self.images[others]), 0]
        return self.exact_in(rows, others) | np.isin(self.images[rows], near)


def copies_of(table: FaceTable, progress: Progress | None = None) -> Copies:
    """The copies within a table; near ones are kept in its cache, under the table's checksum.

    Of a table with more than 300,000 distinct images only the exact copies are known: `near` is empty, with a warning.
    """
    images = image_numbers(table.digests)
    near = _cached(table)
    if near is None:
        first = np.sort(np.unique(images, return_index=True)[1])
        if len(first) > MAX_IMAGES:
            warnings.warn(f"near copies of {len(first):,} images are not looked for, only exact ones", stacklevel=2)
            first = first[:0]
        near = near_pairs(table.pixels, first, progress)
        _keep(table, near)
    return Copies(images, near)


def near_are_known(table: FaceTable, copies: Copies) -> bool:
    """Whether the table is small enough for its near copies to have been looked for."""
    return copies.images.max(initial=-1) < MAX_IMAGES


def groups(table: FaceTable, copies: Copies) -> np.ndarray:
    """int64 (N,): the same number for rows that copies, near copies or an equal `source` join, in one step or many."""
    rows = np.arange(len(table))
    source = np.unique(table.source, return_inverse=True)[1].reshape(-1)
    images = copies.images
    first_image, first_source = len(table), len(table) + images.max(initial=-1) + 1
    starts = np.concatenate([rows, rows, copies.near.rows[:, 0]])
    ends = np.concatenate([first_image + images, first_source + source, copies.near.rows[:, 1]])
    size = first_source + source.max(initial=-1) + 1
    links = coo_array((np.ones(len(starts), np.uint8), (starts, ends)), shape=(size, size))
    return connected_components(links, directed=False)[1][: len(table)].astype(np.int64)


def blank(pixels: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """bool (len(rows),): all pixels of the row's image are equal."""
    chunks = (pixels[rows[start : start + _CHUNK]] for start in range(0, len(rows), _CHUNK))
    parts = [np.ptp(chunk.reshape(len(chunk), -1), axis=1) == 0 for chunk in chunks]
    return np.concatenate([np.empty(0, bool), *parts])


def near_pairs(pixels: np.ndarray, rows: np.ndarray, progress: Progress | None = None) -> NearPairs:
    """Near copies among the distinct, ascending `rows` of `pixels` (N, 48, 48); blank images have none."""
    rows = rows[~blank(pixels, rows)]
    if not len(rows):
        return _joined([])
    basis, mirrored_basis = _directions(pixels, rows)
    plain, flipped = _bounds(pixels, rows, basis), _bounds(pixels, rows, mirrored_basis)
    found = []
    for start in range(0, len(rows), _CHUNK):
        for mirrored, others in enumerate((plain, flipped)):
            limit = plain[start : start + _CHUNK] @ others[start:].T
            first, second = np.nonzero(limit >= NEAR - _ROUNDING)
            ahead = second > first
            pairs = np.stack([start + first[ahead], start + second[ahead]], axis=1)
            found.append(_confirmed(pixels, rows[pairs], bool(mirrored)))
        if progress:
            progress(min(start + _CHUNK, len(rows)), len(rows))
    return _joined(found)


def _directions(pixels: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Principal directions (2304, 64) of a sample of the images, or as many as it has, and the same mirrored."""
    images = _unit(pixels[rows[:: -(-len(rows) // _SAMPLE)]])
    among_images = np.linalg.eigh(images @ images.T)[1][:, : -_DIRECTIONS - 1 : -1]
    basis = np.linalg.qr(images.T @ among_images)[0].astype(np.float32)
    side = pixels.shape[1]
    mirrored = basis.reshape(side, side, -1)[:, ::-1].reshape(basis.shape)
    return basis, mirrored


def _bounds(pixels: np.ndarray, rows: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """float32 (N, 65): projections and the length of what they leave out; products bound the correlation."""
    values = np.empty((len(rows), basis.shape[1] + 1), np.float32)
    for start in range(0, len(rows), _CHUNK):
        chunk = slice(start, start + _CHUNK)
        values[chunk, :-1] = _unit(pixels[rows[chunk]]) @ basis
    values[:, -1] = np.sqrt(np.maximum(0, 1 - np.square(values[:, :-1]).sum(axis=1)))
    return values


def _confirmed(pixels: np.ndarray, pairs: np.ndarray, mirrored: bool) -> NearPairs:
    """Those of the pairs (M, 2) whose correlation reaches the limit."""
    correlation = np.empty(len(pairs), np.float32)
    for start in range(0, len(pairs), _CHUNK):
        first, second = (_unit(pixels[column]) for column in pairs[start : start + _CHUNK].T)
        if mirrored:
            side = pixels.shape[1]
            second = second.reshape(-1, side, side)[:, :, ::-1].reshape(second.shape)
        correlation[start : start + _CHUNK] = np.einsum("nd,nd->n", first, second)
    near = correlation >= NEAR
    return NearPairs(pairs[near], correlation[near], np.full(near.sum(), mirrored))


def _joined(parts: list[NearPairs]) -> NearPairs:
    """All pairs, sorted; a pair that is near both ways counts as it is."""
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
    """(n, 48, 48) -> float32 (n, 2304), centred and of length 1, so that a product is a correlation."""
    vectors = images.reshape(len(images), -1).astype(np.float32)
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
        table.notes.append(f"{path.parent} cannot be written: near copies are looked for again in every run")
