"""The root keys of a collection, typed: a wrong key or type is refused while the config is composed."""

from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING

from fer_lightning.faces.settings import DetectorKind


@dataclass
class FetchSettings:
    at_once: int = MISSING  # pictures that are transferred at the same time, at most two from one host
    requests_per_second: float = MISSING  # to one host
    deadline: float = MISSING  # seconds for one picture, from the name's lookup to the last byte
    max_bytes: int = MISSING  # of one picture
    allow_loopback: bool = MISSING  # let a server on this machine be asked


@dataclass
class FaceSettings:
    kind: DetectorKind = MISSING  # what finds faces
    model: str | None = MISSING  # YuNet's file
    min_score: float = MISSING  # detector's confidence, 0 to 1
    min_face_px: float = MISSING  # side of the crop in the stored picture
    max_roll_deg: float = MISSING  # tilt of the eyes' line against the horizontal
    ambiguous_area: float = MISSING  # share of the chosen face's area from which a second face is mentioned


@dataclass
class ReviewSettings:
    annotator: str = MISSING  # pseudonym of who decides
    second_pass: bool = MISSING  # look again, blind, at a sample of what was decided
    share: float = MISSING  # of the decided faces in that sample
    port: int = MISSING  # of the page on 127.0.0.1; 0 takes a free one


@dataclass
class ExportSettings:
    folder: str = MISSING  # where the files go
    taxonomy: str = MISSING  # whose classes are exported
    release: bool = MISSING  # only what may be published
    non_commercial: bool = MISSING  # whether a release forbids commercial use


@dataclass
class VerifySettings:
    online: bool = MISSING  # whether the pages of accepted pictures are asked for


@dataclass
class CollectSettings:
    """What `python -m fer_lightning.collect` takes."""

    emotion: Any = MISSING  # what is searched for
    provider: Any = MISSING  # where
    root: str = MISSING  # folder of the collection
    target: int = MISSING  # faces wanted
    oversample: float = MISSING  # candidates wanted for each of them
    seed: int = MISSING  # of the order of queries, the second pass and the splits
    fer2013: str = MISSING  # store whose faces must not be collected again
    fetch: FetchSettings = field(default_factory=FetchSettings)
    faces: FaceSettings = field(default_factory=FaceSettings)
    review: ReviewSettings = field(default_factory=ReviewSettings)
    export: ExportSettings = field(default_factory=ExportSettings)
    verify: VerifySettings = field(default_factory=VerifySettings)
