"""Load the authors' checkpoints of ResEmoteNet and EmoNeXt into our modules, all keys or none."""

import re
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from fer_lightning.errors import UserError
from fer_lightning.models import checkpoints
from fer_lightning.models.emonext import EmoNeXt
from fer_lightning.models.resemotenet import ResEmoteNet, to_lean
from fer_lightning.stn.emonext import EmoNeXtSTN

REMEDY = "Download the authors' file again, or set model.weights=null."
MISFIT = "Set model.input_size, in_channels, size and width to the values of its training, or set model.weights=null."
WRAPPERS = ("model_state_dict", "state_dict", "network")
STN_KEYS = ("localization.", "fc_loc.")
# Published name -> name in timm; the first pattern that matches a key rewrites it.
EMONEXT_TO_TIMM = (
    (r"^downsample_layers\.0\.", "convnext.stem."),
    (r"^downsample_layers\.(\d+)\.", r"convnext.stages.\1.downsample."),
    (r"^stages\.(\d+)\.(\d+)\.dwconv\.", r"convnext.stages.\1.blocks.\2.conv_dw."),
    (r"^stages\.(\d+)\.(\d+)\.pwconv([12])\.", r"convnext.stages.\1.blocks.\2.mlp.fc\3."),
    (r"^stages\.(\d+)\.(\d+)\.", r"convnext.stages.\1.blocks.\2."),
    (r"^norm\.", "convnext.head.norm."),
    (r"^head\.", "convnext.head.fc."),
)


def load_published(path: str | Path, stn: nn.Module, backbone: nn.Module) -> None:
    """Read the file `model.weights` and fill stn and backbone with it in place."""
    fill_published(read_checkpoint(path), stn, backbone, str(path))


def read_checkpoint(path: str | Path) -> dict[str, Tensor]:
    """Return the state dict in a file, bare or under one of WRAPPERS; only tensors and plain values are unpickled."""
    where = f"model.weights={path}"
    content: Any = checkpoints.read_checkpoint(path, where=where, remedy=REMEDY)
    content = next((content[name] for name in WRAPPERS if name in content), content)
    if not isinstance(content, dict) or not content or not all(isinstance(v, Tensor) for v in content.values()):
        raise UserError(f"{where}: holds no state dict, neither bare nor under {', '.join(WRAPPERS)}. {REMEDY}")
    return content


def fill_published(state: dict[str, Tensor], stn: nn.Module, backbone: nn.Module, path: str = "checkpoint") -> None:
    """Fill stn and backbone with the published state dict of one of the networks.

    Raise UserError if a key or a shape does not fit.
    """
    where = f"model.weights={path}"
    network = _network(state, where)
    if not isinstance(backbone, network):
        raise UserError(
            f"{where}: holds {network.__name__}, and the model is {type(backbone).__name__}. "
            f"Set model={network.__name__.lower()}, or set model.weights=null."
        )
    if network is EmoNeXt:
        _fill_emonext(state, stn, backbone, where)
    else:
        _check_classes(state["fc4.weight"], backbone.num_classes, where)
        if backbone.lean:
            state = to_lean(state, backbone.input_size)
        checkpoints.load_weights(backbone, state, where, MISFIT)


def _network(state: dict[str, Tensor], where: str) -> type[nn.Module]:
    if {"res_block1.conv1.weight", "fc4.weight"} <= state.keys():
        return ResEmoteNet
    if {"downsample_layers.0.0.weight", "head.weight"} <= state.keys():
        return EmoNeXt
    raise UserError(
        f"{where}: is neither ResEmoteNet nor EmoNeXt as published; its first keys are {', '.join(list(state)[:4])}. "
        "Set model.weights=null. To start from a run of this project, use model.init=RUN."
    )


def _fill_emonext(state: dict[str, Tensor], stn: nn.Module, backbone: EmoNeXt, where: str) -> None:
    transformer = {key: value for key, value in state.items() if key.startswith(STN_KEYS)}
    rest = {_timm_key(key): value for key, value in state.items() if key not in transformer}
    if transformer and not isinstance(stn, EmoNeXtSTN):
        raise UserError(
            f"{where}: holds the weights of EmoNeXt's spatial transformer, and the stn is {type(stn).__name__}. "
            "Without it the network would get other images than in its training. Set stn=emonext."
        )
    if backbone.attention_mode != "batch" or backbone.se_init != "half":
        raise UserError(
            f"{where}: was trained with model.attention=batch model.se_init=half, and the model has "
            f"model.attention={backbone.attention_mode} model.se_init={backbone.se_init}, which is another function. "
            "Set model.attention=batch model.se_init=half."
        )
    _check_classes(state["head.weight"], backbone.num_classes, where)
    if isinstance(stn, EmoNeXtSTN):
        checkpoints.load_weights(stn, transformer, where, MISFIT)
    checkpoints.load_weights(backbone, rest, where, MISFIT)


def _timm_key(key: str) -> str:
    for pattern, replacement in EMONEXT_TO_TIMM:
        renamed, count = re.subn(pattern, replacement, key)
        if count:
            return renamed
    return key


def _check_classes(head: Tensor, num_classes: int, where: str) -> None:
    if len(head) != num_classes:
        raise UserError(
            f"{where}: has {len(head)} classes, and the data has {num_classes}. "
            "Set data.taxonomy to the classes that it was trained on, or set model.weights=null."
        )
