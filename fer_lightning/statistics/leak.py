"""Signs that a network was trained on the rows that judge it. Imports no torch.

Repeated labels: on a part of the rows, most FER+ annotators choose another class than the label. A network that has
not seen the label of such a row can only guess it, so it repeats these labels far less often than confirmed ones. A
network that was trained on the rows repeats both kinds about equally often.

Drop: a network that was trained on Training rows, and not on the test rows, is less accurate on the test rows.
"""

from typing import Any

import numpy as np

from fer_lightning.statistics.significance import wilson

LEAST_ROWS = 50  # fewer rows of each kind decide nothing
LEAKED_RATIO = 0.75  # share of disputed labels that are repeated, divided by that of confirmed ones


def find_leak(
    labels: np.ndarray,
    predicted: np.ndarray,
    plurality: np.ndarray | None,
    training: tuple[np.ndarray, np.ndarray] | None = None,
) -> dict[str, Any]:
    """Return the signs and a verdict: {"repeated": ..., "drop": ..., "leaked": True, False or None}.

    plurality  int (N,), class with the most FER+ votes, -1 if no class has it; None without votes
    training   labels and predictions of the Training rows, if they are known

    `leaked` is None if the rows decide nothing.
    """
    repeated = None if plurality is None else repeated_labels(labels, predicted, plurality)
    drop = None if training is None else drop_after_training(*training, labels, predicted)
    leaked = None
    if repeated and min(repeated["disputed"]["rows"], repeated["confirmed"]["rows"]) >= LEAST_ROWS:
        leaked = repeated["disputed"]["low"] > LEAKED_RATIO * repeated["confirmed"]["high"]
    elif drop and drop["low"] > 0:
        leaked = False
    return {"repeated": repeated, "drop": drop, "leaked": leaked}


def repeated_labels(labels: np.ndarray, predicted: np.ndarray, plurality: np.ndarray) -> dict[str, dict[str, Any]]:
    """Return the shares of predicted labels: on rows whose label FER+ confirms, and on rows whose label it disputes."""
    voted, right = plurality >= 0, predicted == labels
    kinds = {"confirmed": plurality == labels, "disputed": voted & (plurality != labels)}
    return {name: share(right[rows]) for name, rows in kinds.items()}


def drop_after_training(
    train_labels: np.ndarray, train_predicted: np.ndarray, labels: np.ndarray, predicted: np.ndarray
) -> dict[str, Any]:
    """Return accuracy on Training rows minus that on the judged rows (Newcombe 1998, Stat. Med. 17:873, method 10)."""
    train, test = share(train_predicted == train_labels), share(predicted == labels)
    value = train["value"] - test["value"]
    low = value - np.hypot(train["value"] - train["low"], test["high"] - test["value"])
    high = value + np.hypot(train["high"] - train["value"], test["value"] - test["low"])
    return {"training": train, "judged": test, "value": value, "low": float(low), "high": float(high)}


def share(right: np.ndarray) -> dict[str, Any]:
    """Return the share of True of at least one row, with its 95 % interval."""
    rows, hits = len(right), int(right.sum())
    low, high = wilson(hits, rows)
    return {"rows": rows, "value": hits / rows if rows else float("nan"), "low": low, "high": high}


def sentences(finding: dict[str, Any]) -> list[str]:
    """Return the verdict and its reasons, one sentence each."""
    verdicts = {
        True: "LEAKED: this network was trained on the labels of these rows. Its metrics compare with nothing.",
        False: "No sign of a leak.",
        None: "Whether this network was trained on these rows cannot be judged.",
    }
    lines = [verdicts[finding["leaked"]]]
    repeated = finding["repeated"]
    if repeated and all(kind["rows"] for kind in repeated.values()):
        confirmed, disputed = repeated["confirmed"], repeated["disputed"]
        lines.append(
            f"It repeats {_percent(disputed)} of {disputed['rows']:,} labels that FER+ annotators dispute, and "
            f"{_percent(confirmed)} of {confirmed['rows']:,} that they confirm. A leak is reported if the first share "
            f"is more than {100 * LEAKED_RATIO:.0f} % of the second."
        )
    if drop := finding["drop"]:
        lines.append(
            f"Its accuracy is {_percent(drop['training'])} on Training rows, {100 * drop['value']:.1f} points "
            f"[{100 * drop['low']:.1f}, {100 * drop['high']:.1f}] above that on these rows."
        )
        if drop["low"] <= 0:
            lines.append("Without a drop, it was trained on both kinds of rows or on neither.")
    return lines


def _percent(entry: dict[str, Any]) -> str:
    return f"{100 * entry['value']:.1f} % [{100 * entry['low']:.1f}, {100 * entry['high']:.1f}]"
