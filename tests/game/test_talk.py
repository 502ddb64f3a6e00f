"""Bit's understanding of typed text, and its offers."""

import itertools
import json
from pathlib import Path

import pytest
from game_modules import needs_node, run

pytestmark = needs_node

MEANT = {
    "stop watching": "stop",
    "Please STOP watching me!": "stop",
    "don’t look at me": "stop",
    "camera off": "stop",
    "turn off the camera": "stop",
    "switch the webcam off, please": "stop",
    "shut your lens": "stop",
    "stop it": "stop",
    "dont watch me": "stop",
    "i withdraw my consent": "stop",
    "I no longer consent": "stop",
    "revoke consent": "stop",
    "i don't agree anymore": "stop",
    "switch the video off": "stop",
    "stop the video": "stop",
    "switch it off": "stop",
    "shut it off": "stop",
    "stop seeing me": "stop",
    "stop using my face": "stop",
    "stop tracking me": "stop",
    "stop analysing me": "stop",
    "I want you to stop": "stop",
    "can you stop?": "stop",
    "leave me alone": "stop",
    "i don't want to be watched": "stop",
    "I'd rather not be seen": "stop",
    "i don't want you to see me": "stop",
    "please don't monitor me": "stop",
    "nobody should see my face": "stop",
    "do not use my face": "stop",
    "you may not watch me": "stop",
    "you can't look at me anymore": "stop",
    "I am under 18": "stop",
    "i am 12 years old": "stop",
    "i'm 15": "stop",
    "I'm a kid": "stop",
    "I am 32 years old": None,
    "I'm 3 points ahead": None,
    "I don't see my mistake": None,
    "I don't see the answer": None,
    "turn on the camera": "watch",
    "is the camera on?": "seen",
    "you may watch": "watch",
    "look, this is odd": None,
    "what do you see?": "seen",
    "i need a break": "rest",
    "i can't go on, i want a break": "rest",
    "i don't want a break": None,
    "no break please": None,
    "hint, please": "hint",
    "i have no idea, give me a hint": "hint",
    "i can't do it, i need a hint": "hint",
    "no hint please": None,
    "i don't need a hint": None,
    "i'm stuck": "hint",
    "i'm not stuck": None,
    "please don't help me": None,
    "i don't want help with this": None,
    "i do not want any more hints": None,
    "stop giving me hints": None,
    "i have no clue": "hint",
    "can't you help me": "hint",
    "i can't do this help me": "hint",
    "no i am stuck": "hint",
    "i'd rather have a hint": "hint",
    "i'd rather take a break": "rest",
    "i don't want to take a break": None,
    "Why?": "why",
    "why did you make it easier": "why",
    "why is that wrong": "hint",
    "a hint please": "hint",
    "I’m stuck": "hint",
    "easier": "easier",
    "make it harder!": "harder",
    "something a bit easier please": "easier",
    "this is harder than before": None,
    "that one was easier": None,
    "please don’t make it harder": "stay",
    "not too hard": None,
    "the rest was clear": None,
    "next time I get it": None,
    "how are you": None,
    "this is too hard": "hard",
    "way too easy": "easy",
    "stay": "stay",
    "you decide": "decide",
    "I need a break": "rest",
    "I give up": "skip",
    "next": "skip",
    "help": "help",
    "?": "help",
    "thanks!": "thanks",
    "hello Bit": "hello",
    "ugh": None,
    "": None,
    "<b>gg</b>": None,
    "watch " * 83: None,
}


ABOUT_THE_CAMERA = {
    "stop wathcing": True,
    "off with it": True,
    "what about my privacy": True,
    "no photos of me on camera": True,
    "ugh": False,
    "that one was easier": False,
    "what a nice lamp": False,
    "what do you offer": False,
}


# (state, confidence, end in milliseconds, True if the player has just said no)
COURSES = {
    "lasting": [("frustrated", 0.8, 300_000, False)],
    "unsure": [("frustrated", 0.3, 120_000, False)],
    "engaged": [("engaged", 1.0, 120_000, False)],
    "unknown": [("unknown", 0.0, 120_000, False)],
    "moments": [(("bored", "engaged")[turn % 2], 0.9, 2000 * (turn + 1), False) for turn in range(20)],
    "declined": [("bored", 0.9, 10_000, False), ("bored", 0.9, 180_000, True)],
}


@pytest.fixture(scope="module")
def heard(tmp_path_factory):
    folder = tmp_path_factory.mktemp("talk")
    constants = {"ABOUT": [*ABOUT_THE_CAMERA], "WORDS": [*MEANT], "COURSES": COURSES}
    given = "".join(f"export const {name} = {json.dumps(value)};\n" for name, value in constants.items())
    (folder / "given.js").write_text(given)
    return run(folder, Path(__file__).with_name("hear_and_offer.js").read_text())


def test_words_are_understood(heard):
    assert dict(zip(MEANT, heard["meant"], strict=True)) == MEANT


def test_a_text_that_may_ask_to_stop_is_recognised(heard):
    assert dict(zip(ABOUT_THE_CAMERA, heard["about"], strict=True)) == ABOUT_THE_CAMERA


def test_an_impression_that_lasts_is_answered_seldomer_each_time(heard):
    made = heard["offers"]["lasting"]
    assert [kind for kind, _ in made] == ["frustrated"] * 3
    assert [later - sooner for (_, sooner), (_, later) in itertools.pairwise(made)] == [60_000, 120_000]


@pytest.mark.parametrize("course", ["unsure", "engaged", "unknown", "moments"])
def test_nothing_is_offered_without_a_clear_reason(heard, course):
    assert heard["offers"][course] == []


def test_a_no_is_respected_for_long(heard):
    assert len(heard["offers"]["declined"]) == 1
