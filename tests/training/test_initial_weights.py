"""A run that starts from another run: what it takes, what is new, how both are trained, and what is refused."""

import json
import shutil
from functools import cache
from pathlib import Path

import pytest
import torch
from conftest import ROOT, TINY, composed
from export_runs import untrained_run
from omegaconf import OmegaConf

from fer_lightning.cli import train
from fer_lightning.data import synthetic
from fer_lightning.errors import UserError
from fer_lightning.files import file_checksum
from fer_lightning.models.checkpoints import evaluated_weights
from fer_lightning.runs.run_folder import RunFolder
from fer_lightning.runs.trained_folder import origin_folder
from fer_lightning.training import build, initial_weights
from fer_lightning.training.classifier import FERClassifier

LIKE = (*TINY, "model.lean=true", "stn=affine", "augment=none", "data.taxonomy=learning_game")
GAME = ("angry", "frustration", "boredom", "happy", "sad", "surprise", "neutral")
WITHOUT_MODEL = tuple(override for override in LIKE if not override.startswith("model"))
HEAD = ["backbone.fc4.weight", "backbone.fc4.bias"]
SMALL = {
    "resemotenet": ("model.width=0.0625",),
    "emonext": ("model.input_size=64", "model.size=atto"),
    "timm": ("model.input_size=48",),
    "whitened_cnn": ("model.channels=[8,16]",),
    "se_resnet": ("model.blocks=[1,1]", "model.channels=[4,8]"),
}


@pytest.fixture(scope="module", autouse=True)
def faces_drawn_once():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fer_lightning.data.synthetic.load", cache(synthetic.load))
        yield


@pytest.fixture(scope="module")
def origin(tmp_path_factory) -> Path:
    """A run of 7 classes of FER2013 whose weights are all different from those of a new run."""
    return untrained_run(tmp_path_factory.mktemp("origin") / "seed-0")


def weights(run: Path) -> dict[str, torch.Tensor]:
    content = torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)
    return evaluated_weights(content, averaged=False)


def filled(*overrides: str, like: tuple[str, ...] = LIKE) -> tuple[dict[str, torch.Tensor], dict]:
    """The weights that a run of this config begins with, and what its summary says about them."""
    cfg = composed(*like, *overrides)
    data = build.build_data(cfg)
    network = build.build_network(cfg, len(data.table.classes))
    return network.state_dict(), initial_weights.fill(cfg, network, data)


@pytest.mark.parametrize("named", ["folder", "best.ckpt"])
def test_all_weights_but_rows_of_new_classes_are_those_of_the_other_run(named, origin):
    path = origin if named == "folder" else origin / "checkpoints" / "best.ckpt"
    ours, record = filled(f"model.init={path}")
    theirs = weights(origin)
    assert all(torch.equal(ours[key], theirs[key]) for key in ours if key not in HEAD)
    for key in HEAD:
        same = [torch.equal(own, other) for own, other in zip(ours[key], theirs[key], strict=True)]
        assert same == [name not in ("frustration", "boredom") for name in GAME]
    assert record["path"] == str(origin)
    assert record["checksum"] == file_checksum(origin / "checkpoints" / "best.ckpt")
    assert record["new"] == HEAD
    assert record["classes"] == ["angry", "happy", "sad", "surprise", "neutral"]
    assert record["rows"] == "compared"


def test_without_its_transformer_a_network_takes_the_rest(origin):
    ours, record = filled(f"model.init={origin}", "stn=none")
    assert not any(key.startswith("stn.") for key in ours)
    assert record["left"]
    assert all(key.startswith("stn.") for key in record["left"])
    assert record["new"] == HEAD


@pytest.mark.parametrize("model", [path.stem for path in sorted((ROOT / "conf" / "model").glob("*.yaml"))])
def test_every_network_finds_its_head_and_matches_its_rows_by_name(model, monkeypatch):
    cfg = composed(*WITHOUT_MODEL, f"model={model}", *SMALL[model])
    built = {classes: build.build_network(cfg, classes) for classes in (3, 4)}
    monkeypatch.setattr(build, "build_network", lambda _, classes: built[classes])
    network, other = (built[classes].state_dict() for classes in (3, 4))
    other = {key: value + 1 if value.is_floating_point() else value for key, value in other.items()}
    heads = initial_weights.class_dimensions(cfg, network, 3)
    assert heads
    ours, new = initial_weights.combine(network, other, heads, ("c", "x", "a"), ("a", "b", "c", "d"))
    assert new == list(heads)
    assert all(torch.equal(ours[key], other[key]) for key in ours if key not in heads)
    for key, dimension in heads.items():
        own, before, theirs = (state[key].transpose(0, dimension) for state in (ours, network, other))
        assert torch.equal(own, torch.stack([theirs[2], before[1], theirs[0]]))


@pytest.mark.slow
def test_equal_classes_need_no_new_head(origin):
    ours, record = filled(f"model.init={origin}", "data.taxonomy=fer2013")
    assert record["new"] == []
    assert all(torch.equal(ours[key], value) for key, value in weights(origin).items())
    with pytest.raises(UserError, match="nothing would train in these epochs"):
        begin(f"model.init={origin}", "data.taxonomy=fer2013", "freeze_epochs=1")


def begin(*overrides: str) -> FERClassifier:
    cfg = composed(*LIKE, *overrides)
    data = build.build_data(cfg)
    model = build.build_classifier(cfg, data)
    initial_weights.begin(cfg, model, data)
    return model


