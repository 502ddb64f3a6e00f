"""The one form in which faces reach the rest of the house, whatever they were read from."""

from dataclasses import dataclass, field

import numpy as np

SIDE = 48


@dataclass
class FaceTable:
    """N labelled faces in memory or memory-mapped.

    pixels  uint8 (N, 48, 48)
    labels  int64 (N,), indices into `classes`
    usage   uint8 (N,), indices into `labels.USAGES`
    source  str (N,), where a row came from: a file's path or a row number of the source
    checksum  of the rows as they stand, so that two runs can be known to have seen the same data
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

    def __len__(self) -> int:
        return len(self.labels)
