"""Command lines of earlier versions, translated to key=value."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from fer_lightning.wording import quoted

_KEY = re.compile(r"[A-Za-z_][\w.]*=")


@dataclass(frozen=True)
class OldForm:
    """Former words of a command.

    keys      keys of the words that have none, in their order
    gathered  key of a list that takes all words that have none; '': none
    options   key of each option that takes a value
    flags     word that replaces each option without a value
    """

    keys: Sequence[str] = ()
    gathered: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    flags: Mapping[str, str] = field(default_factory=dict)

    def translate(self, words: Iterable[str]) -> list[str]:
        """Return the words as key=value. Words that are neither old nor new stay as they are and are refused later."""
        new, bare = [], []
        rest = iter(words)
        for word in rest:
            option, equals, value = word.partition("=")
            if word in self.flags:
                new.append(self.flags[word])
            elif option in self.options:
                value = value if equals else next(rest, None)
                new.append(word if value is None else f"{self.options[option]}={value}")
            else:
                (new if word.startswith("-") or _KEY.match(word) else bare).append(word)
        return [*self._with_keys(bare), *new]

    def _with_keys(self, bare: Sequence[str]) -> Iterator[str]:
        if self.gathered and bare:
            yield f"{self.gathered}=[{','.join(map(quoted, bare))}]"
            return
        for key, word in zip(self.keys, bare, strict=False):
            yield f"{key}={word}"
        yield from bare[len(self.keys) :]
