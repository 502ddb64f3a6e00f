"""A config names objects of this project's rooms and a few of the libraries it uses, and runs nothing else."""

import copy
import functools
import json
from collections.abc import Iterator
from contextlib import suppress

import pytest
import yaml
from conftest import ROOT, TINY, composed
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from fer_lightning.check.allowed_targets import refuse_foreign_targets
from fer_lightning.check.check import check
from fer_lightning.errors import UserError
from fer_lightning.evaluation.trained_run import open_run


@pytest.mark.parametrize("path", sorted((ROOT / "conf").rglob("*.yaml")), ids=lambda path: path.stem)
def test_every_yaml_of_ours_passes(path):
    content = OmegaConf.to_container(OmegaConf.load(path), resolve=False) or {}
    group = path.parent.relative_to(ROOT / "conf").parts
    if not group or group[0] in ("hydra", "experiment", "debug", "sweep", "scaled", "collect", "live"):
        return  # composed from the files of the groups; collect and live have declared settings
    refuse_foreign_targets({group[0]: without_interpolations(content)})


def without_interpolations(value):
    if isinstance(value, dict):
        return {key: without_interpolations(item) for key, item in value.items()}
    return "resolved" if isinstance(value, str) and "${" in value else value


@pytest.mark.parametrize(
    ("key", "target"),
    [
        ("model", "os.system"),
        ("model", "builtins.eval"),
        ("model", "subprocess.run"),
        ("model", "fer_lightning.runs.run_folder.subprocess.run"),
        ("model", "fer_lightning.files.write_atomically"),
        ("model", "fer_lightning.models.author_checkpoints.checkpoints.read_checkpoint"),
        ("model", "fer_lightning.models.timm_backbone.timm.create_model"),
        ("model", "torch.load"),
        ("data", "fer_lightning.data.ingest.ingest"),
        ("data", "fer_lightning.data.store.os.system"),
        ("data", "fer_lightning.data.readers.files.zlib.load"),
        ("loss", "fer_lightning.models.resemotenet.ResEmoteNet"),
        ("optim", "torch.optim.sgd.torch.load"),
        ("optim", "torch.hub.load"),
        ("trainer", "lightning.pytorch.trainer.trainer.os.system"),
        ("trainer.profiler", "os.system"),
        ("logger", "logging.FileHandler"),
        ("callbacks.own", "builtins.exec"),
        ("callbacks.best.folder", "os.system"),
        ("augment.flip.p", "os.system"),
        ("augment.order[0]", "os.system"),
        ("augment.flip.deep.list[0][1].node", "os.system"),
        ("expected", "os.system"),
    ],
)
def test_targets_of_other_rooms_are_refused(key, target):
    config = {}
    for part in reversed(key.replace("[0][1]", ".0.1").replace("[0]", ".0").split(".")):
        inner = config or {"_target_": target}
        config = {part: inner} if not part.isdigit() else [None] * int(part) + [inner]
    with pytest.raises(UserError) as refusal:
        refuse_foreign_targets(config)
    name = key.replace("[0][1]", ".0.1").replace("[0]", ".0")
    assert str(refusal.value).startswith(f"{name}._target_={target}")
    assert "llowed" in str(refusal.value)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("model._target_", "os.system", "model._target_=os.system: not allowed here. Allowed: fer_lightning.models.*"),
        ("augment.own", {"_target_": "os.system"}, "augment.own._target_=os.system: not allowed here"),
        ("model._args_", [1], "model._args_=[1]: not used here"),
        ("loss._partial_", True, "loss._partial_=True: not used here"),
        ("optim._convert_", "all", "optim._convert_='all': not used here"),
        ("callbacks.best._recursive_", False, "callbacks.best._recursive_=False: not used here"),
        ("model._target_", "${oc.decode:os.system}", "model._target_=os.system: not allowed here"),
        ("augment.own", "${oc.create:'{_target_: os.system}'}", "augment.own._target_=os.system: not allowed here"),
        ("model._target_", r"\${oc.env:HOME}", "model._target_='${oc.env:HOME}': expected a dotted name"),
        ("name", r"\${oc.env:HOME}", "name=${oc.env:HOME}: resolves to an interpolation"),
        ("augment.order", [r"\${oc.env:HOME}"], "augment.order.0=${oc.env:HOME}: resolves to an interpolation"),
    ],
)
def test_no_key_and_no_interpolation_slips_in(key, value, words):
    cfg = composed(*TINY)
    OmegaConf.update(cfg, key, value, force_add=True)
    with pytest.raises(UserError) as refusal:
        check(cfg)
    assert words in str(refusal.value)


