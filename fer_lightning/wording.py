"""Untrusted text as plain text in spreadsheets and Markdown, tables in Markdown, and names similar to a wrong one."""

import difflib
import re
from collections.abc import Iterable, Sequence
from typing import Any

# First characters of a cell that a spreadsheet reads as a formula, unless the cell is a number.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_NUMBER = re.compile(r"[-+]?[0-9]+(\.[0-9]*)?([eE][-+]?[0-9]+)?")
_PIPE = re.compile(r"(?<!\\)((?:\\\\)*)\|")  # not escaped: an even number of backslashes before it


def harmless(value: Any) -> Any:
    """Return the value as a cell that no spreadsheet reads as a formula."""
    is_formula = isinstance(value, str) and value.startswith(_FORMULA) and not _NUMBER.fullmatch(value)
    return f"'{value}" if is_formula else value


def markdown(text: str) -> str:
    """Return untrusted text as plain text in Markdown, on one line."""
    line = " ".join(text.split()).replace("<", "&lt;")
    return "".join(f"\\{letter}" if letter in r"\`*_[]#|~" else letter for letter in line)


def markdown_table(head: Sequence[object], rows: Iterable[Sequence[object]], *, numbers: bool = False) -> str:
    """Return a table in Markdown whose cells are Markdown; untrusted text must first go through `markdown`.

    numbers  True: all columns but the first are aligned to the right
    """
    align = ["---", *["---:" if numbers else "---"] * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in (head, align, *rows))


def _cell(value: object) -> str:
    return _PIPE.sub(r"\1\\|", " ".join(str(value).split()))


def most_similar(word: str, known: Iterable[str], count: int) -> list[str]:
    """Return up to `count` known words that are similar to a word, the most similar first."""
    return difflib.get_close_matches(word, list(known), n=count, cutoff=0.5)


def did_you_mean(word: str, known: Iterable[str], prefix: str = "") -> str:
    """Return ' Did you mean x?' with the most similar known word, or ''."""
    similar = most_similar(word, known, count=1)
    return f" Did you mean {prefix}{similar[0]}?" if similar else ""
