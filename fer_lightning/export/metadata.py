"""What an exported file says about itself: enough to cut out, label and judge faces without the run that it comes from."""

import json
from dataclasses import asdict, dataclass, fields
from typing import Any

FORMAT = 1
KEY = "fer_lightning"  # of the ONNX file's metadata


@dataclass(frozen=True)
class Metadata:
    """Kept as one JSON object in the ONNX file's metadata.

    name          of the run, in words a user knows: "fer2013_cpu/seed-0"
    taxonomy      as in labels.py; `classes` in the order of the probabilities
    crop          the crop rule: {"side_of_height": 0.92, "side": 48, "filter": "area", "grey": "BT.601"}
    network       {"model", "stn", "input_size", "parameters"}
    data          {"name", "checksum", "split", "split_checksum"} of what it was trained and judged on
    metrics       {"test": {"acc", "f1_macro", "recall_mean"}, "val": {...}}, shares from 0 to 1; what is unknown is absent
    recall        {class: share of its test rows that were found, or None}
    confusion     K x K counts of test rows, true class by predicted class; None where the run has no test rows
    commit        of the code that exported it; `exported`: when, ISO 8601
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
    format: int = FORMAT

    def to_json(self) -> str:
        return json.dumps(asdict(self), allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> "Metadata":
        """ValueError where this is none of ours, or of another format, in words that follow 'its metadata ...'."""
        raise NotImplementedError
