"""Table of labelled faces: the form in which every data source returns its faces."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from fer_lightning.data.rows import pixel_digests
from fer_lightning.faces.face import SIDE as SIDE  # 48, the side of FER2013's faces
from fer_lightning.faces.image_form import ImageForm


@dataclass
class FaceTable:
    """N labelled faces, in memory or memory-mapped.

    pixels  uint8 (N, S, S) grey, or (N, S, S, 3) RGB; S = 48 for FER2013
    labels  int64 (N,), indices into `classes`
    usage   uint8 (N,), indices into `labels.USAGES`
    source  str (N,), the origin of a row: a file's path, a row number, or the name of an image or person.
            In the splits `clean`, `fold` and `training_fold`, all rows with the same source are in the same part.
    checksum  checksum of the rows in this order; equal for two runs with the same data
    digests uint8 (N, 32), SHA-256 of the pixels
    votes   uint8 (N, 10), FER+ votes in the order of `ferplus.COLUMNS`; zeros for a row without votes;
            None without FER+
    extra   bool (N,), True for rows of data.extra; None without data.extra
    cache   folder for values that take long to compute from these rows; None: they are computed each time
    notes   messages about this table, shown once to the user
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
    extra: np.ndarray | None = None
    cache: Path | None = None

    def __post_init__(self) -> None:
        if self.digests is None:
            self.digests = pixel_digests(self.pixels)

    @property
    def form(self) -> ImageForm:
        return ImageForm.of_shape(self.pixels.shape[1:])

    def __len__(self) -> int:
        return len(self.labels)
