"""A leak is found by the labels that a network repeats, and by its drop from Training rows to others."""

import numpy as np
import pytest

from fer_lightning.statistics.leak import find_leak, sentences

ROWS = 1000
LABELS = np.arange(ROWS) % 7
PLURALITY = np.where(np.arange(ROWS) % 10 < 6, LABELS, (LABELS + 1) % 7)  # FER+ disputes 40 % of the labels


def network(confirmed: float, disputed: float) -> np.ndarray:
    """Predictions that repeat these shares of the labels, and else choose the annotators' class or another one."""
    share = np.where(PLURALITY == LABELS, confirmed, disputed)
    repeats = np.random.default_rng(0).random(ROWS) < share
    return np.where(repeats, LABELS, np.where(PLURALITY == LABELS, (LABELS + 2) % 7, PLURALITY))


@pytest.mark.parametrize(
    ("confirmed", "disputed", "leaked"),
    [(0.82, 0.4, False), (0.92, 0.5, False), (0.92, 0.85, True), (0.3, 0.05, False)],
)
def test_a_network_that_repeats_disputed_labels_has_seen_them(confirmed, disputed, leaked):
    found = find_leak(LABELS, network(confirmed, disputed), PLURALITY)
    assert found["leaked"] is leaked
    assert found["repeated"]["disputed"]["value"] == pytest.approx(disputed, abs=0.05)
    assert sentences(found)[0].startswith("LEAKED" if leaked else "No sign")


def test_without_votes_only_a_drop_speaks_for_a_network():
    good, bad = network(0.9, 0.9), network(0.7, 0.7)
    assert find_leak(LABELS, bad, None)["leaked"] is None
    assert find_leak(LABELS, bad, None, (LABELS, good))["leaked"] is False
    level = find_leak(LABELS, good, None, (LABELS, good))
    assert level["leaked"] is None
    assert level["drop"]["low"] < 0 < level["drop"]["high"]
    assert "on both kinds of rows or on neither" in sentences(level)[-1]


def test_few_rows_decide_nothing():
    for votes in (PLURALITY[:40], np.full(40, -1)):
        found = find_leak(LABELS[:40], LABELS[:40], votes)
        assert found["leaked"] is None
        assert "nan" not in " ".join(sentences(found))
