"""Settings of `python -m fer_lightning.teach`."""

from dataclasses import dataclass

from fer_lightning.config.settings import Settings, setting


@dataclass(frozen=True, kw_only=True)
class TeachSettings(Settings):
    """Settings of a teacher file."""

    runs: list[str] = setting(
        comment="list of folders of finished runs with data.split=training_fold, at least one run for every fold; "
        "folders of evaluations in them (RUN/evaluation/TTA) and patterns are also allowed",
        path=True,
    )
    out: str = setting("teacher.npz", "file to write, ending in .npz", path=True)
