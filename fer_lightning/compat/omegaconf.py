"""Message texts of OmegaConf."""

import re

# Kind of a fault, and the pattern of its message: the value or key, then what is expected.
FAULTS = (
    ("choice", r"Invalid value '([^']*)', expected one of (\[[^\]]*\])"),
    ("type", r"Value '(.*?)' of type '\w+' could not be converted to (\w+)"),
    ("null", r"field '(\w+)' is not Optional"),
    ("null", r"Missing mandatory value: (\S+)"),
    ("key", r"Key '(\w+)' (?:is not in struct|not in '\w+')"),
)
# Messages about null, a list or a mapping that a key cannot be.
SHAPES = (
    r"field '.*' is not Optional",
    "Invalid type assigned",
    "Invalid value assigned",
    "Cannot assign",
    r"Value '.*' is not a valid",
)
TYPES = {"Integer": "a whole number", "Float": "a number", "Boolean": "true or false"}


def full_key(text: str) -> str:
    """Return the full key that a message names, or ''."""
    match = re.search(r"full_key: (\S+)", text)
    return match[1] if match else ""