@pytest.mark.slow
def test_old_weights_have_a_lower_rate_with_every_optimiser(origin):
    for optim in ("sgd", "adamw", "muon"):
        model = begin(f"model.init={origin}", f"optim={optim}", "init_lr_factor=0.1", "ema_decay=0.9")
        groups, names = model.configure_optimizers().param_groups, dict(model.network.named_parameters())
        rates = {id(parameter): group["base_lr"] for group in groups for parameter in group["params"]}
        assert len(rates) == len(names) == sum(len(group["params"]) for group in groups)
        old, new = (rates[id(names[key])] for key in ("backbone.fc3.weight", HEAD[0]))
        assert old == pytest.approx(0.1 * new)
        averaged = model.ema.module.state_dict()
        assert all(torch.equal(averaged[key], value) for key, value in model.network.state_dict().items())


@pytest.mark.slow
@pytest.mark.usefixtures("no_pictures")
def test_taken_weights_and_statistics_are_frozen_in_the_first_epochs_only(origin, tmp_path, monkeypatch):
    """Muon rescales every weight that it updates, also at a learning rate of 0."""
    began, ended = weights(origin), []
    close = FERClassifier.on_validation_start

    def noted(self) -> None:
        ended.append({key: value.clone() for key, value in self.network.state_dict().items()})
        close(self)

    monkeypatch.setattr(FERClassifier, "on_validation_start", noted)
    options = (f"model.init={origin}", "freeze_epochs=1", "optim=muon", "trainer.limit_train_batches=1")
    train.fit_and_test(composed(*LIKE, *options), RunFolder(tmp_path), {})
    first, second = ({key for key in began if not torch.equal(state[key], began[key])} for state in ended)
    assert first == set(HEAD)
    assert first < second
    assert any("running_mean" in key for key in second)
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["init"]["new"] == HEAD


REFUSALS = {
    "no such run": ("model.init=nowhere/seed-0", r"model\.init=nowhere/seed-0: no such folder"),
    "shipped": ("model.init=shipped", r"model\.init=shipped: an exported file.*experiment=fer2013_cpu_large$"),
    "another width": (
        "model.width=0.125",
        r"another architecture \(model\.width=0\.0625\).*backbone\.conv1\.weight is",
    ),
    "another network": ("model=se_resnet", r"another architecture.*No weight fits\. The first layer: backbone\.stem"),
    "other grey levels": ("model.mean=0.4", r"trained with model\.mean=0\.449.*Set model\.mean=0\.449"),
    "rows it has seen": ("data.split=stratified", r"trained on \d+ images of the validation rows of this run"),
}


@pytest.mark.parametrize(("override", "message"), REFUSALS.values(), ids=REFUSALS)
def test_a_run_that_cannot_be_the_start_is_refused(override, message, origin):
    init = [] if override.startswith("model.init") else [f"model.init={origin}"]
    other = ("model.channels=[4,8]", "model.blocks=[1,1]", "model.mean=0.449", "model.std=0.226")
    like = (*WITHOUT_MODEL, override, *other) if override == "model=se_resnet" else (*LIKE, override)
    with pytest.raises(UserError, match=message):
        filled(*init, like=like)


def test_a_file_that_is_not_of_a_run_is_refused(origin, tmp_path):
    shutil.copy(origin / "checkpoints" / "best.ckpt", tmp_path)
    for name, message in (("best.ckpt", "must be a run folder"), ("", "not a run folder")):
        with pytest.raises(UserError, match=message):
            origin_folder(str(tmp_path / name))


@pytest.mark.slow
def test_rows_that_cannot_be_compared_are_reported(origin, tmp_path, caplog):
    run = tmp_path / "moved"
    shutil.copytree(origin, run)
    summary = json.loads((run / "summary.json").read_text())
    summary["split"]["checksum"] = "5911"
    (run / "summary.json").write_text(json.dumps(summary))
    _, record = filled(f"model.init={run}")
    assert "cannot be compared with those of this run (its data now gives split" in record["rows"]
    initial_weights.report(record)


def test_a_run_on_drawn_faces_may_start_a_run_on_a_store(origin):
    began = OmegaConf.load(origin / "config.yaml").data
    checksum = json.loads((origin / "summary.json").read_text())["split"]["checksum"]
    _, split = initial_weights._rows_of(began, OmegaConf.create({"root": "data/fer2013"}), checksum)
    assert split.checksum == checksum


def test_the_run_from_which_the_other_run_began_is_compared_too(origin, tmp_path):
    first, run = tmp_path / "first", tmp_path / "second"
    shutil.copytree(origin, first)
    shutil.copytree(origin, run)
    summary = json.loads((run / "summary.json").read_text())
    summary["init"] = {
        "path": str(first),
        "commit": None,
        "checksum": "c",
        "new": [],
        "classes": [],
        "rows": "compared",
    }
    (run / "summary.json").write_text(json.dumps(summary))
    assert filled(f"model.init={run}")[1]["rows"] == "compared"
    shutil.rmtree(first)
    assert "no such run" in filled(f"model.init={run}")[1]["rows"]


@pytest.mark.parametrize(("model", "calls"), [("emonext", 0), ("se_resnet", 0), ("whitened_cnn", 1)])
def test_only_a_network_that_starts_from_faces_makes_them(model, calls):
    cfg = composed(*WITHOUT_MODEL, f"model={model}", *SMALL[model])
    made = []

    def faces() -> torch.Tensor:
        made.append(torch.randn(64, cfg.model.in_channels, cfg.model.input_size, cfg.model.input_size))
        return made[-1]

    build.build_network(cfg, 3, faces)
    assert len(made) == calls
