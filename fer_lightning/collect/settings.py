"""Settings of `python -m fer_lightning.collect`."""

from dataclasses import dataclass

from fer_lightning.collect.http.settings import ClientSettings
from fer_lightning.collect.providers.provider import Provider
from fer_lightning.collect.steps.queries import Emotion
from fer_lightning.config.settings import Settings, nested, setting
from fer_lightning.faces.image_form import LARGEST, SMALLEST
from fer_lightning.faces.settings import DetectorSettings, FaceRules
from fer_lightning.labels import TAXONOMIES


@dataclass(frozen=True, kw_only=True)
class FetchSettings(ClientSettings):
    """Settings of downloads."""

    at_once: int = setting(4, "simultaneous downloads; at most two from one host", minimum=1)


@dataclass(frozen=True, kw_only=True)
class CollectFaces(FaceRules, DetectorSettings):
    """Detection, usable faces and the form of the crops."""

    size: int | None = setting(
        None,
        "side of the cropped faces in pixels; null: that of the collection, 48 for a new one",
        minimum=SMALLEST,
        maximum=LARGEST,
    )
    color: bool | None = setting(
        None, "true: the cropped faces are RGB; false: grey; null: as in the collection, grey in a new one"
    )


@dataclass(frozen=True, kw_only=True)
class ReviewSettings(Settings):
    """Settings of the review."""

    annotator: str = setting("first", "pseudonym of the reviewer, stored with each decision")
    second_pass: bool = setting(
        False, "true: blind second review of a random share of the decided faces; set another annotator"
    )
    share: float = setting(0.2, "share of the decided faces in the second pass; at least 50 faces", above=0, maximum=1)
    port: int = setting(
        8765, "port of the review page, which only this machine can reach; 0: a free port", minimum=0, maximum=65535
    )


@dataclass(frozen=True, kw_only=True)
class ExportSettings(Settings):
    """Settings of the exported data set."""

    folder: str = setting(
        "data/collect/export",
        "output folder of custom.csv, provenance.csv, ATTRIBUTION.md and the dataset card",
        path=True,
    )
    taxonomy: str = setting(
        "learning_game",
        "taxonomy whose classes are exported; faces of other classes are not",
        choices=TAXONOMIES,
    )
    release: bool = setting(False, "true: only faces that may be published, by licence and restrictions")
    non_commercial: bool = setting(
        False, "true: the release forbids commercial use, so it may contain images with NC licences"
    )


@dataclass(frozen=True, kw_only=True)
class VerifySettings(Settings):
    """Settings of the check of a collection."""

    online: bool = setting(
        False,
        "true: also check that the web pages of accepted images still exist, because they prove the licences",
    )


@dataclass(frozen=True, kw_only=True)
class CollectSettings(Settings):
    """Settings of all steps."""

    emotion: Emotion = setting(comment="emotion to search for", group="collect/emotion")
    provider: Provider = setting(comment="source of the images", group="collect/provider")
    root: str = setting("data/collect", "folder of the collection: its database and images", path=True)
    target: int = setting(200, "number of accepted faces wanted for this emotion", minimum=1)
    oversample: float = setting(
        3,
        "candidates to search for each wanted face; many show no face, are copies or show something else",
        minimum=1,
        maximum=1000,
    )
    seed: int = setting(0, "random seed of the order of queries, the choice of the second pass and the splits")
    fer2013: str = setting(
        "data/fer2013",
        "folder of FER2013's store, with whose rows collected faces are compared; "
        "if it is missing, they are not compared",
        path=True,
    )
    fetch: FetchSettings = nested(FetchSettings)
    faces: CollectFaces = nested(CollectFaces)
    review: ReviewSettings = nested(ReviewSettings)
    export: ExportSettings = nested(ExportSettings)
    verify: VerifySettings = nested(VerifySettings)
