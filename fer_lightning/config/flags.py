"""Options of other command lines, such as `--epochs 10`, answered with the key=value that is meant."""

import re
from collections.abc import Collection, Sequence

from fer_lightning.wording import most_similar, typed

# Names in other projects, and the last part of the key with the same meaning.
SYNONYMS = {
    "arch": "model",
    "bs": "batch_size",
    "checkpoint": "weights",
    "dataset": "data",
    "device": "accelerator",
    "epoch": "max_epochs",
    "epochs": "max_epochs",
    "gpus": "devices",
    "learning_rate": "lr",
    "num_workers": "threads",
    "output": "output_dir",
    "wd": "weight_decay",
    "workers": "threads",
}
_PLAIN = re.compile(r"[\w./+-]+")


def is_option(argument: str) -> bool:
    return argument.startswith("-") and argument.strip("-")[:1].isalpha()


def no_such_option(arguments: Sequence[str], option: str, keys: Collection[str], program: str) -> str:
    """Return the message for an option of another command line.

    arguments  all of the command line, among them `option`, whose value may follow after = or as the next argument
    keys       keys of the command
    program    command as it is typed
    """
    name, _, value = option.partition("=")
    following = arguments[arguments.index(option) + 1 :][:1]
    if not value and following and "=" not in following[0] and not following[0].startswith("-"):
        option, value = f"{option} {following[0]}", following[0]
    key = similar_key(name.strip("-").replace("-", "_"), keys)
    hint = f" Did you mean {_setting(key, value)}?" if key else ""
    return f"{option}: no such option. Settings are written key=value.{hint} See: {program} --help"


def similar_key(name: str, keys: Collection[str]) -> str | None:
    """Return the key that a name means: the same key or last part, a synonym, or the most similar one."""
    lasts = {key.rpartition(".")[2]: key for key in reversed(list(keys))}
    lasts |= {key.replace(".", "_"): key for key in keys}
    for meant in (name, SYNONYMS.get(name)):
        if meant in keys:
            return meant
        if meant in lasts:
            return lasts[meant]
    return next((lasts[last] for last in most_similar(name, lasts, count=1)), None)


def _setting(key: str, value: str) -> str:
    return f"{key}={value or '...'}" if not value or _PLAIN.fullmatch(value) else typed(key, value)
