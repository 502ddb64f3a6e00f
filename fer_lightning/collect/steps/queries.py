"""What is asked for an emotion: every template with every subject, in every language.

The words that found a picture are a weak label: stock pictures are posed and titles are wrong. What a face shows is for
the review to say.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any

from fer_lightning.collect.providers.provider import Query
from fer_lightning.errors import UserError
from fer_lightning.labels import TAXONOMIES

PLACE = "{subject}"
LONGEST = 200  # characters; Openverse cuts off what is longer


def queries(emotion: Mapping[str, Any], *, seed: int) -> list[Query]:
    """The distinct queries of an emotion of conf/collect/emotion/, in the order in which they are asked.

    One language after the other has its turn, in the order of `languages` (None: of `templates`), so that also few
    queries are of all kinds. In each, the templates keep their order, and each goes through all subjects in an order
    that `seed` deals: the same emotion and seed always make the same list. UserError names a key that cannot be meant.
    """
    _check(emotion)
    turns = [
        _of_language(emotion["templates"][language], emotion["subjects"][language], random.Random(f"{seed} {language}"))
        for language in _languages(emotion)
    ]
    ordered = [
        Query(text, language, emotion["name"])
        for texts in zip_longest(*turns)
        for text, language in zip(texts, _languages(emotion), strict=True)
        if text
    ]
    return list(dict.fromkeys(ordered))


def _languages(emotion: Mapping[str, Any]) -> list[str]:
    return list(emotion.get("languages") or emotion["templates"])


def _of_language(templates: Sequence[str], subjects: Sequence[str], order: random.Random) -> Iterator[str]:
    for template in templates:
        for subject in order.sample(list(subjects), len(subjects)):
            yield " ".join(template.replace(PLACE, subject).split())


def _check(emotion: Mapping[str, Any]) -> None:
    classes = TAXONOMIES["learning_game_distracted"].classes
    if emotion.get("name") not in classes:
        raise UserError(f"emotion.name={emotion.get('name')}: no class of ours. Allowed: {', '.join(classes)}.")
    for group in ("templates", "subjects"):
        words = emotion.get(group)
        if not isinstance(words, Mapping) or not words:
            raise UserError(f"emotion.{group}={words!r}: expected lists of words by language, such as {{en: [...]}}")
        for language, texts in words.items():
            _check_texts(f"emotion.{group}.{language}", texts)
    for language in _languages(emotion):
        for group in ("templates", "subjects"):
            if language not in emotion[group]:
                raise UserError(f"emotion.{group}: has no {language}; its languages: {', '.join(emotion[group])}")
        _check_templates(f"emotion.templates.{language}", emotion["templates"][language], emotion["subjects"][language])


def _check_texts(key: str, texts: Any) -> None:
    if not isinstance(texts, list | tuple) or not texts:
        raise UserError(f"{key}={texts!r}: expected a list of texts")
    for text in texts:
        if not isinstance(text, str) or not text.strip() or not text.isprintable():
            raise UserError(f"{key}: {text!r} is no text to search for; put it in quotes")


def _check_templates(key: str, templates: Sequence[str], subjects: Sequence[str]) -> None:
    room = LONGEST + len(PLACE) - max(map(len, subjects))
    for template in templates:
        if template.count(PLACE) != 1:
            raise UserError(f"{key}: {template!r} must hold {PLACE} once, which stands for each of the subjects")
        if len(template) > room:
            raise UserError(f"{key}: {template!r} makes queries of more than {LONGEST} characters")
