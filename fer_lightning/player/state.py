"""What a player seems to be, from faces and from what they type: two channels, one log-linear pool.

Each channel i holds a centred log-likelihood m_i(s) of the states s, which fades on its own: what was seen or read once
speaks for less and less, and silence ends in "unknown", never in "neutral".

A look at a face with the model's probabilities q(c) of its classes c, whose shares among the faces that it learned from
were pi(c):

    l(s) = log sum_c P(c | s) q(c) / pi(c)                 q as virtual evidence (Pearl 1988, Probabilistic Reasoning)
    m_face <- m_face e^(-dt/tau) + (1 - e^(-d/tau)) g l    d = min(dt, LOOK), g: quality of the look, 0 to 1

l is centred (its mean over s is subtracted) and clipped to +-CLIP. m_face is thus the mean of l over about tau seconds:
looks follow each other too fast to be independent. `face_weight` says for how many independent looks that mean counts.
A look without a usable face (g = 0) adds nothing, so that m_face fades as when the camera is off.

A text is an event, not a signal: m_text <- clip(m_text e^(-dt/tau) + l), with l of `text.TextReader`.

The channels meet in a logarithmic opinion pool (Genest and Zidek 1986, Statistical Science 1:114) with an even prior:

    p(s) = exp(sum_i w_i m_i(s)) / Z
    confidence = (3 max p - 1) / 2             0 where p is even, 1 where it is sure
    the state is unknown where confidence < unknown_below

With nothing seen and nothing read p is even and the confidence 0. More evidence for a state never lowers its p.
"""

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np
import yaml

from fer_lightning.player.evidence import LOOK, STATES, Channel, Evidence, centred, softmax
from fer_lightning.player.text import reader

Name = Literal["frustrated", "bored", "engaged", "unknown"]
LEAST = 1e-6  # no likelihood is taken for smaller
RAREST = 0.005  # nor the share of a class: its every mention would count as proof
FADED = 0.1  # below it a channel, or a text, is no reason any more


@dataclass(frozen=True)
class PlayerState:
    """The estimate at one moment.

    name           one of STATES, or `unknown` where no channel says enough
    confidence     0 (nothing is known) to 1
    probabilities  of STATES, in that order, sum 1
    channels       weight of each channel, 0 (silent) to 1: {"face": 0.4, "text": 0.0}
    reasons        in words, the weightiest first
    """

    name: Name
    confidence: float
    probabilities: tuple[float, float, float]
    channels: dict[str, float]
    reasons: tuple[str, ...]


