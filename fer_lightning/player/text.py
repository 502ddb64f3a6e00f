"""What a typed text says about a player's state: a small lexicon of game talk, and VADER for what it does not know.

VADER (Hutto and Gilbert 2014, ICWSM) is a sentiment lexicon with rules for negation, capitals and emoji; its `compound`
of -1 to 1 says pleasant or unpleasant, not frustrated or bored, so that it counts for little. Nothing is learned or
kept.
"""

import math
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from pathlib import Path

import yaml
from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

from fer_lightning.player.evidence import STATES, Evidence, centred

LETTERS = 500  # of a text; the rest is not read
NEGATION = -0.74  # what a negation makes of a strength: VADER's own factor
SHOUTED = 0.3  # a phrase in capitals counts this share more,
STRETCHED = 0.2  # one with stretched letters this,
EXCLAIMED = 0.1  # and each exclamation mark of the text, up to three, this
SENTIMENT = {"frustrated": -0.7, "bored": -0.3, "engaged": 0.7}  # nats at a compound of 1; its negative at -1
REACH = 3  # words between a negation and what it negates
_NEGATIONS = {
    "not",
    "no",
    "never",
    "without",
    "cannot",
    "cant",
    "isnt",
    "dont",
    "doesnt",
    "didnt",
    "wasnt",
    "wont",
    "aint",
}
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*|[,.;:!?]")
_APOSTROPHES = str.maketrans("’‘`´", "''''")


@dataclass(frozen=True)
class TextEvidence:
    """log_likelihood: of STATES, centred: 0, 0, 0 where the text says nothing; words: those that counted, as typed."""

    log_likelihood: Evidence
    words: tuple[str, ...]


class TextReader:
    """Reads texts; holds nothing of them. Safe in threads.

    lexicon  phrase -> state -> strength in nats, above 0
    """

    def __init__(self, lexicon: Mapping[str, Mapping[str, float]]) -> None:
        self._plain = sorted(lexicon, key=lambda phrase: (-len(phrase), phrase))
        self._strengths = [[lexicon[phrase].get(state, 0.0) for state in STATES] for phrase in self._plain]
        patterns = (f"(?P<p{place}>{_stretchable(phrase)})" for place, phrase in enumerate(self._plain))
        self._phrases = re.compile(rf"(?<![\w'])(?:{'|'.join(patterns)})(?![\w'])")
        self._sentiment = SentimentIntensityAnalyzer()

    def read(self, text: str) -> TextEvidence:
        """The sum over the phrases that were found, and the sentiment of what is left; any text is safe."""
        typed = unicodedata.normalize("NFKC", text[:LETTERS]).translate(_APOSTROPHES)[:LETTERS]
        lower = "".join(letter.lower() if len(letter.lower()) == 1 else letter for letter in typed)
        emphasis = 1 + EXCLAIMED * min(typed.count("!"), 3)
        total, words, rest, end = [0.0] * len(STATES), [], [], 0
        for found in self._phrases.finditer(lower):
            place = int(found.lastgroup[1:])
            shown = typed[found.start() : found.end()]
            start = _negated_from(lower, end, found.start())
            weight = emphasis * _stress(shown, self._plain[place]) * (1 if start is None else NEGATION)
            total = [sum_ + weight * strength for sum_, strength in zip(total, self._strengths[place], strict=True)]
            first = found.start() if start is None else start
            words.append(typed[first : found.end()].strip())
            rest.append(typed[end:first])
            end = found.end()
        rest.append(typed[end:])
        compound, charged = self._pleasant(" ".join(rest))
        total = [sum_ + compound * SENTIMENT[state] for sum_, state in zip(total, STATES, strict=True)]
        return TextEvidence(centred(total), (*words, *charged))

    def _pleasant(self, text: str) -> tuple[float, list[str]]:
        """VADER's compound, -1 to 1, and the words that it comes from."""
        if not text.strip():
            return 0.0, []
        compound = self._sentiment.polarity_scores(text)["compound"]
        if not compound or not math.isfinite(compound):
            return 0.0, []
        words = [word.strip(".,;:!?\"'()") for word in text.split()]
        return compound, [word for word in words if word.lower() in self._sentiment.lexicon] or [text.strip()]


@cache
def reader() -> TextReader:
    """The one with `lexicon.yaml`, which all players share."""
    return TextReader(yaml.safe_load((Path(__file__).parent / "lexicon.yaml").read_text(encoding="utf-8")))


def _stretchable(phrase: str) -> str:
    """A pattern for the phrase as whole words, any letter of which may be stretched to three or more: "uggghhh".

    Twice is not stretched: "loose" is not "lose".
    """
    runs = [(letter, len(list(run))) for letter, run in groupby(phrase)]
    parts = [r"\s+" if letter == " " else "'?" if letter == "'" else _run(letter, count) for letter, count in runs]
    return "".join(parts)


def _run(letter: str, count: int) -> str:
    letter = re.escape(letter)
    return f"{letter}{{{count},}}" if count >= 3 else f"(?:{letter}{{3,}}|{letter}{{{count}}})"


def _stress(shown: str, phrase: str) -> float:
    letters = [letter for letter in shown if letter.isalpha()]
    shouted = len(letters) > 1 and all(letter.isupper() for letter in letters)
    stretched = len(letters) > sum(letter.isalpha() for letter in phrase)
    return (1 + SHOUTED * shouted) * (1 + STRETCHED * stretched)


def _negated_from(text: str, start: int, end: int) -> int | None:
    """Where a negation stands in text[start:end] that reaches its end, no further back than REACH words; else None."""
    words = list(_WORD.finditer(text, start, end))
    for word in reversed(words[-REACH:]):
        if not word[0][0].isalnum() or word[0] == "but":
            return None
        if word[0].replace("'", "") in _NEGATIONS or word[0].endswith("n't"):
            return word.start()
    return None
