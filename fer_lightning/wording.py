"""Texts of strangers as plain text, wherever they are written to."""

from typing import Any

# Spreadsheets take a cell that begins so for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def harmless(value: Any) -> Any:
    """A cell that no spreadsheet takes for a formula."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def markdown(text: str) -> str:
    """Text of unknown people as plain text in Markdown, on one line."""
    line = " ".join(text.split()).replace("<", "&lt;")
    return "".join(f"\\{letter}" if letter in r"\`*_[]#|~" else letter for letter in line)
