"""Config groups of train.py and their options, from the files in conf/."""

import yaml

from fer_lightning.paths import CONF

OVERRIDE = "override /"  # of another group, in the defaults list of a file


def options(group: str) -> list[str]:
    """Return the options of a config group, from the names of their files."""
    folder = CONF / group
    return sorted(str(path.relative_to(folder).with_suffix("")) for path in folder.rglob("*.yaml"))


def groups() -> list[str]:
    """Return the groups in the defaults list of conf/train.yaml. Other commands have groups of their own."""
    defaults = yaml.safe_load((CONF / "train.yaml").read_text())["defaults"]
    keys = {key.removeprefix("optional ") for entry in defaults if isinstance(entry, dict) for key in entry}
    return sorted(key for key in keys if not key.startswith("override ") and "/" not in key)


def chosen_by(group: str, option: str) -> dict[str, str]:
    """Return the options that the file of this option chooses in other groups, by group; {} without such a file."""
    path = CONF / group / f"{option}.yaml"
    defaults = (yaml.safe_load(path.read_text()) or {}).get("defaults", []) if path.is_file() else []
    chosen = {key: value for entry in defaults if isinstance(entry, dict) for key, value in entry.items()}
    return {key.removeprefix(OVERRIDE): str(value) for key, value in chosen.items() if key.startswith(OVERRIDE)}


def listing() -> str:
    """Return one line per group with its options, for `python train.py --help`."""
    return "\n".join(f"{group}: {', '.join(options(group))}" for group in groups())
