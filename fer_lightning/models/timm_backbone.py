"""Any backbone of the timm library by its name."""

import difflib

import timm
import torch
from torch import Tensor, nn

from fer_lightning.errors import UserError
from fer_lightning.models.blocks import check_input_size
from fer_lightning.models.imagenet_weights import weights_file


class TimmBackbone(nn.Module):
    """(B, in_channels, S, S) -> logits (B, num_classes), with networks of fixed size (ViTs) built for `input_size`.

    name            timm's, with or without a weights tag: resnet18, vit_tiny_patch16_224, convnext_tiny.fb_in22k
    pretrained      load the weights that the name stands for; the head is new
    drop_rate       dropout before the head; drop_path_rate: stochastic depth, where the network has it

    UserError for an unknown name (with the nearest ones), for an option or an input size that the network cannot take.
    """

    def __init__(
        self,
        name: str = "resnet18",
        num_classes: int = 7,
        in_channels: int = 3,
        input_size: int = 64,
        pretrained: bool = False,
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
    ):
        super().__init__()
        check_input_size(input_size)
        config = _config(name)
        try:
            self.network = timm.create_model(
                name,
                num_classes=num_classes,
                in_chans=in_channels,
                img_size=input_size if config.fixed_input_size else None,
                drop_rate=drop_rate or None,
                drop_path_rate=drop_path_rate or None,
                pretrained=pretrained,
                pretrained_cfg_overlay=_weights(name, config) if pretrained else None,
            )
            _try_once(self.network, torch.zeros(1, in_channels, input_size, input_size))
        except (TypeError, ValueError, AssertionError, RuntimeError) as error:
            if isinstance(error, UserError):
                raise
            raise UserError(
                f"model.name={name} cannot be built with model.input_size={input_size} model.in_channels={in_channels} "
                f"model.drop_rate={drop_rate} model.drop_path_rate={drop_path_rate}: {error}"
            ) from error

    def forward(self, x: Tensor) -> Tensor:
        return self.network(x)


def _config(name: str):
    """timm's record of a network, or a UserError that names the nearest ones."""
    architecture, _, tag = name.partition(".")
    known = timm.list_models()
    if architecture not in known:
        nearest = difflib.get_close_matches(architecture, known, n=5, cutoff=0.4)
        raise UserError(
            f"model.name={name} is no timm network. Nearest: {', '.join(nearest) or 'none'}. "
            'All names: python -c "import timm; print(timm.list_models())"'
        )
    tagged = timm.list_models(f"{architecture}.*", pretrained=True)
    if tag and name not in tagged:
        raise UserError(f"model.name={name}: {architecture} has no weights of that tag. It has: {', '.join(tagged)}.")
    return timm.get_pretrained_cfg(name)


def _weights(name: str, config) -> dict[str, str] | None:
    """Points timm to a file where the weights are one on the hub; None leaves it to timm."""
    if not config.has_weights:
        raise UserError(
            f"model.pretrained=true: timm has no weights for model.name={name}. Set model.pretrained=false."
        )
    if not config.hf_hub_id or config.hf_hub_filename or config.custom_load:
        return None
    full_name = f"{config.architecture}.{config.tag}" if config.tag else name
    return {"file": str(weights_file(full_name, config.hf_hub_id))}


@torch.no_grad()
def _try_once(network: nn.Module, x: Tensor) -> None:
    network.eval()(x)
    network.train()
