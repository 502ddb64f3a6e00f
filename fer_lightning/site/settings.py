"""Settings of `python -m fer_lightning.site`."""

from dataclasses import dataclass

from fer_lightning.config.settings import Settings, setting


@dataclass(frozen=True, kw_only=True)
class SiteSettings(Settings):
    """Settings of the command."""

    model: str = setting(comment="exported model file; python -m fer_lightning.export run=PATH writes one")
    out: str = setting(comment="folder to write; the same command again replaces it")
    detector: str | None = setting(
        None, "file of YuNet; null: FER_FACE_MODEL in the environment, or the file of `make models`"
    )
