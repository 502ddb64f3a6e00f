"""Text of others made harmless for terminals, spreadsheets, Markdown and HTML, and names similar to a wrong one."""

import difflib
import re
import shlex
import unicodedata
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import Any

# First characters of a cell that a spreadsheet reads as a formula, also in their full-width forms.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
_NUMBER = re.compile(r"[-+]?[0-9]+(\.[0-9]*)?([eE][-+]?[0-9]+)?")
_PIPE = re.compile(r"(?<!\\)((?:\\\\)*)\|")  # not escaped: an even number of backslashes before it
_PLAIN = re.compile(r"(?:[A-Za-z_]|\.{0,2}/)[A-Za-z0-9_./:+-]*")  # values that Hydra reads as these very letters
_KEYWORDS = ("null", "true", "false", "nan", "inf")
_KEPT = "\n\t"  # control characters that are harmless in a terminal
_CONTROL = ("Cc", "Cs", "Zl", "Zp")  # Unicode's categories of control characters, lone surrogates and line breaks
_DIRECTION = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff"  # they reorder a line


def terminal(text: Any, kept: str = "") -> str:
    """Return the text with each character that controls a terminal or reorders a line as an escape such as \\x1b.

    kept  control characters that stay as they are
    """
    text = str(text)
    if text.isprintable():
        return text
    return "".join(
        letter.encode("unicode_escape").decode() if letter not in kept and _controls(letter) else letter
        for letter in text
    )


def message(text: Any) -> str:
    """Return a text of several lines for a terminal, like `terminal`, but with its line breaks and tabs."""
    return terminal(text, kept=_KEPT)


def harmless(value: Any) -> Any:
    """Return the value as a cell that no spreadsheet reads as a formula, without control characters; a number stays."""
    if not isinstance(value, str) or _NUMBER.fullmatch(value):
        return value
    text = terminal(value, kept=_KEPT)
    return f"'{text}" if unicodedata.normalize("NFKC", value).lstrip(" ").startswith(_FORMULA) else text


def markdown(text: Any) -> str:
    """Return the text as plain text in Markdown, on one line."""
    line = escape(terminal(" ".join(str(text).split())), quote=False)
    return "".join(f"\\{letter}" if letter in r"\`*_[]#|~" else letter for letter in line)


def markdown_table(head: Sequence[object], rows: Iterable[Sequence[object]], *, numbers: bool = False) -> str:
    """Return a table in Markdown whose cells are Markdown; untrusted text must first go through `markdown`.

    numbers  True: all columns but the first are aligned to the right
    """
    align = ["---", *["---:" if numbers else "---"] * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in (head, align, *rows))


def _cell(value: object) -> str:
    return _PIPE.sub(r"\1\\|", " ".join(str(value).split()))


def html(text: Any) -> str:
    """Return the text as plain text in HTML, also inside an attribute in quotes."""
    return escape(terminal(text, kept=_KEPT))


def hydra_text(value: str) -> str:
    """Return the text as a value in Hydra's grammar: in quotes, where any letter is allowed, unless it is plain."""
    return value if _PLAIN.fullmatch(value) and value.lower() not in _KEYWORDS else quoted(value)


def quoted(value: str) -> str:
    """Return the value in quotes, inside which Hydra's grammar accepts any letter."""
    escaped = re.sub(r"(\\*)('|$)", lambda match: match[1] * 2 + ("\\'" if match[2] else ""), value)
    return f"'{escaped}'"


def typed(key: str, value: str | Path | Sequence[str | Path]) -> str:
    """Return KEY=VALUE for a command that a user copies: quoted for Hydra and for the shell where that is needed.

    value  path or other text, or a list of them
    """
    texts = [value] if isinstance(value, str | Path) else value
    written = ",".join(hydra_text(_without_interpolation(str(text))) for text in texts)
    return shlex.quote(f"{key}={written}" if isinstance(value, str | Path) else f"{key}=[{written}]")


def typed_for_make(variable: str, value: str | Path) -> str:
    """Return VARIABLE=VALUE for a make command that a user copies."""
    return shlex.quote(f"{variable}={str(value).replace('$', '$$')}")


def most_similar(word: str, candidates: Iterable[str], count: int) -> list[str]:
    """Return up to `count` known words that are similar to a word, the most similar first."""
    return difflib.get_close_matches(word, list(candidates), n=count, cutoff=0.5)


def did_you_mean(word: str, candidates: Iterable[str], prefix: str = "") -> str:
    """Return ' Did you mean x?' with the most similar known word, or ''."""
    similar = most_similar(word, candidates, count=1)
    return f" Did you mean {prefix}{similar[0]}?" if similar else ""


def _without_interpolation(text: str) -> str:
    """Return the text with a backslash before each ${, which Hydra would replace by another value."""
    return re.sub(r"(\\*)\$\{", lambda match: match[1] * 2 + "\\${", text)


def _controls(letter: str) -> bool:
    return letter in _DIRECTION or unicodedata.category(letter) in _CONTROL
