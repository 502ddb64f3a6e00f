"""Every option of every group takes real steps: training, validation and test, from the YAML as it is."""

import json
import math

import pytest
import timm
import yaml
from conftest import ROOT, TINY, composed

from fer_lightning.cli import train
from fer_lightning.errors import UserError
from fer_lightning.runs.run_folder import RunFolder

pytestmark = pytest.mark.usefixtures("no_pictures")

GROUPS = ("model", "stn", "augment", "loss", "sampler", "optim", "schedule")
ENTRIES = yaml.safe_load((ROOT / "conf" / "train.yaml").read_text())["defaults"]
DEFAULTS = {item for entry in ENTRIES if isinstance(entry, dict) for item in entry.items()}
# All defaults together are one run: the default of the group model.
LARGE = ("emonext", "timm")  # networks that take longer than all others together
OPTIONS = [
    pytest.param(group, path.stem, marks=pytest.mark.slow if path.stem in LARGE and group == "model" else ())
    for group in GROUPS
    for path in sorted((ROOT / "conf" / group).glob("*.yaml"))
    if group == "model" or (group, path.stem) not in DEFAULTS
]
FEW = ("data.rows=120", "data.batch_size=16", "trainer.limit_train_batches=2", "trainer.max_epochs=1")
SMALL = {
    "resemotenet": ("model.width=0.0625", "model.input_size=48"),
    "emonext": ("model.input_size=64", "data.batch_size=4"),
    "timm": ("model.input_size=48",),
    "whitened_cnn": ("model.channels=[8,16]",),
    "se_resnet": ("model.blocks=[1,1]", "model.channels=[4,8]"),
}


def run(folder, *overrides: str) -> dict:
    model = next((o.partition("=")[2] for o in overrides if o.startswith("model=")), "resemotenet")
    tiny = [override for override in TINY if not override.startswith("model")]
    cfg = composed(
        *tiny, *FEW, f"model={model}", *SMALL.get(model, ()), *(o for o in overrides if o != f"model={model}")
    )
    train.fit_and_test(cfg, RunFolder(folder), {})
    return json.loads((folder / "summary.json").read_text())


@pytest.mark.slow
@pytest.mark.parametrize(("group", "option"), OPTIONS, ids=str)
def test_option_takes_real_steps(group, option, tmp_path):
    summary = run(tmp_path, f"{group}={option}")
    assert summary["status"] == "done"
    assert math.isfinite(summary["last"]["train/loss"])


COMBINATIONS = [
    ("model=emonext", "loss=weighted"),
    ("model=emonext", "stn=none", "model.attention=tokens", "model.se_init=identity", "ema_decay=0.9"),
    ("model=emonext", "model.attention='off'", "model.se_init='off'", "augment=mix", "sampler=weighted"),
    ("model=resemotenet", "stn=affine", "augment=strong", "sampler=weighted"),
    ("model=resemotenet", "model.lean=true", "stn=emonext", "augment=mix", "loss=class_balanced", "optim=adamw"),
    ("model=timm", "model.name=convnext_atto", "stn=affine", "loss=focal", "schedule=plateau"),
    ("trainer.precision=32-true", "channels_last=false", "trainer.accumulate_grad_batches=2"),
    ("trainer.precision=bf16-mixed", "trainer.gradient_clip_val=0.5"),
    ("data.split=stratified", "data.train_rows=60"),
    ("model=whitened_cnn", "optim=muon", "data.start_size=32", "stn=affine", "trainer.max_epochs=3"),
    ("data.taxonomy=learning_game",),
]


@pytest.fixture
def shallow_convnext(monkeypatch):
    """EmoNeXt in full is trained by the test of its option."""
    create = timm.create_model

    def shallow(name: str, **options):
        if name == "convnext_tiny":
            options |= {"depths": (1, 1, 1, 1), "dims": (16, 32, 48, 64)}
        return create(name, **options)

    monkeypatch.setattr(timm, "create_model", shallow)


@pytest.mark.slow
@pytest.mark.parametrize("overrides", COMBINATIONS, ids=" ".join)
def test_combination_takes_real_steps(overrides, shallow_convnext, tmp_path):
    assert run(tmp_path, *overrides)["status"] == "done"


def test_a_network_of_fixed_size_rejects_growing_images(tmp_path):
    with pytest.raises(UserError, match=r"data\.start_size=32: TimmBackbone takes only images of model\.input_size=48"):
        run(tmp_path, "model=timm", "model.name=vit_tiny_patch16_224", "data.start_size=32")


def test_a_spatial_transformer_of_fixed_size_rejects_growing_images(tmp_path):
    with pytest.raises(UserError, match=r"data\.start_size=32: EmoNeXtSTN takes only images of model\.input_size=48"):
        run(tmp_path, "model=whitened_cnn", "optim=muon", "stn=emonext", "data.start_size=32")


@pytest.mark.slow
def test_the_networks_auxiliary_loss_is_logged_and_added(shallow_convnext, tmp_path):
    summary = run(tmp_path, "model=emonext", "model.attention_weight=3.0", "loss=cross_entropy")
    assert summary["last"]["train/attention"] > 0
