"""Names of earlier versions that users may still type or that old run folders contain."""

import importlib.util
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from fer_lightning.files import parse_yaml
from fer_lightning.paths import PACKAGE

# `python -m NAME` and the present file of the command, relative to the package.
COMMANDS = {
    "fer_lightning.evaluate": "evaluation/evaluate.py",
    "fer_lightning.compare": "evaluation/compare.py",
    "fer_lightning.data.audit": "audit/audit.py",
}
TARGETS = {"_target_: fer_lightning.callbacks.": "_target_: fer_lightning.training.callbacks."}


class OldCommands(MetaPathFinder):
    """Import finder for the commands of `COMMANDS` by their old module names."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in COMMANDS:
            return None
        return importlib.util.spec_from_file_location(fullname, PACKAGE / COMMANDS[fullname])


def find_old_commands() -> None:
    """Let `python -m` accept the old names of commands."""
    if not any(isinstance(finder, OldCommands) for finder in sys.meta_path):
        sys.meta_path.append(OldCommands())


def read_config(text: str) -> Any:
    """Return the content of a run's config.yaml with the present name of each target."""
    for old, new in TARGETS.items():
        text = text.replace(old, new)
    return parse_yaml(text)
