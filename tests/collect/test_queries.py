"""Queries of an emotion, and their order."""

import subprocess
import sys
from collections import Counter

import pytest
from conftest import ROOT

from fer_lightning.collect.__main__ import config
from fer_lightning.collect.providers.provider import Query
from fer_lightning.collect.steps.queries import LONGEST, Emotion, queries
from fer_lightning.config.settings import build
from fer_lightning.errors import UserError
from fer_lightning.labels import TAXONOMIES

EMOTIONS = [path.stem for path in sorted((ROOT / "conf" / "collect" / "emotion").glob("*.yaml"))]
SMALL = {
    "name": "boredom",
    "definition": "The eyelids are half closed.",
    "templates": {"en": ["bored {subject}", "{subject} yawning"], "de": ["{subject} gelangweilt"]},
    "subjects": {"en": ["man", "woman", "face"], "de": ["Mann", "Frau"]},
}


def emotion(**changes) -> Emotion:
    return build(Emotion, SMALL | changes, "emotion.")


def test_every_template_meets_every_subject_once():
    texts = [query.text for query in queries(emotion(), seed=0)]
    assert sorted(texts) == [
        "Frau gelangweilt",
        "Mann gelangweilt",
        "bored face",
        "bored man",
        "bored woman",
        "face yawning",
        "man yawning",
        "woman yawning",
    ]


def test_languages_take_turns_and_templates_keep_their_order():
    made = queries(emotion(), seed=3)
    assert [query.language for query in made] == ["en", "de", "en", "de", "en", "en", "en", "en"]
    english = [query.text for query in made if query.language == "en"]
    assert all(text.startswith("bored") for text in english[:3])
    assert all(text.endswith("yawning") for text in english[3:])


def test_the_seed_decides_the_order_and_nothing_else():
    orders = [queries(emotion(), seed=seed) for seed in range(6)]
    assert len({tuple(order) for order in orders}) > 1
    assert all(set(order) == set(orders[0]) for order in orders)


def test_another_process_makes_the_same_list():
    script = (
        "from fer_lightning.collect.steps.queries import Emotion, queries\n"
        f"print([query.text for query in queries(Emotion(**{SMALL!r}), seed=5)])"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == repr([query.text for query in queries(emotion(), seed=5)])


def test_languages_can_be_chosen():
    assert {query.language for query in queries(emotion(languages=["de"]), seed=0)} == {"de"}
    assert queries(emotion(languages=["de", "en"]), seed=0)[0].language == "de"


def test_equal_queries_are_asked_once():
    one = emotion(templates={"en": ["bored {subject}", " bored  {subject}"]}, subjects={"en": ["man"]})
    assert queries(one, seed=0) == [Query("bored man", "en", "boredom")]


@pytest.mark.parametrize("name", EMOTIONS)
def test_every_emotion_of_ours_makes_queries_in_seven_languages(name):
    composed = config([f"emotion={name}"]).emotion
    made = queries(composed, seed=0)
    counts = Counter(query.language for query in made)
    assert counts.keys() == {"en", "es", "de", "fr", "pt", "it", "ja"}
    assert len(set(made)) == len(made) >= 13 * 7 * 2
    assert len({query.language for query in made[:7]}) == 7
    assert all(len(query.text) <= LONGEST and query.emotion == name for query in made)
    assert len(composed.subjects["en"]) == 13
    assert composed.definition.strip().endswith(".")


def test_there_is_an_emotion_for_each_class_that_fer2013_has_not():
    own = set(TAXONOMIES["learning_game_distracted"].classes) - set(TAXONOMIES["fer2013"].classes)
    assert set(EMOTIONS) == own


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"name": "ennui"}, r"emotion\.name='ennui': must be one of angry"),
        ({"templates": {}}, r"emotion\.templates="),
        ({"templates": {"en": "bored {subject}"}}, r"emotion\.templates\.en='bored \{subject\}': must be a list"),
        ({"templates": {"en": ["bored"]}}, r"emotion\.templates\.en: 'bored' must contain \{subject\} exactly once"),
        ({"templates": {"en": ["{subject} {subject}"]}}, "must contain {subject} exactly once"),
        ({"templates": {"en": ["x" * 196 + "{subject}"]}}, "more than 200 characters"),
        ({"templates": {"fr": ["ennui {subject}"]}}, r"emotion\.subjects: .* language fr\. It has: en, de"),
        ({"subjects": {"en": ["man", 3]}}, r"emotion\.subjects\.en: 3 is not a text"),
        ({"subjects": {"en": ["a\nb"]}}, r"emotion\.subjects\.en: 'a\\nb' is not a text"),
        ({"subjects": {"en": []}}, r"emotion\.subjects\.en=\[\]: must be a list"),
        ({"languages": ["en", "xx"]}, r"emotion\.templates: .* language xx\. It has: en, de"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_key(changes, words):
    with pytest.raises(UserError, match=words):
        queries(emotion(**changes), seed=0)
