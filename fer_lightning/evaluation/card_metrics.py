"""Test metrics in the metadata and the model card of an exported file: those of its checkpoint, or the file's own."""

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fer_lightning.errors import UserError
from fer_lightning.evaluation.card import write_card
from fer_lightning.faces.metadata import embed, sealed
from fer_lightning.files import write_atomically
from fer_lightning.statistics.metrics import LABEL_METRICS, per_class

if TYPE_CHECKING:
    import numpy as np

    from fer_lightning.evaluation.predictions import Predictions
    from fer_lightning.faces.face_model import FaceModel

NAMES = {"test": "all", "test_clean": "clean"}  # rows in the metadata, and in an evaluation


def card_metrics(
    metrics: Mapping[str, Any], confusion: "np.ndarray | None", classes: tuple[str, ...]
) -> dict[str, dict[str, Any] | tuple[tuple[int, ...], ...] | None]:
    """Return `Metadata.metrics`, `recall` and `confusion` of an evaluation of test rows.

    metrics    {"all": {"acc": {"value": 0.67}}, "clean": ...}; {} if no test row was evaluated
    confusion  counts int64 (K, K), true class by predicted class; None if they are unknown
    """
    values = {
        rows: {name: (metrics.get(key, {}).get(name) or {}).get("value") for name in LABEL_METRICS}
        for rows, key in NAMES.items()
    }
    recall = [math.nan] * len(classes) if confusion is None else per_class(confusion)["recall"].tolist()
    return {
        "metrics": drop_missing(values),
        "recall": {name: None if math.isnan(share) else share for name, share in zip(classes, recall, strict=True)},
        "confusion": None if confusion is None else tuple(tuple(row) for row in confusion.tolist()),
    }


def drop_missing(values: Mapping[str, Mapping[str, float | None]]) -> dict[str, dict[str, float]]:
    """Return the metrics by rows without the missing ones."""
    by_rows = {rows: {name: one for name, one in of.items() if one is not None} for rows, of in values.items()}
    return {rows: metrics for rows, metrics in by_rows.items() if metrics}


def write_test_metrics(model: "FaceModel", predictions: "Predictions", metrics: Mapping[str, Any]) -> Path:
    """Replace the test metrics in a file's metadata and model card by the file's own, and return the card's path.

    predictions, metrics  evaluation of the file on the test rows of its run

    Raise UserError if the file was replaced after the evaluation began.
    """
    import onnx

    if model.replaced():
        raise UserError(
            f"card=true: {model.path} was replaced during its evaluation, so the metrics were not written into it. "
            "Evaluate the new file."
        )
    graph, metadata = onnx.load(model.path), model.metadata
    own = card_metrics(metrics, predictions.confusion(), metadata.classes)
    own["metrics"] = metadata.metrics | own["metrics"]
    metadata = replace(metadata, data=metadata.data | {"tested": "file"}, **own)
    embed(graph, metadata)
    write_atomically(model.path, sealed(graph))
    return write_card(model.path, metadata)
