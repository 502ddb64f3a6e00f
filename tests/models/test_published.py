"""Both networks against the published ones' numbers, through the loader of published checkpoints, and its refusals."""

import importlib.util
from pathlib import Path

import published_reference as reference
import pytest
import torch
from torch.nn import functional as F

from fer_lightning.errors import UserError
from fer_lightning.models.author_checkpoints import fill_published, load_published
from fer_lightning.models.emonext import EmoNeXt
from fer_lightning.models.resemotenet import ResEmoteNet
from fer_lightning.stn.affine import AffineSTN
from fer_lightning.stn.emonext import EmoNeXtSTN
from fer_lightning.stn.none import Identity
from fer_lightning.stn.sampling import resample

pytestmark = pytest.mark.slow

ORIGINALS = Path(__file__).resolve().parents[3] / "shared" / "reference"


@pytest.fixture(scope="module")
def emonext():
    """(reference, state, stn, backbone) with the published state loaded, in evaluation mode."""
    facts = reference.load("emonext_tiny_224")
    state = reference.weights(facts["keys"])
    stn, backbone = EmoNeXtSTN().eval(), EmoNeXt().eval()
    fill_published(state, stn, backbone)
    return facts, state, stn, backbone


@pytest.fixture
def small_state():
    return ResEmoteNet(width=0.0625).state_dict()


def parameters(*modules):
    return sum(p.numel() for module in modules for p in module.parameters())


def test_resemotenet_gives_the_published_logits_in_both_forms():
    facts = reference.load("resemotenet_64")
    state, images, logits = reference.weights(facts["keys"]), reference.noise(4, 64), torch.tensor(facts["logits"])
    full = ResEmoteNet().eval()
    assert list(full.state_dict()) == list(facts["keys"])
    assert parameters(full) == facts["parameters"] == 80_238_599
    fill_published(state, Identity(), full)
    with torch.no_grad():
        torch.testing.assert_close(full(images), logits, atol=5e-6, rtol=0)
    del full
    lean = ResEmoteNet(lean=True).eval()
    assert facts["parameters"] - parameters(lean) == 44_040_192
    fill_published(state, Identity(), lean)
    with torch.no_grad():
        torch.testing.assert_close(lean(images), logits, atol=5e-6, rtol=0)


def test_emonext_gives_the_published_loss_and_shift(emonext):
    facts, _, stn, backbone = emonext
    assert parameters(stn, backbone) == facts["parameters"] == 30_564_331
    images = reference.noise(4, 224)
    with torch.no_grad():
        seen = stn(images)
        logits = backbone(seen)
    assert (seen - images).abs().mean().item() == pytest.approx(facts["stn_mean_abs_shift"], abs=5e-6)
    loss = F.cross_entropy(logits, torch.tensor(facts["labels"]), label_smoothing=0.2)
    total = loss + backbone.auxiliary["attention"]
    assert total.item() == pytest.approx(facts["loss_with_labels"], abs=5e-6)
    # Float32 leaves theta uncertain by 3e-7, and this moves the logits of noise images by up to 2e-5,
    # by the CPU's kernels and the number of threads: the next test removes it.
    torch.testing.assert_close(logits, torch.tensor(facts["logits"]), atol=3e-5, rtol=0)


def test_emonext_gives_the_published_logits_but_for_thetas_rounding(emonext):
    """A theta within 1e-6 of ours, six numbers found by least squares, gives an image's seven logits to 5e-6."""
    facts, _, stn, backbone = emonext
    images = reference.noise(4, 224)[:1]
    with torch.no_grad():
        stn(images)
    theta, expected = stn.theta[0].requires_grad_(), torch.tensor(facts["logits"][0])
    ours = backbone(resample(images, theta[None], align_corners=True))[0]
    slopes = torch.stack([torch.autograd.grad(logit, theta, retain_graph=True)[0].flatten() for logit in ours]).double()
    wrong = (expected - ours.detach()).double()
    # Least squares in units of 1e-7 of theta, each of which costs a little, so that it stays where it explains nothing.
    costs = torch.cat([slopes * 1e-7, 1e-9 * torch.eye(6)])
    move = torch.linalg.lstsq(costs, torch.cat([wrong, torch.zeros(6)])[:, None]).solution[:, 0] * 1e-7
    assert move.abs().max() < 1e-6
    assert (wrong - slopes @ move).abs().max() < 5e-6


