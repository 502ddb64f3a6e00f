"""Patches that make the runs of tests shorter without a change in the tested behaviour."""

import copy
import os

import pytest
from hydra._internal.sources_registry import SourcesRegistry
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigResult, ConfigSource


def draw_nothing(patch: pytest.MonkeyPatch) -> None:
    """Leave out the figures of runs, which take a third of a short run's time."""
    for name in ("curves", "confusion", "per_class", "face_grid"):
        patch.setattr(f"fer_lightning.pages.plots.{name}", lambda *_, **__: None)


def parse_configs_once(patch: pytest.MonkeyPatch) -> None:
    """Let Hydra parse a YAML file again only if it changed, because that takes a fifth of the time to compose a run."""
    Plugins.instance()  # import Hydra's plugins first: Hydra replaces their classes when it imports them
    files = SourcesRegistry.instance().resolve("file")
    parse, parsed = files.load_config, {}

    def load_config(source: ConfigSource, config_path: str) -> ConfigResult:
        path = os.path.join(source.path, source._normalize_file_name(config_path))
        if not os.path.isfile(path):
            return parse(source, config_path)
        state = os.stat(path)
        version = (path, state.st_ino, state.st_mtime_ns, state.st_size)
        if version not in parsed:
            parsed[version] = parse(source, config_path)
        return copy.deepcopy(parsed[version])

    patch.setattr(files, "load_config", load_config)
