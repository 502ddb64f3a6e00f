"""Jinja environment of all pages and cards of the project. This module does not import torch."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from fer_lightning.wording import markdown, markdown_table

TEMPLATES = Path(__file__).parent / "templates"


def environment(**filters: Callable[[Any], Any]) -> Environment:
    """Return the environment of templates/ with these filters; an undefined name in a template is an error.

    All values are escaped in HTML. In Markdown, untrusted text goes through the filter `markdown`.
    """
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=select_autoescape(disabled_extensions=("md",), default=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"markdown": markdown, **filters}
    made.globals["table"] = markdown_table
    return made


def render_markdown(template: str, **values: Any) -> str:
    """Return a Markdown file of a template and its values."""
    return environment().get_template(template).render(values) + "\n"
