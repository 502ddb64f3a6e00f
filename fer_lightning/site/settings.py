"""Settings of `python -m fer_lightning.site`."""

from dataclasses import dataclass

from fer_lightning.config.settings import setting
from fer_lightning.faces.settings import LabelSettings
from fer_lightning.faces.shipped import SHIPPED


@dataclass(frozen=True, kw_only=True)
class SiteSettings(LabelSettings):
    """Settings of the command."""

    model: str = setting(
        SHIPPED,
        "exported file of python -m fer_lightning.export; shipped: the network of the package, if it has one",
        path=True,
    )
    out: str = setting(comment="folder to write; the same command again replaces it", path=True)
    detector: str | None = setting(
        None, "file of YuNet; null: FER_FACE_MODEL in the environment, or the file of the package", path=True
    )
