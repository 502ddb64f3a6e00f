"""Config groups of train.py and their options, from the files in conf/."""

import yaml

from fer_lightning.paths import CONF


def options(group: str) -> list[str]:
    """Return the options of a config group, from the names of their files."""
    folder = CONF / group
    return sorted(str(path.relative_to(folder).with_suffix("")) for path in folder.rglob("*.yaml"))


def groups() -> list[str]:
    """Return the groups in the defaults list of conf/train.yaml. Other commands have groups of their own."""
    defaults = yaml.safe_load((CONF / "train.yaml").read_text())["defaults"]
    keys = {key.removeprefix("optional ") for entry in defaults if isinstance(entry, dict) for key in entry}
    return sorted(key for key in keys if not key.startswith("override ") and "/" not in key)


def listing() -> str:
    """Return one line per group with its options, for `python train.py --help`."""
    return "\n".join(f"{group}: {', '.join(options(group))}" for group in groups())
