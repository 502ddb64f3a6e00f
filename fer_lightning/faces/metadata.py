"""Metadata of an exported file: enough to crop, label and judge faces without the run."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

from fer_lightning.faces.crop import FILTER, SIDE_OF_HEIGHT
from fer_lightning.faces.face import SIDE
from fer_lightning.faces.image_form import ImageForm
from fer_lightning.labels import TAXONOMIES
from fer_lightning.statistics.calibration import TEMPERATURES

if TYPE_CHECKING:
    import onnx

FORMAT = 2  # 2: weights, temperature, checked, calibration
KEY = "fer_lightning"  # of the ONNX file's metadata
SEAL = "fer_lightning_sha256"  # key of the SHA-256 of the file, computed with UNSEALED in its place
UNSEALED = "the SHA-256 of this file, computed with these 64 characters here"  # as long as a SHA-256 in hex
MOST_ROWS = 10**9  # that a count can mean
MOST_NATS = 1000  # that a cross-entropy can mean
CROP = {"side_of_height": SIDE_OF_HEIGHT, "side": SIDE, "filter": FILTER, "grey": "BT.601"}
SIDES = range(1, 2049)  # pixels that the side of a face can have
DRAWN = "It learned from faces drawn by a program and is not valid for real faces."


@dataclass(frozen=True)
class Metadata:
    """Facts about an exported network, kept as one JSON object in the metadata of the ONNX file.

    name          name of the run as a user knows it: "fer2013_cpu/seed-0"
    taxonomy      as in labels.py; `classes` in the order of the probabilities
    crop          the crop rule: {"side_of_height": 0.92, "side": 48, "filter": "area", "grey": "BT.601"}; "grey" is
                  null for a network on RGB faces
    network       {"model", "stn", "input_size", "parameters"}; of an ensemble {"model", "parameters", "members"}, with
                  the same entries and "name", "seed", "commit", "test/acc" for each member; "tta": "flip" or
                  "shift" if the file averages several views of a face
    data          {"name", "checksum", "split", "split_checksum"} of what it was trained and judged on; "name" is the
                  taxonomy for FER2013's faces, "own" for other ones, "synthetic" for drawn ones; "tested": "file" if
                  the test metrics are those of the file, not of its checkpoint; "extra": True with `data.extra`
    metrics       {"test": {"acc", "f1_macro", "recall_mean"}, "val": {...}}, shares from 0 to 1; "test_clean"
                  of the rows without copies in training; what is unknown is absent
    recall        {class: share of its test rows that were found, or None}
    confusion     K x K counts of test rows, true class by predicted class; None where the run has no test rows
    commit        of the code that exported it; `exported`: when, ISO 8601
    weights       {"form": float32, float16, int8 or codebook4, "bytes": size of the stored arrays}; None until there is
                  a graph
    temperature   number by which the file divides the logits; 1 if no validation rows were at hand
    checked       {"faces": number, "words": which faces, "difference": largest one between a probability of the file
                  and of the checkpoint, "equal_labels": share}; None until the two are compared
    calibration   {"rows": validation rows, "before" and "after": {"acc", "ece", "ce"}, "by_confidence": [{"threshold",
                  "coverage", "accuracy"}]}; before: the checkpoint, after: the file; None without validation rows
    """

    name: str
    taxonomy: str
    classes: tuple[str, ...]
    crop: dict[str, Any]
    network: dict[str, Any]
    data: dict[str, Any]
    metrics: dict[str, dict[str, float]]
    recall: dict[str, float | None]
    confusion: tuple[tuple[int, ...], ...] | None
    commit: str
    exported: str
    weights: dict[str, Any] | None = None
    temperature: float = 1.0
    checked: dict[str, Any] | None = None
    calibration: dict[str, Any] | None = None
    format: int = FORMAT

    @property
    def form(self) -> ImageForm:
        """Size and color of the faces of the training. Raise ValueError if `crop` does not state them."""
        if self.crop.get("side") not in SIDES:
            raise ValueError("has an odd value at 'crop'")
        return ImageForm(self.crop["side"], self.crop.get("grey") is None)

    @property
    def caution(self) -> str:
        """Sentence about a model that must not be used for real faces; '' for other models."""
        return DRAWN if self.data.get("name") == "synthetic" else ""

    def to_json(self) -> str:
        return json.dumps(asdict(self), allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> "Metadata":
        """Return the parsed metadata. Raise ValueError with the end of a sentence that begins 'its metadata ...'."""
        try:
            values = json.loads(text)
        except (ValueError, RecursionError):
            raise ValueError("cannot be read as JSON") from None
        if not isinstance(values, dict):
            raise ValueError("is not a JSON object")
        if values.get("format") != FORMAT:
            raise ValueError(f"has format {values.get('format')!r}, and this version reads format {FORMAT}")
        names = {field.name for field in fields(cls)}
        if values.keys() != names:
            raise ValueError(f"lacks or adds keys: {', '.join(sorted(values.keys() ^ names))}")
        for name, fits in _FITS.items():
            if not fits(values[name]):
                raise ValueError(f"has an odd value at {name!r}")
        metadata = cls(**values | {"classes": tuple(values["classes"]), "confusion": _rows(values["confusion"])})
        _refuse_odd_classes(metadata)
        return metadata


def crop_rule(form: ImageForm) -> dict[str, Any]:
    """Return the crop rule for faces of this size and color."""
    return CROP | {"side": form.size, "grey": None if form.color else CROP["grey"]}


def embed(model: "onnx.ModelProto", metadata: Metadata) -> None:
    """Put the metadata into the model, in the place of any that it has."""
    for prop in [prop for prop in model.metadata_props if prop.key == KEY]:
        model.metadata_props.remove(prop)
    model.metadata_props.add(key=KEY, value=metadata.to_json())


def sealed(model: "onnx.ModelProto") -> bytes:
    """Return the bytes of the model's file, with the SHA-256 of all of them, so that `is_damaged` finds any change."""
    for prop in [prop for prop in model.metadata_props if prop.key == SEAL]:
        model.metadata_props.remove(prop)
    model.metadata_props.add(key=SEAL, value=UNSEALED)
    content = model.SerializeToString()
    del model.metadata_props[-1]
    return content.replace(UNSEALED.encode(), hashlib.sha256(content).hexdigest().encode())


