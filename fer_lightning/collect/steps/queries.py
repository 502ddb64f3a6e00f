"""Search queries for an emotion: every template with every subject, in every language.

The query that found an image is only a weak label: stock images are posed, and titles are often wrong. The review
decides what a face shows.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any

from fer_lightning.collect.providers.provider import Query
from fer_lightning.errors import UserError
from fer_lightning.labels import TAXONOMIES

PLACE = "{subject}"
LONGEST = 200  # characters; Openverse truncates longer queries


def queries(emotion: Mapping[str, Any], *, seed: int) -> list[Query]:
    """Return the distinct queries for an emotion of conf/collect/emotion/, in search order.

    The languages alternate, in the order of `languages` (None: of `templates`), so that even the first few queries
    cover all of them. Within a language, the templates keep their order, and each template is combined with all
    subjects in a random order given by `seed`. The same emotion and seed always give the same list.
    Raise UserError if a key has a value that is not allowed.
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
        raise UserError(
            f"emotion.name={emotion.get('name')}: not a class of this project. Allowed: {', '.join(classes)}."
        )
    for group in ("templates", "subjects"):
        words = emotion.get(group)
        if not isinstance(words, Mapping) or not words:
            raise UserError(f"emotion.{group}={words!r}: must be lists of texts by language, such as {{en: [...]}}.")
        for language, texts in words.items():
            _check_texts(f"emotion.{group}.{language}", texts)
    for language in _languages(emotion):
        for group in ("templates", "subjects"):
            if language not in emotion[group]:
                raise UserError(
                    f"emotion.{group}: has no entry for the language {language}. It has: {', '.join(emotion[group])}. "
                    f"Add the language, or remove it from emotion.languages."
                )
        _check_templates(f"emotion.templates.{language}", emotion["templates"][language], emotion["subjects"][language])


def _check_texts(key: str, texts: Any) -> None:
    if not isinstance(texts, list | tuple) or not texts:
        raise UserError(f"{key}={texts!r}: must be a list of texts.")
    for text in texts:
        if not isinstance(text, str) or not text.strip() or not text.isprintable():
            raise UserError(f"{key}: {text!r} is not a text of printable characters. Put it in quotes.")


def _check_templates(key: str, templates: Sequence[str], subjects: Sequence[str]) -> None:
    longest = LONGEST + len(PLACE) - max(map(len, subjects))
    for template in templates:
        if template.count(PLACE) != 1:
            raise UserError(f"{key}: {template!r} must contain {PLACE} exactly once; each subject is inserted there.")
        if len(template) > longest:
            raise UserError(f"{key}: {template!r} makes queries of more than {LONGEST} characters. Use a shorter text.")
