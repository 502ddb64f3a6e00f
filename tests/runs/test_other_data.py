"""A finished run is the result of a command only if it was trained on the data that the command names."""

import pytest
from fer_forms import Samples
from omegaconf import OmegaConf

from fer_lightning.data.ingest import ingest
from fer_lightning.errors import UserError
from fer_lightning.runs.run_folder import RunFolder


def test_a_finished_run_on_another_store_is_not_the_result(tmp_path):
    for name, seed in (("a", 0), ("b", 1), ("c", 0)):
        ingest(str(Samples(seed=seed).csv(tmp_path / "fer2013.csv")), str(tmp_path / name))
    configs = {name: {"seed": 0, "data": {"root": str(tmp_path / name)}} for name in "abcd"}
    folder = RunFolder(tmp_path / "run")
    folder.path.mkdir()
    (folder.path / "summary.json").write_text('{"status": "done"}')
    OmegaConf.save(configs["a"], folder.path / "config.yaml")
    with pytest.raises(UserError, match="holds a run on other data"):
        folder.refuse_another_config(configs["b"])
    folder.refuse_another_config(configs["c"])  # a copy of the store
    folder.refuse_another_config(configs["d"])  # no store there: nothing to compare with
