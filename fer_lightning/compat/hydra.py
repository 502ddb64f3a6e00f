"""Message texts of Hydra, which say why an override is rejected, and its grammar of values."""

import re
from dataclasses import dataclass

from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from fer_lightning.compat import omegaconf

# Patterns as in omegaconf.FAULTS; the first one that matches gives the kind of the fault.
FAULTS = (
    ("option", r"Could not find '([\w/]+/[^'\n]+)'"),
    ("key", r"Could not override '([^']+)'\.\s+No match in the defaults list"),
    *omegaconf.FAULTS,
    ("shape", rf"merging override (.+)\n(?:{'|'.join(omegaconf.SHAPES)})"),
    ("key", r"Could not override '([^']+)'"),
    ("key", r"Could not delete from config\. '([\w.]+)' does not exist"),
)


@dataclass(frozen=True)
class Fault:
    """Reason why an override is rejected.

    kind      "option", "key", "type", "choice", "null" (a value is missing) or "shape": null, a list or a mapping that
              the key cannot be
    subject   the option with its group, the key, the value, or the override with the wrong shape
    expected  what is allowed instead of a value
    key       full key, or '' if the message does not name it
    file      config file of a group that has the fault, e.g. "experiment/mine", or '' for the command line
    options   options that exist
    """

    kind: str
    subject: str
    expected: str
    key: str
    file: str
    options: list[str]


def read_fault(error: HydraException | OmegaConfBaseException) -> Fault | None:
    """Return the reason that an error's text gives, or None if no pattern matches."""
    text = "\n".join(str(part) for part in (error, error.__cause__) if part)
    for kind, pattern in FAULTS:
        if match := re.search(pattern, text):
            expected = omegaconf.TYPES.get(match[2], match[2]) if match.lastindex == 2 else ""
            file = re.search(r"In '([\w-]+/[^']+)'", text)
            options = re.findall(r"^\t(\S+)$", text, flags=re.M)
            return Fault(kind, match[1], expected, omegaconf.full_key(text), file[1] if file else "", options)
    return None


def wants_search(error: Exception) -> bool:
    """Return True if an interval was given to Hydra's sweeper, which knows only lists of values."""
    return "does not support sweep type : INTERVAL" in str(error)


def first_lines(error: Exception) -> str:
    """Return an error's text without Hydra's list of folders."""
    return str(error).partition("\nConfig search path")[0].strip()
