"""Work that each forked script finds done: libraries imported, files of conf/ parsed, the parser of overrides warm."""

import pytest
from hydra import compose, initialize_config_dir
from short_runs import parse_configs_once

import fer_lightning.pages.plots
import fer_lightning.training.build
import fer_lightning.training.callbacks.previews  # noqa: F401
from fer_lightning.config import schema
from fer_lightning.paths import CONF

parse_configs_once(pytest.MonkeyPatch())
schema.register()
with initialize_config_dir(str(CONF), version_base="1.3"):
    compose("train", ["data=synthetic"])
