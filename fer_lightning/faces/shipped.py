"""Network that is installed with the package. Commands and FaceReader use it if no other file is named."""

from pathlib import Path

from fer_lightning.errors import UserError
from fer_lightning.paths import WEIGHTS

SHIPPED = "shipped"  # value of a key `model` that means this network
MODEL = WEIGHTS / "face.onnx"
CARD = WEIGHTS / "face_card.md"


def existing_model(model: str | None) -> str | None:
    """Return the path of a model; None if the package's network is meant and this version has none."""
    if model == SHIPPED:
        return str(MODEL) if MODEL.is_file() else None
    return model


def model_path(model: str) -> Path:
    """Return the path of a model. Raise UserError if the package's network is meant and this version has none."""
    path = existing_model(model)
    if path is None:
        raise UserError(
            f"model={SHIPPED}: this version has no network of its own. Give an exported file: model=face.onnx. "
            "python -m fer_lightning.export run=PATH writes one."
        )
    return Path(path)
