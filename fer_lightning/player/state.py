"""Estimate the state of a player from faces and typed text: two channels, combined in one log-linear pool.

Each channel i holds a centred log-likelihood m_i(s) of the states s, which fades with time. Old evidence counts less
and less, so that without new evidence the state becomes "unknown", never "neutral".

A look at a face gives the model's probabilities q(c) of its classes c. pi(c) are the shares of these classes among the
faces from which the model learned:

    l(s) = log sum_c P(c | s) q(c) / pi(c)                 q as virtual evidence (Pearl 1988, Probabilistic Reasoning)
    m_face <- m_face e^(-dt/tau) + (1 - e^(-d/tau)) g l    d = min(dt, LOOK), g: quality of the look, 0 to 1

l is centred (its mean over s is subtracted) and clipped to +-CLIP. m_face is thus the mean of l over about tau seconds:
successive looks are not independent. `face_weight` is the number of independent looks that this mean counts for.
A look without a usable face (g = 0) adds nothing, so that m_face fades as if the camera were off.

A text is an event, not a signal: m_text <- clip(m_text e^(-dt/tau) + l), with l of `text.TextReader`.

The channels are combined in a logarithmic opinion pool (Genest and Zidek 1986, Statistical Science 1:114) with an equal
prior for all states:

    p(s) = exp(sum_i w_i m_i(s)) / Z
    confidence = (3 max p - 1) / 2             0 if all p are equal, 1 if one state is certain
    the state is unknown if confidence < unknown_below

Without any face or text all p are equal and the confidence is 0. More evidence for a state never lowers its p.
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
from fer_lightning.player.settings import StateSettings
from fer_lightning.player.text import reader

Name = Literal["frustrated", "bored", "engaged", "unknown"]
LEAST = 1e-6  # smallest likelihood
RAREST = 0.005  # smallest share of a class; with a smaller one a single look would count as proof
FADED = 0.1  # smallest weight at which a channel or a text is still listed as a reason


@dataclass(frozen=True)
class PlayerState:
    """Estimated state at one moment.

    name           one of STATES, or `unknown` if there is too little evidence
    confidence     0 (no evidence) to 1
    probabilities  probabilities of STATES, in that order; their sum is 1
    channels       weight of each channel, 0 (no evidence) to 1: {"face": 0.4, "text": 0.0}
    reasons        phrases for the player, the strongest reason first
    """

    name: Name
    confidence: float
    probabilities: tuple[float, float, float]
    channels: dict[str, float]
    reasons: tuple[str, ...]


class StateEstimator:
    """Estimator of one player's state. It is fast enough to be called after every frame.

    classes        classes of the face model, in the order of its probabilities; None: no model, faces are not used
    class_shares   pi: shares or counts of these classes among the faces from which the model learned; None: equal
    expressions    P(class | state) as state -> class -> share; None: expressions.yaml
    settings       fields of StateSettings: face_seconds and text_seconds are tau of the two channels, face_weight and
                   text_weight are w

    Times are seconds of any clock. If the clock goes back, that call counts as no time; a call with a time that is
    NaN or infinite changes nothing.
    """

    def __init__(
        self,
        classes: Sequence[str] | None,
        *,
        class_shares: Sequence[float] | None = None,
        expressions: Mapping[str, Mapping[str, float]] | None = None,
        **settings: float,
    ) -> None:
        chosen = StateSettings(**settings)
        self.classes = tuple(classes or ())
        self._ratios = _ratios(self.classes, class_shares, expressions or assumed_expressions())
        self._face = Channel(chosen.face_seconds, len(self.classes))
        self._text = Channel(chosen.text_seconds)
        self._weights = chosen.face_weight, chosen.text_weight
        self._unknown_below = chosen.unknown_below
        self._words: deque[tuple[float, tuple[str, ...]]] = deque(maxlen=3)
        self._looked = self._seen = -math.inf

    def see(self, now: float, probabilities: Sequence[float] | np.ndarray | None, *, quality: float = 1.0) -> None:
        """Add one look at an image of the camera.

        probabilities  (K,) probabilities of `classes`; None: no face, or no usable face
        quality        trust in this look, 0 (an uncertain face, which counts like no face) to 1
        """
        if not math.isfinite(now):
            return
        quality = min(max(quality, 0.0), 1.0) if math.isfinite(quality) else 0.0
        seen = self._normalised(probabilities) if quality > 0 else None
        if seen is None:
            self._face.fade(now)
        else:
            self._face.look(now, self._log_likelihood(seen), seen, quality)
            self._seen = now
        self._looked = now

    def forget_faces(self) -> None:
        """Forget all faces, because the player has withdrawn the consent to the camera."""
        self._face = Channel(self._face.tau, len(self.classes))
        self._looked = self._seen = -math.inf

    def read(self, now: float, text: str) -> None:
        """Add a text of the player, of any length and language. A text without known phrases changes nothing."""
        if not math.isfinite(now):
            return
        reading = reader().read(text)
        if any(reading.log_likelihood):
            self._text.add(now, reading.log_likelihood)
            self._words.append((now, reading.words))

    def estimate(self, now: float) -> PlayerState:
        """Return the state at `now`, which may be later than the last look. This changes nothing."""
        face_kept, text_kept = self._face.kept(now), self._text.kept(now)
        face, text = self._weights[0] * face_kept, self._weights[1] * text_kept
        pooled = [face * f + text * t for f, t in zip(self._face.mean, self._text.mean, strict=True)]
        probabilities = softmax(pooled)
        most = max(probabilities)
        confidence = min(max((3 * most - 1) / 2, 0.0), 1.0)
        index = probabilities.index(most)
        is_sure = confidence >= self._unknown_below
        return PlayerState(
            name=STATES[index] if is_sure else "unknown",
            confidence=confidence,
            probabilities=probabilities,
            channels={"face": self._face.coverage * face_kept, "text": self._text.coverage * text_kept},
            reasons=self._reasons(now, index if is_sure else None, face, text),
        )

    def _normalised(self, probabilities: Sequence[float] | np.ndarray | None) -> list[float] | None:
        """Return the probabilities as numbers with sum 1, or None if they are not a valid distribution."""
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

    def _reasons(self, now: float, index: int | None, face: float, text: float) -> tuple[str, ...]:
        """Return the reasons of both channels, first of the channel with more evidence for STATES[index], or for any.

        None for `index` means any state.
        """
        channels = [
            (face * _strength(self._face.mean, index), self._face_reasons(now, index)),
            (text * _strength(self._text.mean, index), self._text_reasons(now)),
        ]
        channels.sort(key=lambda channel: -channel[0])
        return (*channels[0][1], *channels[1][1]) or ("nothing seen or read yet",)

    def _face_reasons(self, now: float, index: int | None) -> list[str]:
        reasons = []
        coverage = self._face.coverage * self._face.kept(now)
        if coverage > FADED:
            shares = [share / self._face.coverage for share in self._face.shares]
            weights = (
                shares if index is None else [q * r[index] / sum(r) for q, r in zip(shares, self._ratios, strict=True)]
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
                quoted = ", ".join(f"“{word}”" for word in words[:3])
                reasons.append(f"you wrote {quoted}" + (f" {ago:.0f} s ago" if ago >= 1.5 else ""))
        return reasons


@cache
def assumed_expressions() -> dict[str, dict[str, float]]:
    """Return `expressions.yaml`: state -> class -> share."""
    return yaml.safe_load((Path(__file__).parent / "expressions.yaml").read_text(encoding="utf-8"))


def expression_shares(
    classes: Sequence[str], expressions: Mapping[str, Mapping[str, float]]
) -> dict[str, tuple[float, ...]]:
    """Return P(class | state) of a model's classes (K,), with sum 1.

    A class that is missing in the table has 1/K in each state.
    """
    even = 1 / max(len(classes), 1)
    rows = {}
    for state in STATES:
        total = sum(expressions[state].get(name, 0.0) for name in classes)
        left = even * sum(name in expressions[state] for name in classes)
        rows[state] = tuple(
            expressions[state][name] / total * left if name in expressions[state] else even for name in classes
        )
    return rows


def _ratios(
    classes: Sequence[str], class_shares: Sequence[float] | None, expressions: Mapping[str, Mapping[str, float]]
) -> list[Evidence]:
    """Return P(class | state) / pi(class) as (K, 3)."""
    rows = expression_shares(classes, expressions)
    counts = [1.0] * len(classes) if class_shares is None else [float(share) for share in class_shares]
    if len(counts) != len(classes) or not all(math.isfinite(count) and count >= 0 for count in counts):
        raise ValueError(
            f"class_shares={class_shares}: must be one number of 0 or more for each of {len(classes)} classes"
        )
    total = sum(counts)
    shares = [max(count / total, RAREST) if total else 1 / len(counts) for count in counts]
    return [tuple(rows[state][index] / share for state in STATES) for index, share in enumerate(shares)]


def _strength(evidence: Evidence, index: int | None) -> float:
    """Return the evidence for STATES[index], or the largest evidence if `index` is None."""
    return max(evidence) if index is None else evidence[index]