@pytest.mark.skipif(not ORIGINALS.is_dir(), reason="../shared/reference is not here")
def test_the_recipe_of_weights_is_that_of_the_reference():
    spec = importlib.util.spec_from_file_location("fill", ORIGINALS / "fill.py")
    original = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(original)
    keys = reference.load("emonext_tiny_224")["keys"]
    keys = {key: shape for key, shape in keys.items() if key.startswith(("localization.", "stages.0.0.", "norm."))}
    expected = original.filled(keys)
    for key, ours in reference.weights(keys).items():
        torch.testing.assert_close(ours, torch.from_numpy(expected[key]), atol=1e-7, rtol=1e-6)


@pytest.mark.parametrize("wrapper", [None, "model_state_dict", "state_dict", "network"])
def test_a_file_is_read_bare_or_wrapped(tmp_path, small_state, wrapper):
    path = tmp_path / "published.pth"
    torch.save({wrapper: small_state, "epoch": 3} if wrapper else small_state, path)
    backbone = ResEmoteNet(width=0.0625)
    load_published(path, AffineSTN(3, 64), backbone)
    for key, value in backbone.state_dict().items():
        assert torch.equal(value, small_state[key])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([1, 2], "holds a list"),
        ({"epoch": 1}, "no state dict"),
        ({"a.weight": torch.zeros(1)}, "neither ResEmoteNet nor EmoNeXt"),
        ({"network.backbone.fc4.weight": torch.zeros(1)}, "a run of this project, use model.init=RUN"),
    ],
)
def test_a_file_of_something_else_is_refused(tmp_path, content, words):
    path = tmp_path / "other.pth"
    torch.save(content, path)
    with pytest.raises(UserError, match=words):
        load_published(path, Identity(), ResEmoteNet(width=0.0625))
    path.write_bytes(b"nonsense")
    with pytest.raises(UserError, match="is not a checkpoint of PyTorch"):
        load_published(path, Identity(), ResEmoteNet(width=0.0625))
    with pytest.raises(UserError, match=r"no such file"):
        load_published(tmp_path / "absent.pth", Identity(), ResEmoteNet(width=0.0625))


def test_every_missing_unexpected_and_misshapen_key_is_named(small_state):
    del small_state["se.fc.0.weight"]
    small_state["extra.weight"] = torch.zeros(1)
    with pytest.raises(UserError) as error:
        fill_published(small_state, Identity(), ResEmoteNet(width=0.0625, in_channels=1))
    message = str(error.value)
    assert "missing se.fc.0.weight" in message
    assert "unexpected extra.weight" in message
    assert "conv1.weight has shape (4, 3, 3, 3), the model's is (4, 1, 3, 3)" in message


def test_a_wrong_class_count_is_named(small_state):
    with pytest.raises(UserError, match=r"7 classes, and the data has 8"):
        fill_published(small_state, Identity(), ResEmoteNet(8, width=0.0625))


def test_emonexts_checkpoint_needs_its_stn_and_its_function(emonext):
    _, state, stn, backbone = emonext
    with pytest.raises(UserError, match=r"the stn is Identity.*Set stn=emonext"):
        fill_published(state, Identity(), backbone)
    with pytest.raises(UserError, match=r"holds EmoNeXt, and the model is ResEmoteNet"):
        fill_published(state, stn, ResEmoteNet(width=0.0625))
    with pytest.raises(UserError, match=r"model.attention=off model.se_init=identity"):
        fill_published(state, stn, EmoNeXt(attention="off", se_init="identity"))
    with pytest.raises(UserError, match=r"fc_loc.0.weight has shape \(32, 27040\), the model's is \(32, 640\)"):
        fill_published(state, EmoNeXtSTN(3, 48), backbone)
