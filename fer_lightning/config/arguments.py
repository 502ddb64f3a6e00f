"""Arguments of a train.py command line, in the order and form that Hydra reads."""

from collections.abc import Sequence

from fer_lightning.config.flags import is_option, no_such_option
from fer_lightning.config.groups import chosen_by, groups, options
from fer_lightning.config.messages import TRAIN, keys_of_runs, refuse_lists
from fer_lightning.errors import UserError

WITH_VALUE = ("--cfg", "-c", "--package", "-p", "--config-path", "-cp", "--config-name", "-cn", "--config-dir", "-cd")
WITHOUT_VALUE = ("--help", "-h", "--hydra-help", "--version", "--resolve", "--run", "-r", "--multirun", "-m")
WITHOUT_VALUE += ("--shell-completion", "-sc", "--experimental-rerun", "--info", "-i")
OPTIONAL = ("experiment", "scale", "sweep", "debug", "local")  # groups of which no option need be chosen
MACHINE = "local"  # of these, the only group whose file is used without an argument
NOTHING = {"logger": "csv"}  # option for null; in other groups: none


def prepare_arguments(arguments: Sequence[str]) -> list[str]:
    """Return the arguments with all options such as -m in front, and without GROUP=null.

    GROUP=null chooses no option of an optional group. Raise UserError if the group must have an option, and for a list
    of options.
    """
    given, overrides = [], []
    takes_value = False
    for argument in arguments:
        starts_or_ends_option = argument.startswith("-") or takes_value
        takes_value = starts_or_ends_option and not takes_value and argument in WITH_VALUE
        (given if starts_or_ends_option else overrides).append(argument)
    _refuse_other_options(arguments)
    refuse_lists(overrides)
    return given + _without_null(overrides)


def _refuse_other_options(arguments: Sequence[str]) -> None:
    """Raise UserError for an option that Hydra does not have."""
    for argument in arguments:
        if is_option(argument) and not _is_hydras(argument.partition("=")[0]):
            raise UserError(no_such_option(arguments, argument, keys_of_runs(), TRAIN.program))


def _is_hydras(name: str) -> bool:
    """Return True for an option of Hydra, also shortened, as --multi, or with its value, as -cjob."""
    if name.startswith("--"):
        return name[2:] not in groups() and any(option.startswith(name) for option in (*WITH_VALUE, *WITHOUT_VALUE))
    return name in WITHOUT_VALUE or name.startswith(WITH_VALUE)


def _without_null(arguments: Sequence[str]) -> list[str]:
    kept: list[str] = []
    for argument in arguments:
        key, _, value = argument.partition("=")
        group = key.lstrip("+").partition("@")[0]
        if value != "null" or not (group in groups() or group.startswith("hydra/")):
            kept.append(argument)
        elif group in OPTIONAL:
            kept = [other for other in kept if other.partition("=")[0] != group]
            _refuse_choice_of_others(group, arguments)
            kept += [f"~{group}"] if group == MACHINE else []
        else:
            allowed = options(group)
            nothing = NOTHING.get(group, "none")
            if nothing not in allowed:
                raise UserError(f"{argument}: must be one of {', '.join(allowed)}. A run needs one of them.")
            kept.append(f"{group}={nothing}")
    return kept


def _refuse_choice_of_others(group: str, arguments: Sequence[str]) -> None:
    """Raise UserError if the file of another argument chooses an option of this group: null would be ignored."""
    for argument in arguments:
        other, _, option = argument.partition("=")
        if other in OPTIONAL and (chosen := chosen_by(other, option).get(group)):
            raise UserError(
                f"{group}=null: {argument} chooses {group}={chosen}. Use {group}={'|'.join(options(group))}, or leave "
                f"{argument} out."
            )
