"""Training targets: class probabilities from FER+ votes, from a teacher, or estimated from both."""

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax

from fer_lightning.data import ferplus
from fer_lightning.data.label_kinds import FROM_VOTES
from fer_lightning.data.store import HOW_TO_ADD_VOTES, WITHOUT_VOTES
from fer_lightning.data.table import FaceTable
from fer_lightning.data.teacher import Teacher, teacher_probabilities
from fer_lightning.errors import UserError

PENALTY = 1e-4  # on squared weights; they stay finite if the votes identify a class without error
FLOOR = 1e-4  # smallest probability of a teacher whose logarithm is taken


def soft_targets(
    table: FaceTable,
    rows: np.ndarray,
    labels: str,
    *,
    teacher: Teacher | None = None,
    share: float = 0.7,
    temperature: float = 1.0,
) -> np.ndarray:
    """Return float32 (N, K), the targets of the training `rows`; other rows have their label.

    Without a teacher, a row without votes keeps its label, too: for example each row of data.extra.

    labels       ferplus_soft      shares of the FER+ votes
                 ferplus_estimate  `share` of the label's probabilities given the votes, and the rest of the label
                 teacher           `share` of the teacher's probabilities, and the rest of the label
                 ferplus_teacher   `share` of the label's probabilities given the votes and the teacher's
                                   probabilities, and the rest of the label
    temperature  1 keeps the teacher's probabilities, more makes them flatter: they are raised to 1 / temperature

    Raise UserError if the table has no votes, or the teacher has no probabilities for one of the rows.
    """
    if labels in FROM_VOTES and table.votes is None:
        raise UserError(f"data.labels={labels}: the data has no FER+ votes. {HOW_TO_ADD_VOTES} {WITHOUT_VOTES}")
    targets = np.eye(len(table.classes), dtype=np.float32)[table.labels]
    if labels == "ferplus_soft":
        targets[rows] = ferplus.vote_shares(table.votes[rows], table.labels[rows], table.classes)
        return targets
    taught = teacher_probabilities(teacher, table, rows, temperature) if teacher else None
    if labels == "teacher":
        soft = taught
    else:
        soft = targets[rows]
        has_evidence = np.ones(len(rows), bool) if teacher else table.votes[rows].any(axis=1)
        if has_evidence.any():
            evidence = _evidence(table.votes[rows], taught)[has_evidence]
            soft[has_evidence] = estimated_labels(evidence, table.labels[rows][has_evidence], len(table.classes))
    targets[rows] = share * soft + (1 - share) * targets[rows]
    return targets


def _evidence(votes: np.ndarray, taught: np.ndarray | None) -> np.ndarray:
    """Return float64 (N, F): a constant, the vote shares with their roots, and the logarithms of the teacher."""
    shares = votes / np.maximum(votes.sum(axis=1, keepdims=True), 1)
    columns = [np.ones((len(votes), 1)), shares, np.sqrt(shares)]
    if taught is not None:
        columns.append(np.log(np.maximum(taught, FLOOR)))
    return np.concatenate(columns, axis=1)


def estimated_labels(evidence: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """Return float64 (N, classes), the probabilities of the labels (N,) given the evidence (N, F).

    They are those of a multinomial logistic regression that is fitted on these rows. It has F * classes weights, so
    with thousands of rows it cannot learn single labels by heart.
    """
    onehot = np.eye(classes)[labels]

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        weights = weights.reshape(-1, classes)
        log_probabilities = log_softmax(evidence @ weights, axis=1)
        value = -(onehot * log_probabilities).sum() / len(labels) + PENALTY * (weights**2).sum()
        gradient = evidence.T @ (np.exp(log_probabilities) - onehot) / len(labels) + 2 * PENALTY * weights
        return value, gradient.ravel()

    start = np.zeros(evidence.shape[1] * classes)
    fitted = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 1000})
    return softmax(evidence @ fitted.x.reshape(-1, classes), axis=1)
