"""Types of the collector's settings: a wrong key or type is rejected while the config is composed."""

from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING

from fer_lightning.faces.settings import DetectorKind


@dataclass
class FetchSettings:
    at_once: int = MISSING  # simultaneous downloads; at most two from one host
    requests_per_second: float = MISSING  # maximum requests per second to one host
    deadline: float = MISSING  # seconds for one image, from DNS lookup to the last byte
    max_bytes: int = MISSING  # maximum size of one image in bytes
    allow_loopback: bool = MISSING  # true: requests to a server on this machine are allowed


@dataclass
class FaceSettings:
    kind: DetectorKind = MISSING  # face detector
    model: str | None = MISSING  # path of YuNet's model file
    min_score: float = MISSING  # minimum confidence of the detector, 0 to 1
    min_face_px: float = MISSING  # minimum side of the crop in the stored image, in pixels
    max_roll_deg: float = MISSING  # maximum angle between the line of the eyes and the horizontal, in degrees
    ambiguous_area: float = MISSING  # second face: minimum area, as a share of the first, to be shown in the review


@dataclass
class ReviewSettings:
    annotator: str = MISSING  # pseudonym of the reviewer
    second_pass: bool = MISSING  # true: blind second review of a random share of the decided faces
    share: float = MISSING  # share of the decided faces in the second pass
    port: int = MISSING  # port of the page on 127.0.0.1; 0: a free port


@dataclass
class ExportSettings:
    folder: str = MISSING  # output folder
    taxonomy: str = MISSING  # taxonomy whose classes are exported
    release: bool = MISSING  # true: only faces that may be published
    non_commercial: bool = MISSING  # true: the release forbids commercial use


@dataclass
class VerifySettings:
    online: bool = MISSING  # true: also request the web pages of accepted images


@dataclass
class CollectSettings:
    """Settings of `python -m fer_lightning.collect`."""

    emotion: Any = MISSING  # emotion to search for
    provider: Any = MISSING  # source of the images
    root: str = MISSING  # folder of the collection
    target: int = MISSING  # number of accepted faces wanted
    oversample: float = MISSING  # candidates to search for each wanted face
    seed: int = MISSING  # random seed of the order of queries, the second pass and the splits
    fer2013: str = MISSING  # folder of FER2013's store, whose faces must not be collected again
    fetch: FetchSettings = field(default_factory=FetchSettings)
    faces: FaceSettings = field(default_factory=FaceSettings)
    review: ReviewSettings = field(default_factory=ReviewSettings)
    export: ExportSettings = field(default_factory=ExportSettings)
    verify: VerifySettings = field(default_factory=VerifySettings)
