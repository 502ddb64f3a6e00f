"""Evidence for a player's state in typed text: a small lexicon of game talk, and VADER for all other words.

VADER (Hutto and Gilbert 2014, ICWSM) is a sentiment lexicon with rules for negation, capitals and emoji. Its `compound`
of -1 to 1 separates pleasant from unpleasant, but not frustrated from bored. It therefore has a small weight. Nothing
is learned or stored.
"""

import itertools
import math
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml
from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

from fer_lightning.player.evidence import STATES, Evidence, centred

LETTERS = 500  # maximum length of a text; the rest is not read
EMOJI = 10  # maximum number of emoji of a text; VADER's time grows with the square of their number
NEGATION = -0.74  # factor of a negated phrase, the same as in VADER
SHOUTED = 0.3  # additional weight of a phrase in capitals
STRETCHED = 0.2  # additional weight of a phrase with stretched letters
EXCLAIMED = 0.1  # additional weight for each exclamation mark of the text, up to three
SENTIMENT = {"frustrated": -0.7, "bored": -0.3, "engaged": 0.7}  # nats at a compound of 1; opposite sign at -1
REACH = 3  # maximum number of words between a negation and the phrase that it negates
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
    """Evidence in one text.

    log_likelihood  centred log-likelihoods of STATES; 0, 0, 0 if the text has no evidence
    words           words and phrases that counted, as typed
    """

    log_likelihood: Evidence
    words: tuple[str, ...]


class TextReader:
    """Reader of texts. It stores nothing of them and can be shared by threads.

    lexicon  phrase -> state -> strength in nats, greater than 0
    """

    def __init__(self, lexicon: Mapping[str, Mapping[str, float]]) -> None:
        self._plain = sorted(lexicon, key=lambda phrase: (-len(phrase), phrase))
        self._strengths = [[lexicon[phrase].get(state, 0.0) for state in STATES] for phrase in self._plain]
        patterns = (f"(?P<p{index}>{_stretchable(phrase)})" for index, phrase in enumerate(self._plain))
        self._phrases = re.compile(rf"(?<![\w'])(?:{'|'.join(patterns)})(?![\w'])")
        self._sentiment = SentimentIntensityAnalyzer()

    def read(self, text: str) -> TextEvidence:
        """Return the sum of the evidence of all phrases, and of the sentiment of the remaining words; never raise."""
        typed = unicodedata.normalize("NFKC", text[:LETTERS]).translate(_APOSTROPHES)[:LETTERS]
        lower = "".join(letter.lower() if len(letter.lower()) == 1 else letter for letter in typed)
        emphasis = 1 + EXCLAIMED * min(typed.count("!"), 3)
        total, words, rest, end = [0.0] * len(STATES), [], [], 0
        for match in self._phrases.finditer(lower):
            index = int(match.lastgroup[1:])
            written = typed[match.start() : match.end()]
            start = _negated_from(lower, end, match.start())
            weight = emphasis * _stress(written, self._plain[index]) * (1 if start is None else NEGATION)
            total = [sum_ + weight * strength for sum_, strength in zip(total, self._strengths[index], strict=True)]
            first = match.start() if start is None else start
            words.append(typed[first : match.end()].strip())
            rest.append(typed[end:first])
            end = match.end()
        rest.append(typed[end:])
        compound, charged = self._pleasant(" ".join(rest))
        total = [sum_ + compound * SENTIMENT[state] for sum_, state in zip(total, STATES, strict=True)]
        return TextEvidence(centred(total), (*words, *charged))

    def _pleasant(self, text: str) -> tuple[float, list[str]]:
        """Return VADER's compound, -1 to 1, and the words from which it comes."""
        if not text.strip():
            return 0.0, []
        compound = self._sentiment.polarity_scores(self._with_few_emoji(text))["compound"]
        if not compound or not math.isfinite(compound):
            return 0.0, []
        words = [word.strip(".,;:!?\"'()") for word in text.split()]
        return compound, [word for word in words if word.lower() in self._sentiment.lexicon] or [text.strip()]

    def _with_few_emoji(self, text: str) -> str:
        number = itertools.count(1)
        return "".join(letter for letter in text if letter not in self._sentiment.emojis or next(number) <= EMOJI)


@cache
def reader() -> TextReader:
    """Return the reader with `lexicon.yaml`, which all players share."""
    return TextReader(yaml.safe_load((Path(__file__).parent / "lexicon.yaml").read_text(encoding="utf-8")))


def _stretchable(phrase: str) -> str:
    """Return a pattern for the phrase in which each letter may be stretched to three or more: "uggghhh".

    A doubled letter is not a stretched one: "loose" is not "lose".
    """
    runs = [(letter, len(list(run))) for letter, run in itertools.groupby(phrase)]
    parts = [r"\s+" if letter == " " else "'?" if letter == "'" else _run(letter, count) for letter, count in runs]
    return "".join(parts)


def _run(letter: str, count: int) -> str:
    letter = re.escape(letter)
    return f"{letter}{{{count},}}" if count >= 3 else f"(?:{letter}{{3,}}|{letter}{{{count}}})"


def _stress(written: str, phrase: str) -> float:
    letters = [letter for letter in written if letter.isalpha()]
    shouted = len(letters) > 1 and all(letter.isupper() for letter in letters)
    stretched = len(letters) > sum(letter.isalpha() for letter in phrase)
    return (1 + SHOUTED * shouted) * (1 + STRETCHED * stretched)


def _negated_from(text: str, start: int, end: int) -> int | None:
    """Return the position of a negation in the last REACH words of text[start:end] that applies to its end, or None."""
    words = list(_WORD.finditer(text, start, end))
    for word in reversed(words[-REACH:]):
        if not word[0][0].isalnum() or word[0] == "but":
            return None
        if word[0].replace("'", "") in _NEGATIONS or word[0].endswith("n't"):
            return word.start()
    return None
