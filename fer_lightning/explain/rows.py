"""Choice of the faces that are explained. This module does not import torch."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class ChosenRows:
    """F faces of one class, all right or all wrong, the surest first.

    label  class index of their label
    right  True if the network predicts this class
    rows   indices int64 (F,) into the probabilities
    """

    label: int
    right: bool
    rows: np.ndarray


def surest(probabilities: np.ndarray, labels: np.ndarray, per_class: int, images: np.ndarray) -> list[ChosenRows]:
    """Return the rows with the highest confidence, for each class first the right and then the wrong ones.

    probabilities (N, K), labels (N,) class indices. images (N,) int, equal for copies: a choice has one of them. A
    choice without rows is left out.
    """
    confidence, predicted = probabilities.max(axis=1), probabilities.argmax(axis=1)
    order = np.argsort(-confidence, kind="stable")
    chosen = []
    for label in range(probabilities.shape[1]):
        of_class = order[labels[order] == label]
        for right in (True, False):
            rows = of_class[(predicted[of_class] == label) == right]
            rows = rows[np.sort(np.unique(images[rows], return_index=True)[1])][:per_class]
            chosen.extend([ChosenRows(label, right, rows)] if len(rows) else [])
    return chosen
