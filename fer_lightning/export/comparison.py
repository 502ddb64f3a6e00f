"""Comparison of an exported file with its checkpoint, and its calibration. Imports no torch."""

from collections.abc import Callable
from typing import Any

import numpy as np

from fer_lightning.errors import UserError
from fer_lightning.export.described import ComparisonFaces
from fer_lightning.statistics.calibration import accuracy_by_confidence
from fer_lightning.statistics.metrics import RowOutcomes

BATCH = 100  # faces per call
LARGEST_DIFFERENCE = 1e-4  # of a probability, if the weights are stored as float32
# For weights that are not stored as float32:
LEAST_EQUAL_LABELS = {"float16": 0.99, "int8": 0.99, "codebook4": 0.95}  # share of the faces
LEAST_REFUSED_LOSS = 0.003  # accuracy on validation rows
MORE_PRECISE = {"codebook4": "int8", "int8": "float16", "float16": "float32"}
CALIBRATION_METRICS = ("acc", "ece", "ce")


def predict_probabilities(recognise: Callable[[np.ndarray], np.ndarray], pixels: np.ndarray) -> np.ndarray:
    """Return probabilities float32 (N, K) of faces uint8 (N, S, S) or (N, S, S, 3), computed in batches."""
    starts = range(0, len(pixels), BATCH)
    return np.concatenate([recognise(np.ascontiguousarray(pixels[start : start + BATCH])) for start in starts])


def compare_with_checkpoint(
    file: np.ndarray, checkpoint: np.ndarray, faces: ComparisonFaces, form: str
) -> dict[str, Any]:
    """Return `Metadata.checked` from the probabilities (N, K) of both. Raise UserError if they differ too much.

    file        probabilities of the exported file
    checkpoint  probabilities of the checkpoint at the temperature of the file
    form        format of the file's weights: float32, float16, int8 or codebook4
    """
    difference = float(np.abs(file - checkpoint).max())
    equal = float((file.argmax(axis=1) == checkpoint.argmax(axis=1)).mean())
    if not np.isfinite(difference) or (form == "float32" and difference > LARGEST_DIFFERENCE):
        raise UserError(
            f"the exported file's probabilities differ by up to {difference:.2g} from the checkpoint's on "
            f"{len(file):,} faces, but only {LARGEST_DIFFERENCE:g} is allowed. The file was not kept. This is a fault "
            "of this program or of its libraries. Report it with env.txt of the run."
        )
    least = LEAST_EQUAL_LABELS.get(form, 0)
    if equal < least:
        raise UserError(
            f"weights={form}: the file's label differs from the checkpoint's on {100 * (1 - equal):.1f} % of "
            f"{len(file):,} faces, but only {100 * (1 - least):.0f} % is allowed. The file was not kept. "
            f"Use weights={MORE_PRECISE[form]}."
        )
    return {"faces": len(file), "words": faces.words, "difference": difference, "equal_labels": equal}


def calibration(file: np.ndarray, checkpoint: np.ndarray, labels: np.ndarray) -> dict[str, Any] | None:
    """Return `Metadata.calibration` from the probabilities (V, K) of both on validation rows; None without rows.

    checkpoint  probabilities of the checkpoint at temperature 1
    labels      class indices int64 (V,)
    """
    if not len(labels):
        return None
    metrics = RowOutcomes.of(labels, checkpoint, file).metrics(CALIBRATION_METRICS)
    before, after = ({name: float(both[index]) for name, both in metrics.items()} for index in (0, 1))
    return {
        "rows": len(labels),
        "before": before,
        "after": after,
        "by_confidence": accuracy_by_confidence(file, labels),
    }


def refuse_loss_of_accuracy(calibration: dict[str, Any] | None, form: str) -> None:
    """Raise UserError if smaller weights lower the accuracy on the validation rows by 0.3 points or more."""
    if calibration is None or form == "float32":
        return
    before, after = calibration["before"]["acc"], calibration["after"]["acc"]
    if round(before - after, 6) >= LEAST_REFUSED_LOSS:
        raise UserError(
            f"weights={form}: the accuracy on {calibration['rows']:,} validation rows falls from {100 * before:.2f} % "
            f"to {100 * after:.2f} %, but it must fall by less than {100 * LEAST_REFUSED_LOSS:.1f} points. The file "
            f"was not kept. Use weights={MORE_PRECISE[form]}."
        )
