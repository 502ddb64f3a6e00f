"""timm's networks by name, at any input size that they can take."""

import re

import pytest
import timm
import torch
from safetensors.torch import save_file

from fer_lightning.errors import UserError
from fer_lightning.models.timm_backbone import TimmBackbone


@pytest.mark.parametrize(
    ("name", "size"), [("resnet10t", 48), ("vit_tiny_patch16_224", 64), ("mobilenetv3_small_050", 32)]
)
def test_cnns_and_vits_are_built_for_the_input_size(name, size):
    backbone = TimmBackbone(name, num_classes=8, in_channels=1, input_size=size)
    assert backbone.training
    assert backbone.eval()(torch.rand(2, 1, size, size)).shape == (2, 8)


def test_unknown_names_and_tags_get_the_nearest():
    with pytest.raises(UserError, match=r"model.name=resnet81: not a network of timm. Most similar: .*resnet18"):
        TimmBackbone("resnet81")
    with pytest.raises(UserError, match=r"no weights of that tag. Use: .*convnext_tiny.fb_in22k"):
        TimmBackbone("convnext_tiny.nonsense")


def test_an_old_name_of_timm_is_followed_with_a_note(caplog):
    with caplog.at_level("INFO", logger="fer_lightning"):
        backbone = TimmBackbone("ssl_resnet18", input_size=32)
    assert "ssl_resnet18 is an old name" in caplog.text
    assert backbone.network.pretrained_cfg["tag"] == "fb_ssl_yfcc100m_ft_in1k"


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("hf_hub:timm/resnet18.a1_in1k", "Use model.name=resnet18.a1_in1k; for its weights, model.pretrained=true"),
        ("hf-hub:someone/faces", "Use a name of timm, such as"),
        ("local-dir:/models/faces", "hubs and folders are not read"),
    ],
)
def test_names_of_hubs_are_refused_with_the_name_to_write(name, advice):
    with pytest.raises(UserError, match=re.escape(f"model.name={name}: hubs and folders are not read.")) as error:
        TimmBackbone(name)
    assert advice in str(error.value)


def test_what_a_network_cannot_take_is_refused_in_words():
    with pytest.raises(
        UserError, match=r"model.name=maxvit_rmlp_pico_rw_256: cannot be built with model.input_size=50"
    ):
        TimmBackbone("maxvit_rmlp_pico_rw_256", input_size=50)
    with pytest.raises(UserError, match=r"model.drop_path_rate=0.1"):
        TimmBackbone("dla34", drop_path_rate=0.1)


def test_pretrained_weights_that_cannot_be_had_are_asked_for_at_once(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.setenv("FER_PRETRAINED", str(tmp_path))
    with pytest.raises(UserError, match=r"(?s)resnet18\.a1_in1k.*resolve/main/model.safetensors"):
        TimmBackbone("resnet18", pretrained=True)


@pytest.mark.parametrize(
    "content", [b"", b"<html>404</html>", b"version https://git-lfs.github.com/spec/v1\noid sha256:1"]
)
def test_a_damaged_weights_file_is_named(content, tmp_path, monkeypatch):
    monkeypatch.setenv("FER_PRETRAINED", str(tmp_path))
    (tmp_path / "resnet18.a1_in1k.safetensors").write_bytes(content)
    with pytest.raises(UserError, match=r"resnet18\.a1_in1k\.safetensors: does not hold the weights of resnet18"):
        TimmBackbone("resnet18", pretrained=True)


def test_a_weights_file_with_other_keys_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("FER_PRETRAINED", str(tmp_path))
    weights = {f"model.{key}": value for key, value in timm.create_model("resnet18").state_dict().items()}
    save_file(weights, tmp_path / "resnet18.a1_in1k.safetensors")
    with pytest.raises(UserError, match=r"resnet18\.a1_in1k\.safetensors: does not hold the weights of resnet18"):
        TimmBackbone("resnet18", pretrained=True)


def test_the_weights_of_a_file_are_loaded_and_the_head_is_new(tmp_path, monkeypatch):
    monkeypatch.setenv("FER_PRETRAINED", str(tmp_path))
    weights = timm.create_model("resnet18").state_dict()
    save_file(weights, tmp_path / "resnet18.a1_in1k.safetensors")
    loaded = TimmBackbone("resnet18", pretrained=True, drop_rate=0.2).network
    assert torch.equal(loaded.layer4[1].conv2.weight, weights["layer4.1.conv2.weight"])
    assert loaded.fc.weight.shape == (7, 512)
    assert loaded.drop_rate == 0.2
