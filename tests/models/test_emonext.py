"""EmoNeXt's switches do what they say, and nothing that a switch leaves off stays behind."""

import functools

import pytest
import safetensors.torch
import timm
import torch

from fer_lightning.errors import UserError
from fer_lightning.models.blocks import SqueezeExcitation
from fer_lightning.models.emonext import EmoNeXt, SelfAttention


@pytest.fixture(autouse=True)
def small_convnext(monkeypatch):
    """Each ConvNeXt with one narrow block per stage: the switches do not depend on the size."""
    create = functools.partial(timm.create_model, depths=(1, 1, 1, 1), dims=(24, 48, 96, 192))
    monkeypatch.setattr(timm, "create_model", create)


def network(seed=0, **options):
    torch.manual_seed(seed)
    return EmoNeXt(**{"input_size": 64, "in_channels": 1, "drop_path": 0.0} | options)


def faces(n=4, size=64):
    return torch.rand(n, 1, size, size, generator=torch.Generator().manual_seed(1))


def gradients(net):
    """Names of the parameters that a training loss does not reach."""
    loss = net(faces()).logsumexp(1).sum() + sum(net.auxiliary.values())
    loss.backward()
    return {name for name, p in net.named_parameters() if p.grad is None or not p.grad.any()}


def test_the_convnext_parts_keep_timms_names():
    ours = {key.removeprefix("convnext.") for key in network(attention="off").state_dict()}
    timms = set(timm.create_model("convnext_tiny", num_classes=7, in_chans=1).state_dict())
    assert timms <= ours
    assert ours - timms == {f"stages.{i}.downsample.2.fc.{j}.weight" for i in (1, 2, 3) for j in (0, 2)}


def test_batch_attention_reaches_the_loss_alone():
    net = network().eval()
    logits = net(faces())
    term = net.auxiliary["attention"]
    torch.testing.assert_close(net(faces()[1:2]), logits[1:2], atol=1e-5, rtol=0)
    assert net.auxiliary["attention"] == 0  # a batch of one has a single weight, 1
    off = network(attention="off").eval()
    off.load_state_dict({k: v for k, v in net.state_dict().items() if not k.startswith("attention.")})
    assert torch.equal(off(faces()), logits)
    assert off.auxiliary == {}
    net.attention_weight = 3.0
    net(faces())
    assert net.auxiliary["attention"].item() == pytest.approx(3 * term.item(), rel=1e-6)


def test_the_term_is_the_variance_of_the_weights():
    net = network(attention_scale="standard").eval()
    with torch.no_grad():
        net.attention.query.weight.mul_(30)
        pooled = net.convnext.forward_head(net.convnext.forward_features(faces()), pre_logits=True)
        net(faces())
        weights = net.attention.weights(pooled)
    assert net.attention.scale == pytest.approx(192**-0.5)
    assert network().attention.scale == pytest.approx(192**-0.25)
    assert weights.shape == (4, 4)
    assert net.auxiliary["attention"].item() == pytest.approx(weights.var(correction=0).item(), rel=1e-5)


@pytest.mark.parametrize("attention", ["batch", "tokens", "off"])
def test_every_parameter_trains_but_the_unused_value_projection(attention):
    net = network(attention=attention)
    frozen = {"attention.value.weight", "attention.value.bias"} if attention == "batch" else set()
    # A key's bias adds the same to all scores of a row, which softmax ignores: its gradient is zero but for rounding.
    assert gradients(net) - {"attention.key.bias"} == frozen
    assert {name for name, p in net.named_parameters() if not p.requires_grad} == frozen


def test_token_attention_is_within_each_image_and_changes_it():
    net = network(attention="tokens").eval()
    logits = net(faces())
    torch.testing.assert_close(net(faces()[1:2]), logits[1:2], atol=1e-5, rtol=0)
    with torch.no_grad():
        net.attention.value.weight.zero_()
    plain = network(attention="off").eval()
    plain.load_state_dict({k: v for k, v in net.state_dict().items() if not k.startswith("attention.")})
    torch.testing.assert_close(net(faces()), plain(faces()), atol=1e-6, rtol=0)
    assert (logits - plain(faces())).abs().max() > 1e-4
    with pytest.raises(UserError, match=r"model.input_size=48 with model.attention=tokens: must be 64 or more"):
        network(attention="tokens", input_size=48)


def test_attention_weights_are_those_of_torchs_own():
    torch.manual_seed(0)
    attention, x = SelfAttention(16, 16**-0.5), torch.randn(2, 5, 16)
    y = attention.norm(x)
    expected = torch.nn.functional.scaled_dot_product_attention(
        attention.query(y), attention.key(y), attention.value(y)
    )
    torch.testing.assert_close(attention.mixed(x, attention.weights(x)), expected)


def test_the_squeeze_excitations_gate_starts_at_one_or_half_and_trains():
    x = torch.rand(2, 32, 4, 4)
    identity = SqueezeExcitation(32, identity=True)
    assert torch.equal(identity(x), x)
    identity(x).square().sum().backward()
    assert identity.fc[2].weight.grad.any()
    for init, gate in (("half", 0.5), ("identity", 1.0)):
        blocks = [m for m in network(se_init=init).modules() if isinstance(m, SqueezeExcitation)]
        assert len(blocks) == 3
        for block in blocks:
            x = torch.rand(2, block.fc[2].out_features, 3, 3)
            torch.testing.assert_close(block(x), gate * x, atol=0.05, rtol=0)


@pytest.mark.parametrize("attention", ["batch", "tokens"])
def test_bf16_and_channels_last_stay_close(attention):
    net = network(attention=attention).eval()
    with torch.no_grad():
        expected = net(faces())
        net.to(memory_format=torch.channels_last)
        images = faces().to(memory_format=torch.channels_last)
        torch.testing.assert_close(net(images), expected, atol=1e-5, rtol=0)
        with torch.autocast("cpu", torch.bfloat16):
            assert (net(images).float() - expected).abs().max() < 0.05
    assert net.auxiliary["attention"].isfinite()
    assert net.auxiliary["attention"].dtype == torch.float32


@pytest.mark.parametrize("size", [32, 49])
def test_other_input_sizes_work(size):
    assert network(input_size=size, num_classes=8).eval()(faces(1, size)).shape == (1, 8)


def test_pretrained_weights_are_loaded_key_by_key_under_a_new_head(tmp_path, monkeypatch):
    monkeypatch.setenv("FER_PRETRAINED", str(tmp_path))
    file = tmp_path / "convnext_tiny.fb_in1k.safetensors"
    torch.manual_seed(3)
    source = timm.create_model("convnext_tiny").state_dict()
    safetensors.torch.save_file(source, file)
    net = network(pretrained="in1k", in_channels=3)
    ours = net.convnext.state_dict()
    assert all(torch.equal(ours[key], value) for key, value in source.items() if not key.startswith("head.fc"))
    assert net.convnext.head.fc.weight.shape == (7, 192)
    assert not net.convnext.head.fc.bias.any()
    grey = network(pretrained="in1k").convnext.stem[0].weight
    torch.testing.assert_close(grey, source["stem.0.weight"].sum(1, keepdim=True))
    del source["stages.2.blocks.0.gamma"]
    safetensors.torch.save_file(source, file)
    with pytest.raises(UserError, match=r"does not hold the weights of convnext_tiny.fb_in1k"):
        network(pretrained="in1k")