@pytest.mark.parametrize("target", [3, None, "fer_lightning.models./etc/passwd.x", "fer_lightning.models..x", ""])
def test_what_is_no_dotted_name_is_refused(target):
    with pytest.raises(UserError, match="expected a dotted name"):
        refuse_foreign_targets({"model": {"_target_": target}})


def test_what_is_checked_is_what_is_built():
    """A node that resolves to something else once it is taken out of the config would pass by the check."""
    cfg = composed(*TINY, "model._target_=${oc.select:stn.room,fer_lightning.models.resemotenet.ResEmoteNet}")
    check(cfg)
    taken_out = OmegaConf.masked_copy(cfg.model, list(cfg.model))
    OmegaConf.update(cfg, "stn.room", "os.system", force_add=True)
    assert taken_out._target_ == "fer_lightning.models.resemotenet.ResEmoteNet"
    assert cfg.model._target_ == "fer_lightning.models.resemotenet.ResEmoteNet"


@pytest.mark.parametrize("key", ["mean", "std"])
def test_a_model_yaml_must_set_its_normalisation(key):
    cfg = OmegaConf.create(OmegaConf.to_container(composed(*TINY), enum_to_str=True))
    del cfg.model[key]
    with pytest.raises(
        UserError, match=rf"model\.{key} is not set\. The model's YAML must set .*conf/model/timm\.yaml"
    ):
        check(cfg)


def test_a_model_yaml_may_leave_weights_out():
    cfg = OmegaConf.create(OmegaConf.to_container(composed(*TINY), enum_to_str=True))
    del cfg.model["weights"]
    check(cfg)


def test_a_config_that_was_read_from_a_folder_needs_its_root_keys():
    config = OmegaConf.to_container(composed(*TINY), enum_to_str=True)
    check(OmegaConf.create(config))
    with pytest.raises(UserError, match="colour: no such key"):
        check(OmegaConf.create(config | {"colour": 1}))
    del config["model"]
    with pytest.raises(UserError, match="model: the config does not set it"):
        check(OmegaConf.create(config))


ODD = ["x", [1], {"a": 1}]


def keys(tree: dict, above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, value in tree.items():
        yield (*above, name)
        if isinstance(value, dict):
            yield from keys(value, (*above, name))


@pytest.mark.slow
def test_odd_values_anywhere_are_taken_or_refused_in_words():
    config = OmegaConf.to_container(composed(*TINY), enum_to_str=True)
    for *above, last in keys(config):
        for value in ODD:
            changed = copy.deepcopy(config)
            node = functools.reduce(dict.__getitem__, above, changed)
            node[last] = value
            with suppress(UserError, OmegaConfBaseException):
                check(OmegaConf.create(changed))


def test_evaluate_builds_nothing_that_a_strange_config_names(tmp_path):
    config = OmegaConf.to_container(composed(*TINY), enum_to_str=True)
    config["stn"] = {"_target_": "os.system", "command": f"touch {tmp_path / 'ran'}"}
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "best.ckpt").touch()
    (tmp_path / "summary.json").write_text(json.dumps({"status": "done", "split": {"checksum": "0"}}))
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(UserError, match=r"stn\._target_=os\.system: not allowed here"):
        open_run(tmp_path)
    assert not (tmp_path / "ran").exists()
