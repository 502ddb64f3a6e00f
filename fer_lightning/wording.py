"""Untrusted text as plain text in spreadsheets and Markdown, and names that are similar to a wrong one."""

import difflib
from collections.abc import Iterable
from typing import Any

# First characters of a cell that a spreadsheet reads as a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def harmless(value: Any) -> Any:
    """Return the value as a cell that no spreadsheet reads as a formula."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def markdown(text: str) -> str:
    """Return untrusted text as plain text in Markdown, on one line."""
    line = " ".join(text.split()).replace("<", "&lt;")
    return "".join(f"\\{letter}" if letter in r"\`*_[]#|~" else letter for letter in line)


def most_similar(word: str, known: Iterable[str], count: int) -> list[str]:
    """Return up to `count` known words that are similar to a word, the most similar first."""
    return difflib.get_close_matches(word, list(known), n=count, cutoff=0.5)


def did_you_mean(word: str, known: Iterable[str], prefix: str = "") -> str:
    """Return ' Did you mean x?' with the most similar known word, or ''."""
    similar = most_similar(word, known, count=1)
    return f" Did you mean {prefix}{similar[0]}?" if similar else ""
