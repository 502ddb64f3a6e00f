"""The one form in which faces reach the rest of the house, whatever they were read from."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from fer_lightning.data.rows import pixel_digests

SIDE = 48


@dataclass
class FaceTable:
    """N labelled faces, in memory or memory-mapped.

    pixels  uint8 (N, 48, 48)
    labels  int64 (N,), indices into `classes`
    usage   uint8 (N,), indices into `labels.USAGES`
    source  str (N,), where a row came from: a file's path, a row number, or the name of a picture or person.
            Rows of one source never stand on both sides of the splits `clean`, `fold` and `training_fold`.
    checksum  of the rows as they stand, so that two runs can be known to have seen the same data
    digests uint8 (N, 32), SHA-256 of the pixels
    votes   uint8 (N, 10), FER+ votes in the order of `ferplus.COLUMNS`; zeros where a row has none; None without FER+
    cache   folder for what is costly to derive from these rows; None: it is derived anew each time
    notes   what a user should be told once about this table
    """

    name: str
    pixels: np.ndarray
    labels: np.ndarray
    usage: np.ndarray
    source: np.ndarray
    classes: tuple[str, ...]
    checksum: str
    notes: list[str] = field(default_factory=list)
    digests: np.ndarray | None = None
    votes: np.ndarray | None = None
    cache: Path | None = None

    def __post_init__(self) -> None:
        if self.digests is None:
            self.digests = pixel_digests(self.pixels)

    def __len__(self) -> int:
        return len(self.labels)
