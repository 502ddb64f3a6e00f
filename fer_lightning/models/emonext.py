"""EmoNeXt on timm's ConvNeXt; each mistake of the published code has an option, and the default is as published."""

from typing import ClassVar, Literal

import timm
import torch
from torch import Tensor, nn

from fer_lightning.models.blocks import SqueezeExcitation
from fer_lightning.models.imagenet_weights import locate, not_its_weights, timm_name
from fer_lightning.models.input_size import check_input_size


class EmoNeXt(nn.Module):
    """ConvNeXt with squeeze-excitation after each of its three downsamplings and a self-attention before the head.

    El Boudouri and Bohi 2023, "EmoNeXt: an Adapted ConvNeXt for Facial Emotion Recognition" (MMSP); ConvNeXt: Liu et
    al. 2022 (arXiv:2201.03545). (B, in_channels, S, S) -> logits (B, num_classes). Its STN is `stn=emonext`: with that,
    3 channels, 224 px and 7 classes, tiny has 30,564,331 weights. The paper has tiny to xlarge.

    size              size of timm's ConvNeXt; atto, femto, pico and nano are smaller than tiny, for a CPU
    attention         batch: as published, softmax weights between the images of a batch. They are used only in the
                      auxiliary term, so the value projection is never trained; it is frozen here.
                      tokens: attention between the positions of each image's last map, added to it before the pooling.
                      off: no attention.
    attention_scale   factor on the logits before the softmax: published d**-0.25, standard d**-0.5 (Vaswani 2017)
    attention_weight  factor on the auxiliary term (the paper's omega; published code: 1). The term is the variance of
                      the softmax weights; each forward pass sets `self.auxiliary["attention"]` to the product.
    se_init           half: as published, each gate starts near sigmoid(0) = 0.5; identity: it starts at exactly 1;
                      off: no squeeze-excitation
    drop_path         stochastic depth of the last block; it is proportionally smaller in earlier blocks
    pretrained        ImageNet weights of the ConvNeXt part; the head is new. atto to nano have in1k, xlarge has in22k,
                      the others have both.
    """

    # The stem and the three downsamplings divide the side by 32. Tokens need two positions of the last map.
    smallest_input: ClassVar = {"": 32, "attention=tokens": 64}

    def __init__(
        self,
        size: Literal["atto", "femto", "pico", "nano", "tiny", "small", "base", "large", "xlarge"] = "tiny",
        num_classes: int = 7,
        in_channels: int = 3,
        input_size: int = 224,
        attention: Literal["batch", "tokens", "off"] = "batch",
        attention_scale: Literal["published", "standard"] = "published",
        attention_weight: float = 1.0,
        se_init: Literal["half", "identity", "off"] = "half",
        drop_path: float = 0.1,
        pretrained: Literal["in1k", "in22k"] | None = None,
    ):
        super().__init__()
        check_input_size(self.smallest_input, input_size, {"attention": attention})
        self.num_classes, self.in_channels, self.input_size = num_classes, in_channels, input_size
        self.attention_mode, self.attention_weight, self.se_init = attention, attention_weight, se_init
        self.auxiliary: dict[str, Tensor] = {}
        self.convnext = _convnext(size, num_classes, in_channels, drop_path, pretrained)
        for stage in self.convnext.stages[1:] if se_init != "off" else []:
            channels = stage.downsample[1].out_channels
            stage.downsample.append(_squeeze_excitation(channels, se_init))
        if attention != "off":
            channels = self.convnext.num_features
            exponent = -0.25 if attention_scale == "published" else -0.5
            self.attention = SelfAttention(channels, channels**exponent)
            self.attention.value.requires_grad_(attention == "tokens")

    def forward(self, x: Tensor) -> Tensor:
        features = self.convnext.forward_features(x)
        if self.attention_mode == "tokens":
            features = self._attend_to_tokens(features)
        pooled = self.convnext.forward_head(features, pre_logits=True)
        if self.attention_mode == "batch":
            self._keep_term(self.attention.weights(pooled))
        return self.convnext.head.fc(pooled)

    def _attend_to_tokens(self, features: Tensor) -> Tensor:
        tokens = features.flatten(2).transpose(1, 2)
        weights = self.attention.weights(tokens)
        self._keep_term(weights)
        tokens = tokens + self.attention.mixed(tokens, weights)
        return tokens.transpose(1, 2).reshape(features.shape)

    def _keep_term(self, weights: Tensor) -> None:
        weights = weights.float()
        self.auxiliary = {"attention": self.attention_weight * (weights - weights.mean()).square().mean()}


class SelfAttention(nn.Module):
    """One head of dot-product self-attention over the rows of x (..., N, C); Vaswani et al. 2017, arXiv:1706.03762."""

    def __init__(self, channels: int, scale: float):
        super().__init__()
        self.scale = scale
        self.norm = nn.LayerNorm(channels, eps=1e-5)
        self.query, self.key, self.value = (nn.Linear(channels, channels) for _ in range(3))
        for layer in (self.query, self.key, self.value):
            nn.init.trunc_normal_(layer.weight, std=0.02)
            nn.init.zeros_(layer.bias)

    def weights(self, x: Tensor) -> Tensor:
        """Return softmax weights (..., N, N); each row sums to 1."""
        x = self.norm(x)
        return torch.softmax(self.query(x) @ self.key(x).transpose(-2, -1) * self.scale, dim=-1)

    def mixed(self, x: Tensor, weights: Tensor) -> Tensor:
        """Return the values of x, mixed by `weights`: (..., N, C)."""
        values = self.value(self.norm(x))
        return weights.to(values.dtype) @ values


def _squeeze_excitation(channels: int, init: str) -> SqueezeExcitation:
    block = SqueezeExcitation(channels, identity=init == "identity")
    nn.init.trunc_normal_(block.fc[0].weight, std=0.02)
    if init == "half":
        nn.init.trunc_normal_(block.fc[2].weight, std=0.02)
    return block


def _convnext(size: str, num_classes: int, in_channels: int, drop_path: float, pretrained: str | None) -> nn.Module:
    """Return timm's ConvNeXt. All pretrained keys must fit, so the head is replaced only after they are loaded."""
    if pretrained is None:
        return timm.create_model(
            f"convnext_{size}", num_classes=num_classes, in_chans=in_channels, drop_path_rate=drop_path
        )
    name, file = timm_name(size, pretrained), locate(size, pretrained)
    try:
        network = timm.create_model(
            name,
            pretrained=True,
            pretrained_cfg_overlay={"file": str(file)},
            in_chans=in_channels,
            drop_path_rate=drop_path,
        )
    except Exception as error:
        raise not_its_weights(file, name, error) from error
    network.reset_classifier(num_classes)
    nn.init.trunc_normal_(network.head.fc.weight, std=0.02)
    nn.init.zeros_(network.head.fc.bias)
    return network
