"""Search queries for an emotion: every template with every subject, in every language.

The query that found an image is only a weak label: stock images are posed, and titles are often wrong. The review
decides what a face shows.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from fer_lightning.collect.providers.provider import Query
from fer_lightning.config.settings import Settings, setting
from fer_lightning.errors import UserError
from fer_lightning.labels import CLASSES

PLACEHOLDER = "{subject}"
LONGEST = 200  # characters; Openverse truncates longer queries


@dataclass(frozen=True, kw_only=True)
class Emotion(Settings):
    """Emotion to collect: its definition, and the texts of its queries."""

    name: str = setting(comment="class of the faces", choices=CLASSES)
    definition: str = setting(comment="definition that reviewers see: what a face must show")
    languages: list[str] | None = setting(
        None, "languages to search, in this order, such as [en, de]; null: all languages of the templates"
    )
    templates: dict[str, Any] = setting(
        comment="query templates by language; {subject} is replaced by each subject, so use only words that agree "
        "with any subject"
    )
    subjects: dict[str, Any] = setting(comment="subjects of the queries by language")

    def __post_init__(self) -> None:
        super().__post_init__()
        _check(self)

    @property
    def searched(self) -> list[str]:
        """Languages to search, in order."""
        return list(self.languages or self.templates)


def queries(emotion: Emotion, *, seed: int) -> list[Query]:
    """Return the distinct queries for an emotion, in search order.

    The languages alternate, so that even the first few queries cover all of them. Within a language, the templates keep
    their order, and each template is combined with all subjects in a random order given by `seed`. The same emotion and
    seed always give the same list.
    """
    turns = [
        _of_language(emotion.templates[language], emotion.subjects[language], random.Random(f"{seed} {language}"))
        for language in emotion.searched
    ]
    ordered = [
        Query(text, language, emotion.name)
        for texts in zip_longest(*turns)
        for text, language in zip(texts, emotion.searched, strict=True)
        if text
    ]
    return list(dict.fromkeys(ordered))


def _of_language(templates: Sequence[str], subjects: Sequence[str], order: random.Random) -> Iterator[str]:
    for template in templates:
        for subject in order.sample(list(subjects), len(subjects)):
            yield " ".join(template.replace(PLACEHOLDER, subject).split())


def _check(emotion: Emotion) -> None:
    """Raise UserError if the texts make no valid queries."""
    by_group = {"templates": emotion.templates, "subjects": emotion.subjects}
    for group, texts_by_language in by_group.items():
        if not isinstance(texts_by_language, Mapping) or not texts_by_language:
            raise UserError(
                f"emotion.{group}={texts_by_language!r}: must be lists of texts by language, such as {{en: [...]}}."
            )
        for language, texts in texts_by_language.items():
            _check_texts(f"emotion.{group}.{language}", texts)
    for language in emotion.searched:
        for group, texts_by_language in by_group.items():
            if language not in texts_by_language:
                raise UserError(
                    f"emotion.{group}: has no entry for the language {language}. It has: "
                    f"{', '.join(texts_by_language)}. Add the language, or remove it from emotion.languages."
                )
        _check_templates(f"emotion.templates.{language}", emotion.templates[language], emotion.subjects[language])


def _check_texts(key: str, texts: Any) -> None:
    if not isinstance(texts, list | tuple) or not texts:
        raise UserError(f"{key}={texts!r}: must be a list of texts.")
    for text in texts:
        if not isinstance(text, str) or not text.strip() or not text.isprintable():
            raise UserError(f"{key}: {text!r} is not a text of printable characters. Put it in quotes.")


def _check_templates(key: str, templates: Sequence[str], subjects: Sequence[str]) -> None:
    longest = LONGEST + len(PLACEHOLDER) - max(map(len, subjects))
    for template in templates:
        if template.count(PLACEHOLDER) != 1:
            raise UserError(
                f"{key}: {template!r} must contain {PLACEHOLDER} exactly once; each subject is inserted there."
            )
        if len(template) > longest:
            raise UserError(f"{key}: {template!r} makes queries of more than {LONGEST} characters. Use a shorter text.")
