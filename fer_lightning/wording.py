"""Untrusted text as plain text in spreadsheets and Markdown."""

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
