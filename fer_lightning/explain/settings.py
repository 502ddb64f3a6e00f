"""Settings of `python -m fer_lightning.explain`."""

from dataclasses import dataclass
from typing import Literal

from fer_lightning.config.settings import Settings, setting


@dataclass(frozen=True, kw_only=True)
class ExplainSettings(Settings):
    """Settings of an explanation."""

    run: str = setting(comment="folder of the run whose best.ckpt is explained", path=True)
    model: str | None = setting(
        None,
        "exported file (.onnx) to explain on the rows of the run, by occlusion only; null: best.ckpt of the run",
        path=True,
    )
    rows: Literal["val", "train", "test"] = setting(
        "val", "rows to choose faces from; test: each explanation is counted as a read of the test rows"
    )
    per_class: int = setting(2, "surest right rows, and surest wrong rows, of each class", minimum=1, maximum=20)
    square: int | None = setting(
        None,
        "side in pixels of the square that occlusion hides, at most half the side of the faces; null: a sixth of it",
        minimum=2,
        maximum=256,
    )
    out: str | None = setting(None, "folder of the page; null: RUN/explain/ROWS, or RUN/explain/ROWS_MODEL", path=True)
    pictures: bool = setting(
        True, "false: no faces, only maps averaged over the chosen faces of a class, so that you may publish the page"
    )
    data_root: str | None = setting(
        None, "folder of the store of faces; null: the store that the run was trained on", path=True
    )
    device: Literal["auto", "cpu", "cuda"] = setting(
        "auto", "device that runs the network; auto: the first GPU if there is one"
    )
