"""Sensors for a simulated player: a camera with the measured mistakes of a model, and typed texts."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from pathlib import Path

import numpy as np
import yaml

from fer_lightning.player.evidence import STATES
from fer_lightning.simulate.people import Person
from fer_lightning.simulate.settings import People


@dataclass(frozen=True)
class Recognition:
    """Face model, described by its confusion matrix.

    classes  K classes
    shares   (K,) shares of the true classes
    given    (K, K) cumulative P(label | true class), one row per true class
    says     (K, K) P(true class | label), one row per label; it serves as the model's output
    """

    classes: tuple[str, ...]
    shares: list[float]
    given: list[list[float]]
    says: list[list[float]]


def recognition(classes: Sequence[str], confusion: Sequence[Sequence[int]], mistakes: float = 1.0) -> Recognition:
    """Return the model of a confusion matrix (true class by label). Only a share `mistakes` of its errors happens."""
    counts = np.asarray(confusion, float)
    rows = counts.sum(axis=1)
    rates = np.divide(counts, rows[:, None], out=np.eye(len(rows)), where=rows[:, None] > 0)
    rates = mistakes * rates + (1 - mistakes) * np.eye(len(rows))
    shares = rows / rows.sum()
    joint = rates * np.maximum(shares, 1e-6)[:, None]
    labels = joint.sum(axis=0)
    says = np.divide(joint, labels, out=np.zeros_like(joint), where=labels > 0).T
    return Recognition(tuple(classes), shares.tolist(), rates.cumsum(axis=1).tolist(), says.tolist())


class Camera:
    """Camera of one player, one look per second: expressions last, wrong labels persist, the face may be absent."""

    def __init__(self, people: People, person: Person, model: Recognition) -> None:
        self._people, self._draws, self._model = people, person.draws, model
        self._shown = [list(accumulate(row)) for row in person.expressions]
        self._expression = self._label = -1
        self._lost = False

    def look(self, second: int, state: int) -> tuple[list[float] | None, float]:
        """Return the model's probabilities, None without a face, and the quality of the look."""
        people, draws = self._people, self._draws
        if self._expression < 0 or draws["show"][second] < 1 / people.expression_seconds:
            self._expression = _drawn(self._shown[state], draws["expression"][second])
            self._label = -1
        if self._label < 0 or draws["mistake"][second] < 1 / people.mistaken_seconds:
            self._label = _drawn(self._model.given[self._expression], draws["label"][second])
        leave = 1 / people.face_lost_seconds
        come = leave * people.face_lost / (1 - people.face_lost)
        self._lost = draws["presence"][second] < (1 - leave if self._lost else come)
        if self._lost:
            return None, 0.0
        return self._model.says[self._label], float(draws["doubt"][second] >= people.face_doubtful)


def written(people: People, person: Person, second: int, state: int) -> str | None:
    """Return the text that the player types in this second, or None. It is about the state, misleading, or chat."""
    draws = person.draws
    if draws["write"][second] >= person.texts_per_minute / 60:
        return None
    topic = draws["about"][second]
    pools = texts()
    if topic < people.texts_about_state:
        pool = pools[STATES[state]]
    elif topic < people.texts_about_state + people.texts_misleading:
        others = [name for name in STATES if name != STATES[state]]
        pool = pools[others[int(draws["other"][second] * len(others))]]
    else:
        pool = pools["chat"]
    return pool[int(draws["sentence"][second] * len(pool))]


@cache
def texts() -> dict[str, list[str]]:
    """Return `texts.yaml`: state or "chat" -> sentences."""
    return yaml.safe_load((Path(__file__).parent / "texts.yaml").read_text(encoding="utf-8"))


def _drawn(cumulative: list[float], uniform: float) -> int:
    for index, bound in enumerate(cumulative):
        if uniform < bound:
            return index
    return len(cumulative) - 1
