"""Words of a train.py command line, in the order and form that Hydra reads."""

from collections.abc import Sequence

from fer_lightning.config.groups import groups, options
from fer_lightning.config.messages import refuse_lists
from fer_lightning.errors import UserError

WITH_VALUE = ("--cfg", "-c", "--package", "-p", "--config-path", "-cp", "--config-name", "-cn", "--config-dir", "-cd")
OPTIONAL = ("experiment", "scale", "sweep", "debug", "local")  # groups of which no option need be chosen
NOTHING = {"logger": "csv"}  # option for null; in other groups: none


def prepare_words(words: Sequence[str]) -> list[str]:
    """Return the words with all options such as -m in front, and without GROUP=null.

    GROUP=null chooses no option of an optional group. Raise UserError if the group must have an option, and for a list
    of options.
    """
    given, overrides = [], []
    takes_value = False
    for word in words:
        is_option = word.startswith("-") or takes_value
        takes_value = is_option and not takes_value and word in WITH_VALUE
        (given if is_option else overrides).append(word)
    refuse_lists(overrides)
    return given + _without_null(overrides)


def _without_null(words: Sequence[str]) -> list[str]:
    kept: list[str] = []
    for word in words:
        key, _, value = word.partition("=")
        group = key.lstrip("+").partition("@")[0]
        if value != "null" or not (group in groups() or group.startswith("hydra/")):
            kept.append(word)
        elif group in OPTIONAL:
            kept = [other for other in kept if other.partition("=")[0] != group]
        else:
            allowed = options(group)
            nothing = NOTHING.get(group, "none")
            if nothing not in allowed:
                raise UserError(f"{word}: must be one of {', '.join(allowed)}. A run needs one of them.")
            kept.append(f"{group}={nothing}")
    return kept
