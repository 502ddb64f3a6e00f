"""Overrides key=value with their texts in quotes, inside which Hydra's grammar accepts any letter."""

import re

from fer_lightning.wording import hydra_text

_QUOTED = r"""'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*\""""
_CALL = r"(?:choice|glob|range|interval|shuffle|sort|tag|extend_list)\([^)]*\)"
# One value between commas; a comma in quotes, in a list or in a call separates nothing.
_VALUE = re.compile(rf"\s*(?:(?:{_QUOTED})\s*(?=,|$)|(?:\[(?:{_QUOTED}|[^\]])*\]|{_CALL}|[^,])*)")


def in_quotes(override: str, *, is_list: bool = False, sweep: bool = False) -> str:
    """Return the override with its value in quotes unless it is plain, null or in quotes already.

    is_list  the value is a list, whose items are put in quotes
    sweep    commas separate the values of a sweep, and a call such as glob(*) stays
    """
    key, _, value = override.partition("=")
    values = _split(value) if sweep else [value]
    return f"{key}={','.join(_in_quotes(one, is_list, sweep) for one in values)}"


def _in_quotes(value: str, is_list: bool = False, sweep: bool = False) -> str:
    if is_list and value.startswith("[") and value.endswith("]"):
        return f"[{','.join(map(_in_quotes, _split(value[1:-1])))}]"
    stays = value == "null" or re.fullmatch(_QUOTED, value) or (sweep and re.fullmatch(_CALL, value))
    return value if stays else hydra_text(value)


def _split(values: str) -> list[str]:
    parts, position = [], 0
    while position < len(values):
        value = _VALUE.match(values, position)
        parts.append(value[0].strip())
        position = value.end() + 1
    return parts