class StateEstimator:
    """One player's. Cheap enough to be asked after every frame.

    classes        of the face model, in the order of its probabilities; None: there is no model, and no face counts
    class_shares   pi, shares or counts of these classes among the faces that the model learned from; None: equal
    expressions    P(class | state) as state -> class -> share; None: expressions.yaml
    face_seconds   tau of the face channel; text_seconds that of the text channel
    face_weight    w of the face channel; text_weight that of the text channel
    unknown_below  least confidence for which a state is named, 0 to 1

    Times are seconds on any clock that starts anywhere. Where it goes back, time stands still for one call; a call
    at a time that is no number changes nothing.
    """

    def __init__(
        self,
        classes: Sequence[str] | None,
        *,
        class_shares: Sequence[float] | None = None,
        expressions: Mapping[str, Mapping[str, float]] | None = None,
        face_seconds: float = 6.0,
        text_seconds: float = 30.0,
        face_weight: float = 3.0,
        text_weight: float = 1.0,
        unknown_below: float = 0.25,
    ) -> None:
        self.classes = tuple(classes or ())
        self._ratios = _ratios(self.classes, class_shares, expressions or assumed_expressions())
        self._face = Channel(face_seconds, len(self.classes))
        self._text = Channel(text_seconds)
        self._weights = face_weight, text_weight
        self._unknown_below = unknown_below
        self._words: deque[tuple[float, tuple[str, ...]]] = deque(maxlen=3)
        self._looked = self._seen = -math.inf

    def see(self, now: float, probabilities: Sequence[float] | np.ndarray | None, *, quality: float = 1.0) -> None:
        """A look at the camera's picture.

        probabilities  (K,) of `classes`; None: no face, or none that can be judged
        quality        how far the look is to be trusted, 0 (a doubtful face: as none at all) to 1
        """
        if not math.isfinite(now):
            return
        quality = min(max(quality, 0.0), 1.0) if math.isfinite(quality) else 0.0
        seen = self._checked(probabilities) if quality > 0 else None
        if seen is None:
            self._face.fade(now)
        else:
            self._face.look(now, self._log_likelihood(seen), seen, quality)
            self._seen = now
        self._looked = now

    def forget_faces(self) -> None:
        """The player does not want to be looked at any more: nothing that was seen counts from here on."""
        self._face = Channel(self._face.tau, len(self.classes))
        self._looked = self._seen = -math.inf

    def read(self, now: float, text: str) -> None:
        """A text of the player, any length, any language; what says nothing changes nothing."""
        if not math.isfinite(now):
            return
        found = reader().read(text)
        if any(found.log_likelihood):
            self._text.add(now, found.log_likelihood)
            self._words.append((now, found.words))

    def estimate(self, now: float) -> PlayerState:
        """What the player seems to be at `now`, which may lie after the last look; asking changes nothing."""
        face_kept, text_kept = self._face.kept(now), self._text.kept(now)
        face, text = self._weights[0] * face_kept, self._weights[1] * text_kept
        pooled = [face * f + text * t for f, t in zip(self._face.mean, self._text.mean, strict=True)]
        probabilities = softmax(pooled)
        most = max(probabilities)
        confidence = min(max((3 * most - 1) / 2, 0.0), 1.0)
        place = probabilities.index(most)
        known = confidence >= self._unknown_below
        return PlayerState(
            name=STATES[place] if known else "unknown",
            confidence=confidence,
            probabilities=probabilities,
            channels={"face": self._face.coverage * face_kept, "text": self._text.coverage * text_kept},
            reasons=self._reasons(now, place if known else None, face, text),
        )

    def _checked(self, probabilities: Sequence[float] | np.ndarray | None) -> list[float] | None:
        """As plain numbers that add up to 1; None where they are no such thing."""
        if probabilities is None or len(probabilities) != len(self.classes):
            return None
        values = probabilities.tolist() if isinstance(probabilities, np.ndarray) else probabilities
        total = math.fsum(values)
        if not (math.isfinite(total) and total > 0 and min(values) >= 0):
            return None
        return [value / total for value in values]

    def _log_likelihood(self, probabilities: list[float]) -> Evidence:
        frustrated = bored = engaged = LEAST
        for q, (f, b, e) in zip(probabilities, self._ratios, strict=True):
            frustrated += q * f
            bored += q * b
            engaged += q * e
        return centred((math.log(frustrated), math.log(bored), math.log(engaged)))

    def _reasons(self, now: float, place: int | None, face: float, text: float) -> tuple[str, ...]:
        """The channels' reasons, first of the one that speaks loudest for the state at `place`, or for any."""
        told = [
            (face * _voice(self._face.mean, place), self._face_reasons(now, place)),
            (text * _voice(self._text.mean, place), self._text_reasons(now)),
        ]
        told.sort(key=lambda part: -part[0])
        return (*told[0][1], *told[1][1]) or ("nothing seen or read yet",)

    def _face_reasons(self, now: float, place: int | None) -> list[str]:
        reasons = []
        coverage = self._face.coverage * self._face.kept(now)
        if coverage > FADED:
            shares = [share / self._face.coverage for share in self._face.shares]
            weights = (
                shares if place is None else [q * r[place] / sum(r) for q, r in zip(shares, self._ratios, strict=True)]
            )
            shown = max(range(len(weights)), key=weights.__getitem__)
            reasons.append(
                f"face: {self.classes[shown]} {shares[shown]:.0%} over the last {self._face.tau:g} s".replace("%", " %")
            )
        if now - self._looked <= 2 * LOOK < now - self._seen:
            since = now - self._seen
            reasons.append(f"no clear face for {since:.0f} s" if math.isfinite(since) else "no clear face so far")
        return reasons

    def _text_reasons(self, now: float) -> list[str]:
        reasons = []
        for time, words in reversed(self._words):
            ago = max(now - time, 0.0)
            if math.exp(-ago / self._text.tau) >= FADED:
                said = ", ".join(f"“{word}”" for word in words[:3])
                reasons.append(f"you wrote {said}" + (f" {ago:.0f} s ago" if ago >= 1.5 else ""))
        return reasons


@cache
def assumed_expressions() -> dict[str, dict[str, float]]:
    """`expressions.yaml`: state -> class -> share."""
    return yaml.safe_load((Path(__file__).parent / "expressions.yaml").read_text(encoding="utf-8"))


def expression_shares(
    classes: Sequence[str], expressions: Mapping[str, Mapping[str, float]]
) -> dict[str, tuple[float, ...]]:
    """P(class | state) of a model's classes (K,), summing to 1; a class that the table lacks has 1/K in each state."""
    even = 1 / max(len(classes), 1)
    rows = {}
    for state in STATES:
        known = sum(expressions[state].get(name, 0.0) for name in classes)
        left = even * sum(name in expressions[state] for name in classes)
        rows[state] = tuple(
            expressions[state][name] / known * left if name in expressions[state] else even for name in classes
        )
    return rows


def _ratios(
    classes: Sequence[str], class_shares: Sequence[float] | None, expressions: Mapping[str, Mapping[str, float]]
) -> list[Evidence]:
    """P(class | state) / pi(class) as (K, 3)."""
    rows = expression_shares(classes, expressions)
    counts = [1.0] * len(classes) if class_shares is None else [float(share) for share in class_shares]
    if len(counts) != len(classes) or not all(math.isfinite(count) and count >= 0 for count in counts):
        raise ValueError(f"{len(classes)} classes with shares {class_shares}: expected one of each, 0 or more")
    total = sum(counts)
    shares = [max(count / total, RAREST) if total else 1 / len(counts) for count in counts]
    return [tuple(rows[state][place] / share for state in STATES) for place, share in enumerate(shares)]


def _voice(evidence: Evidence, place: int | None) -> float:
    """How much it says for the state at `place`, or for any."""
    return max(evidence) if place is None else evidence[place]
