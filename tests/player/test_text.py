"""Evidence in typed texts: game talk, negation, capitals, and no error for any text."""

import subprocess
import sys

import pytest
import yaml
from conftest import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_lightning.player.evidence import STATES
from fer_lightning.player.text import EMOJI, LETTERS, TextReader, reader

NONE = (0.0, 0.0, 0.0)


def strength(text: str, state: str) -> float:
    return reader().read(text).log_likelihood[STATES.index(state)]


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ("ugh", "frustrated"),
        ("I give up", "frustrated"),
        ("this is too hard", "frustrated"),
        ("I don’t get it...", "frustrated"),
        ("that makes no sense", "frustrated"),
        ("this is boring", "bored"),
        ("too easy", "bored"),
        ("zzz", "bored"),
        ("skip", "bored"),
        ("gg", "engaged"),
        ("one more!", "engaged"),
        ("haha nice", "engaged"),
        ("I love this game", "engaged"),
        ("what a wonderful puzzle", "engaged"),
    ],
)
def test_game_talk_speaks_for_a_state(text, state):
    found = reader().read(text)
    assert max(STATES, key=lambda name: found.log_likelihood[STATES.index(name)]) == state
    assert found.words
    assert sum(found.log_likelihood) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(
    "text",
    ["", " ", "the answer is 5", "1011", "Das ist langweilig", "これはつまらない", "😡", "?!", "loud", "ughs", "xx"],
)
def test_what_is_not_known_says_nothing(text):
    found = reader().read(text)
    assert found.log_likelihood == NONE
    assert found.words == ()


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ("boring", "bored"),
        ("hard", "frustrated"),
        ("too hard", "frustrated"),
        ("fun", "engaged"),
    ],
)
@pytest.mark.parametrize("negation", ["not {}", "this isn't {}", "isn’t {}", "it was never really {}", "NOT {}!"])
def test_a_negation_turns_it_round(text, state, negation):
    assert strength(negation.format(text), state) < 0 < strength(text, state)


@pytest.mark.parametrize(
    "text", ["no, boring", "not now. boring", "not hard but boring", "I can not see what all of it is for boring"]
)
def test_a_negation_reaches_no_further_than_its_part_of_the_sentence(text):
    assert strength(text, "bored") > 0


@pytest.mark.parametrize("louder", ["BORING", "boring!", "boring!!!", "borrring", "BORRRING!!!", "so boring, boring"])
def test_emphasis_strengthens(louder):
    assert strength(louder, "bored") > strength("boring", "bored")


def test_letters_may_be_stretched_but_words_are_not_confused():
    assert strength("uggghhhhhh", "frustrated") > strength("ugh", "frustrated")
    assert reader().read("zzzzzzzzz").words == ("zzzzzzzzz",)
    assert reader().read("hhard").log_likelihood == NONE


def test_the_words_that_counted_are_told_as_typed():
    assert reader().read("UGH, I really GIVE UP").words == ("UGH", "GIVE UP")
    assert reader().read("hm, not boring").words == ("not boring",)


@settings(deadline=None)
@given(st.text(max_size=2 * LETTERS))
def test_any_text_is_safe(text):
    found = reader().read(text)
    assert all(-3 <= value <= 3 for value in found.log_likelihood)
    assert bool(found.words) or found.log_likelihood == NONE


@pytest.mark.parametrize("text", ["{}", "nice {}", "I give up {}"])
def test_many_emoji_count_as_a_few(text):
    """VADER's time grows with the square of their number, and all players share one thread."""
    emoji = [letter for letter in reader()._sentiment.emojis if len(letter) == 1]
    for letter in emoji[:: len(emoji) // 20]:
        many, few = (reader().read(text.format(letter * count)) for count in (400, EMOJI))
        assert many.log_likelihood == few.log_likelihood


def test_only_the_first_letters_are_read():
    assert reader().read("x" * LETTERS + " boring").log_likelihood == NONE


@settings(deadline=None)
@given(st.lists(st.sampled_from(["boring", "too easy", "zzz", "meh"]), min_size=1, max_size=8))
def test_more_of_the_same_says_no_less(phrases):
    assert strength(", ".join([*phrases, "yawn"]), "bored") >= strength(", ".join(phrases), "bored") - 1e-9


def test_every_phrase_of_the_lexicon_is_found_as_it_is_written():
    lexicon = yaml.safe_load((ROOT / "fer_lightning" / "player" / "lexicon.yaml").read_text(encoding="utf-8"))
    assert all(isinstance(phrase, str) and phrase == phrase.lower() for phrase in lexicon)
    for phrase, strengths in lexicon.items():
        assert strengths.keys() <= set(STATES), phrase
        assert all(0 < value <= 1.5 for value in strengths.values()), phrase
        assert reader().read(phrase).words == (phrase,)
        assert reader().read(phrase.upper()).words == (phrase.upper(),)


def test_another_lexicon_can_be_read():
    assert TextReader({"grmpf": {"frustrated": 1.0}}).read("Grmpf!").words == ("Grmpf",)


def test_nothing_here_needs_torch():
    code = (
        "import sys; sys.modules['torch'] = None; "
        "import fer_lightning.player.state, fer_lightning.difficulty.affect, fer_lightning.difficulty.controller"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