def is_damaged(model: "onnx.ModelProto", content: bytes) -> bool:
    """Return True if a file is not as it was sealed. A file of an earlier version has no seal, and is not damaged."""
    seals = [prop.value for prop in model.metadata_props if prop.key == SEAL]
    if not seals:
        return False
    unsealed = content.replace(seals[0].encode(), UNSEALED.encode(), 1) if len(seals[0]) == len(UNSEALED) else b""
    return hashlib.sha256(unsealed).hexdigest() != seals[0]


def _refuse_odd_classes(metadata: Metadata) -> None:
    """Labels are never guessed: the order is that of labels.py, and the tables beside it have its size."""
    taxonomy = TAXONOMIES.get(metadata.taxonomy)
    in_order = metadata.classes if taxonomy is None else tuple(c for c in taxonomy.classes if c in metadata.classes)
    if metadata.classes != in_order or len(set(metadata.classes)) != len(metadata.classes):
        raise ValueError(f"has the classes of {metadata.taxonomy} in another order, or others: {metadata.classes}")
    if set(metadata.recall) != set(metadata.classes):
        raise ValueError("has an odd value at 'recall': expected one share for each class")
    sizes = {len(metadata.classes), *(len(row) for row in metadata.confusion or ())}
    if metadata.confusion is not None and sizes != {len(metadata.confusion)}:
        raise ValueError("has an odd value at 'confusion': expected a row and a column for each class")


def _rows(confusion: list[list[int]] | None) -> tuple[tuple[int, ...], ...] | None:
    return None if confusion is None else tuple(tuple(row) for row in confusion)


def _is_text(value: Any) -> bool:
    """It is shown on terminals: no control characters."""
    return isinstance(value, str) and value.isprintable()


def _is_share(value: Any) -> bool:
    return type(value) in (int, float) and 0 <= value <= 1


def _is_nats(value: Any) -> bool:
    return type(value) in (int, float) and 0 <= value <= MOST_NATS


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value <= MOST_ROWS


def _is_object(value: Any, fits: Callable[[Any], bool] = lambda value: True) -> bool:
    return isinstance(value, dict) and all(fits(part) for part in value.values())


def _has(value: Any, **fits: Callable[[Any], bool]) -> bool:
    """Return True if `value` is an object with exactly these keys, whose values fit."""
    return isinstance(value, dict) and value.keys() == fits.keys() and all(fits[key](value[key]) for key in fits)


def _is_list(value: Any, fits: Callable[[Any], bool]) -> bool:
    return isinstance(value, list) and all(fits(part) for part in value)


def _is_checked(value: Any) -> bool:
    return _has(value, faces=_is_count, words=_is_text, difference=_is_share, equal_labels=_is_share)


def _is_calibration(value: Any) -> bool:
    return _has(
        value,
        rows=_is_count,
        before=_are_figures,
        after=_are_figures,
        by_confidence=lambda entries: _is_list(entries, _is_threshold),
    )


def _are_figures(value: Any) -> bool:
    return _has(value, acc=_is_share, ece=_is_share, ce=_is_nats)


def _is_threshold(value: Any) -> bool:
    return _has(
        value, threshold=_is_share, coverage=_is_share, accuracy=lambda share: share is None or _is_share(share)
    )


_FITS: dict[str, Callable[[Any], bool]] = {
    **dict.fromkeys(("name", "taxonomy", "commit", "exported"), _is_text),
    **dict.fromkeys(("crop", "network", "data"), _is_object),
    "classes": lambda value: _is_list(value, _is_text),
    "metrics": lambda value: _is_object(value, lambda part: _is_object(part, _is_share)),
    "recall": lambda value: _is_object(value, lambda part: part is None or _is_share(part)),
    "confusion": lambda value: value is None or _is_list(value, lambda row: _is_list(row, _is_count)),
    "weights": lambda value: _has(value, form=_is_text, bytes=_is_count),
    "temperature": lambda value: type(value) in (int, float) and TEMPERATURES[0] <= value <= TEMPERATURES[1],
    "checked": lambda value: value is None or _is_checked(value),
    "calibration": lambda value: value is None or _is_calibration(value),
}
