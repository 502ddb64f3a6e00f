"""timm's networks by name, at any input size that they can take."""

import pytest
import torch

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
