"""Settings of `python -m fer_lightning.evaluate`."""

from dataclasses import dataclass
from typing import Literal

from fer_lightning.config.settings import Settings, nested, setting

EVALUATE = "python -m fer_lightning.evaluate"
TTA = Literal["none", "flip", "shift", "ten_crop"]  # sets of views: see `evaluation.tta`


@dataclass(frozen=True, kw_only=True)
class OtherData(Settings):
    """Another data set on which a run is evaluated."""

    root: str | None = setting(
        None,
        "folder of the store of another data set, on which the run is evaluated, with classes matched by name; null: "
        "the data set of the run",
        path=True,
    )


@dataclass(frozen=True, kw_only=True)
class EvaluateSettings(Settings):
    """Settings of an evaluation."""

    run: str | None = setting(
        None, "folder of the run whose best.ckpt is evaluated; null: predictions names a file", path=True
    )
    model: str | None = setting(
        None, "exported file (.onnx) to evaluate on the rows of the run; null: best.ckpt of the run", path=True
    )
    tta: TTA = setting("none", "views of a face whose probabilities are averaged")
    rows: Literal["test", "val"] = setting(
        "test",
        "rows to evaluate; test: each evaluation is counted as a read of them; "
        "val: validation rows, for the choice of views and of ensemble members",
    )
    data_root: str | None = setting(
        None,
        "folder of the store of faces; null: the store that the run was trained on, or with predictions $FER2013_ROOT "
        "or data/fer2013",
        path=True,
    )
    data: OtherData = nested(OtherData)
    device: Literal["auto", "cpu", "cuda"] = setting(
        "auto", "device that runs the network; auto: the first GPU if there is one"
    )
    threads: int | None = setting(None, "CPU threads of torch; null: same number as in the run", minimum=1)
    card: bool = setting(
        False, "with model: also write the test metrics into the file and its model card, instead of the checkpoint's"
    )
    predictions: str | None = setting(
        None,
        "file of another program with a probability per row and class, .npy or .csv; null: run names a run",
        path=True,
    )
    order: Literal["store", "csv"] = setting(
        "store", "order of the rows in predictions and training; csv: that of the file from which the store was read"
    )
    training: str | None = setting(
        None,
        "like predictions, for the Training rows; adds a comparison to the leak test; null: no such file",
        path=True,
    )
    against: list[str] = setting(
        factory=list, comment="runs that predictions is compared with, paired by row", path=True
    )
    out: str | None = setting(None, "folder for the results of predictions; null: they are only printed", path=True)
