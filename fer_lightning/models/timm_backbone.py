"""Any backbone of the timm library, by its name."""

import logging
import re

import timm
import torch
from torch import Tensor, nn

from fer_lightning.errors import UserError
from fer_lightning.models.imagenet_weights import not_its_weights, weights_file
from fer_lightning.wording import most_similar

log = logging.getLogger("fer_lightning")


class TimmBackbone(nn.Module):
    """A network of timm: (B, in_channels, S, S) -> logits (B, num_classes).

    Networks of a fixed input size (ViTs) are built for `input_size`. All weights of a file must fit, so the head is
    replaced only after they are loaded.

    name            name in timm, with or without a weights tag: resnet18, vit_tiny_patch16_224, convnext_tiny.fb_in22k;
                    an old name is replaced by timm's present one, with a note
    pretrained      True: load the weights of that name; the head is new
    drop_rate       dropout before the head
    drop_path_rate  stochastic depth, for networks that have it

    Raise UserError for an unknown name, for an option or an input size that the network does not accept, and for a
    file that does not hold the weights of the network.
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
        name = _present_name(name)
        config = _config(name)
        weights = _weights(name, config) if pretrained else None
        try:
            self.network = timm.create_model(
                name,
                **({} if pretrained else {"num_classes": num_classes}),
                in_chans=in_channels,
                img_size=input_size if config.fixed_input_size else None,
                drop_rate=drop_rate or None,
                drop_path_rate=drop_path_rate or None,
                pretrained=pretrained,
                pretrained_cfg_overlay=weights,
            )
            if pretrained:
                self.network.reset_classifier(num_classes)
            _try_once(self.network, torch.zeros(1, in_channels, input_size, input_size))
        except (TypeError, ValueError, AssertionError, RuntimeError) as error:
            if isinstance(error, UserError):
                raise
            if weights and "state_dict" in str(error):
                raise not_its_weights(weights["file"], name, error) from error
            raise UserError(
                f"model.name={name}: cannot be built with model.input_size={input_size} "
                f"model.in_channels={in_channels} model.drop_rate={drop_rate} "
                f"model.drop_path_rate={drop_path_rate}: {error}\n"
                "Change one of these values, or use another model.name."
            ) from error
        except Exception as error:  # safetensors and pickle have errors of their own
            if not weights:
                raise
            raise not_its_weights(weights["file"], name, error) from error

    def forward(self, x: Tensor) -> Tensor:
        return self.network(x)


def _present_name(name: str) -> str:
    """Return the name that timm now uses for a network that it has renamed; any other name is returned as it is."""
    present = timm.models.get_deprecated_models().get(name)
    if present:
        log.info("note: model.name=%s is an old name in timm; its present name %s is used", name, present)
    return present or name


def _config(name: str):
    """Return timm's config of a network. Raise UserError with the most similar names for an unknown name."""
    names = timm.list_models()
    if hub := re.fullmatch(r"[\w-]+:(?:.*/)?([^/]+)", name):
        is_listed = hub[1].partition(".")[0] in names
        advice = f"Use model.name={hub[1]}" if is_listed else "Use a name of timm, such as model.name=resnet18"
        raise UserError(
            f"model.name={name}: hubs and folders are not read. {advice}; for its weights, model.pretrained=true."
        )
    architecture, _, tag = name.partition(".")
    if architecture not in names:
        similar = most_similar(architecture, names, count=5)
        raise UserError(
            f"model.name={name}: not a network of timm. Most similar: {', '.join(similar) or 'none'}. "
            'List all names: python -c "import timm; print(timm.list_models())"'
        )
    tagged = timm.list_models(f"{architecture}.*", pretrained=True)
    if tag and name not in tagged:
        raise UserError(f"model.name={name}: {architecture} has no weights of that tag. Use: {', '.join(tagged)}.")
    return timm.get_pretrained_cfg(name)


def _weights(name: str, config) -> dict[str, str] | None:
    """Return timm's override with the local weights file; None if timm must load the weights itself."""
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
