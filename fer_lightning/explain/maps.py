"""Maps of the pixels that a prediction depends on, by captum: class activation (Grad-CAM) and occlusion.

Grad-CAM is Selvaraju et al. 2017 (arXiv:1610.02391), occlusion Zeiler and Fergus 2014 (arXiv:1311.2901), and the check
with shuffled weights follows Adebayo et al. 2018 (arXiv:1810.03292).
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from captum.attr import LayerGradCam, Occlusion
from scipy.stats import spearmanr
from torch import Tensor, nn
from torch.nn import functional as F

from fer_lightning.evaluation.torch_predictor import Predictor

LEAST_SIDE = 6  # positions along a side of a map; a smaller map shows hardly more than "everywhere"
LEAST_CONVOLUTIONS = 2  # before the map: the patches of a vision transformer are a single one, and hold no evidence
AT_ONCE = 4  # hidden squares per call
SEED = 0


@dataclass(frozen=True)
class MapLayer:
    """Layer of a backbone whose output is weighted for the class activation map.

    name  name of the module in the backbone
    side  positions along a side of its output
    """

    name: str
    module: nn.Module
    side: int


@torch.no_grad()
def find_layer(predictor: Predictor, images: Tensor) -> MapLayer | None:
    """Return the last layer whose map has 6 x 6 positions or more, or that of the finest map; None without maps.

    images  faces uint8 (B, S, S) or (B, S, S, 3)
    """
    backbone, layers, convolutions = predictor.network.backbone, [], 0

    def keep(name: str, module: nn.Module, output: object) -> None:
        nonlocal convolutions
        convolutions += isinstance(module, nn.Conv2d)
        is_map = isinstance(output, Tensor) and output.ndim == 4 and min(output.shape[-2:]) > 1
        if is_map and convolutions >= LEAST_CONVOLUTIONS:
            layers.append(MapLayer(name, module, min(output.shape[-2:])))

    hooks = [
        module.register_forward_hook(lambda module, _, output, name=name: keep(name, module, output))
        for name, module in backbone.named_modules()
        if name
    ]
    try:
        predictor.network(_inputs(predictor, images[:1]))
    finally:
        for hook in hooks:
            hook.remove()
    return max(reversed(layers), key=lambda layer: min(layer.side, LEAST_SIDE), default=None)


def class_activation(predictor: Predictor, name: str, images: Tensor, classes: Tensor) -> np.ndarray:
    """Return maps float32 (B, S, S), 0 or more: evidence in the output of layer `name` for the given classes.

    images   faces uint8 (B, S, S) or (B, S, S, 3)
    classes  class indices int64 (B,)
    """
    network = predictor.network
    method = LayerGradCam(network, network.backbone.get_submodule(name))
    maps = method.attribute(
        _inputs(predictor, images), target=classes.to(predictor.device), relu_attributions=True
    ).detach()
    return _on_faces(maps, network.stn.theta, images.shape[1])[:, 0].float().cpu().numpy()


def occlusion(predict: Callable[[Tensor], Tensor], images: Tensor, classes: Tensor, square: int) -> np.ndarray:
    """Return maps float32 (B, S, S): fall of the probability of a class if a square around the pixel is hidden.

    A square is filled with the mean grey level of its face, or with its mean color. A pixel gets the mean over all
    squares that cover it.

    predict  function from faces uint8 (B, S, S) or (B, S, S, 3) to probabilities (B, K)
    """

    def probabilities(levels: Tensor) -> Tensor:
        return predict(levels.round().to(torch.uint8)).clone()

    levels, channels = images.float(), tuple(images.shape[3:])  # all channels of a pixel are hidden together
    maps = Occlusion(probabilities).attribute(
        levels,
        sliding_window_shapes=(square, square, *channels),
        strides=(max(1, square // 2),) * 2 + channels,
        baselines=levels.mean(dim=(1, 2), keepdim=True).expand_as(levels),
        target=classes,
        perturbations_per_eval=AT_ONCE,
    )
    maps = maps.detach().float().numpy()
    return maps[..., 0] if channels else maps


def shuffled(predictor: Predictor) -> Predictor:
    """Return a copy whose network has the weights of each layer in random order, so that it has learned nothing."""
    other, generator = copy.deepcopy(predictor), torch.Generator().manual_seed(SEED)
    with torch.no_grad():
        for weights in other.network.parameters():
            order = torch.randperm(weights.numel(), generator=generator).to(weights.device)
            weights.copy_(weights.flatten()[order].view_as(weights))
    return other


def agreement(maps: np.ndarray, others: np.ndarray) -> float | None:
    """Return the mean rank correlation (Spearman) of two sets of maps (B, H, W); None if all maps are constant."""
    pairs = [(a.ravel(), b.ravel()) for a, b in zip(maps, others, strict=True) if np.ptp(a) and np.ptp(b)]
    return float(np.mean([spearmanr(a, b).statistic for a, b in pairs])) if pairs else None


def _inputs(predictor: Predictor, images: Tensor) -> Tensor:
    return predictor.transform.evaluate(images.to(predictor.device))


def _on_faces(maps: Tensor, theta: Tensor, side: int) -> Tensor:
    """Return maps (B, 1, h, w) of what the spatial transformer returned as maps (B, 1, side, side) of the faces.

    theta  (B, 2, 3), from the transformer's output to its input; it is inverted here
    """
    last = theta.new_tensor([0.0, 0.0, 1.0]).expand(len(theta), 1, 3)
    inverse = torch.linalg.pinv(torch.cat([theta.float(), last], dim=1))[:, :2]
    grid = F.affine_grid(inverse, (len(maps), 1, side, side), align_corners=False)
    inside = (grid.abs() <= 1).all(dim=-1)[:, None]
    return F.grid_sample(maps.float(), grid, padding_mode="border", align_corners=False) * inside
