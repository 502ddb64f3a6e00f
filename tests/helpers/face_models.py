"""A small ONNX file like those of `python -m fer_lightning.export`, drawn by hand: no run and no torch behind it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from fer_lightning.faces.metadata import CROP, Metadata, embed
from fer_lightning.labels import TAXONOMIES

ROWS = 100  # test rows of each class that its metadata claims


def drawn_model(path: Path, taxonomy: str = "fer2013", *, temperature: float = 1.0, **changes: Any) -> Path:
    """Write a model of faces uint8 (N, H, W, C) whose probabilities follow from a crop's mean brightness; -> `path`.

    The grey levels fall into K equal bands, from dark to bright, one for each class in the taxonomy's order. A class's
    logit is -d^2 with d the distance of the mean from the middle of its band, in half bands: in the middle of a band
    its class has 0.96 and more, at an edge the two neighbours have 0.49 each. `crop_of` makes a crop for a class.

    temperature  divides the logits
    changes      fields of the metadata to be other than plausible
    """
    classes = TAXONOMIES[taxonomy].classes
    half_band = 255 / len(classes) / 2
    middles = np.array([[half_band * (2 * place + 1) for place in range(len(classes))]], np.float32)
    nodes = [
        helper.make_node("Cast", ["faces"], ["levels"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["levels", "axes"], ["sums"], keepdims=0),
        helper.make_node("Unsqueeze", ["sums", "last"], ["mean"]),
        helper.make_node("Sub", ["mean", "middles"], ["away"]),
        helper.make_node("Div", ["away", "half_band"], ["distance"]),
        helper.make_node("Mul", ["distance", "distance"], ["square"]),
        helper.make_node("Neg", ["square"], ["sharp"]),
        helper.make_node("Div", ["sharp", "temperature"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    constants = {
        "axes": np.array([1, 2, 3], np.int64),
        "last": np.array([1], np.int64),
        "middles": middles,
        "half_band": np.array(half_band, np.float32),
        "temperature": np.array(temperature, np.float32),
    }
    graph = helper.make_graph(
        nodes,
        "drawn",
        [helper.make_tensor_value_info("faces", TensorProto.UINT8, ["N", "H", "W", "C"])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", len(classes)])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    embed(model, replace(drawn_metadata(taxonomy), temperature=temperature, **changes))
    onnx.checker.check_model(model, full_check=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, path)
    return path


def drawn_metadata(taxonomy: str = "fer2013") -> Metadata:
    """Confusion of a network that is right in 70 of 100 rows of each class, and predicts the next class in 20."""
    classes = TAXONOMIES[taxonomy].classes
    confusion = np.full((len(classes), len(classes)), 0)
    for row in range(len(classes)):
        confusion[row, row], confusion[row, (row + 1) % len(classes)] = 70, 20
        confusion[row, (row + 3) % len(classes)] = 10
    metrics = {"acc": 0.7, "f1_macro": 0.7, "recall_mean": 0.7}
    return Metadata(
        name="drawn/seed-0",
        taxonomy=taxonomy,
        classes=classes,
        crop=CROP,
        network={"model": "drawn", "stn": "none", "input_size": 48, "parameters": 0},
        data={"name": "drawn", "checksum": "0" * 64, "split": "official", "split_checksum": "1" * 64},
        metrics={"test": metrics, "val": metrics},
        recall=dict.fromkeys(classes, 0.7),
        confusion=tuple(tuple(row) for row in confusion.tolist()),
        commit="2" * 40,
        exported="2026-11-23T12:00:00+00:00",
        weights={"form": "float32", "bytes": 52},
        temperature=1.0,
        checked={"faces": 1000, "words": "validation rows", "difference": 1e-6, "equal_labels": 1.0},
        calibration={
            "rows": 1000,
            "before": {"acc": 0.7, "ece": 0.11, "ce": 1.05},
            "after": {"acc": 0.7, "ece": 0.02, "ce": 0.95},
            "by_confidence": [
                {"threshold": 0.5, "coverage": 0.8, "accuracy": 0.79},
                {"threshold": 0.9, "coverage": 0.0, "accuracy": None},
            ],
        },
    )


def crop_of(label: str, taxonomy: str = "fer2013", *, side: int = 48) -> np.ndarray:
    """A crop, uint8 (side, side), that `drawn_model` takes for this class with a probability of 0.96 or more."""
    classes = TAXONOMIES[taxonomy].classes
    return np.full((side, side), round(255 * (classes.index(label) + 0.5) / len(classes)), np.uint8)
