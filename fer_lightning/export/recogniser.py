"""A trained network as an ONNX graph. The only module of this folder that imports torch at its top."""

import logging
import warnings

import cv2
import numpy as np
import onnx
import torch
from torch import Tensor, nn

from fer_lightning.augment.warp import identity, pixel_matrices
from fer_lightning.evaluation.torch_predictor import Predictor
from fer_lightning.export import graph
from fer_lightning.export.weights import fold_batch_norms, store_weights
from fer_lightning.faces.crop import SIDE
from fer_lightning.faces.face_model import OUTPUT
from fer_lightning.models.network import Network


class Checkpoint:
    """A run's network in float32 on the CPU: faces uint8 (N, 48, 48) -> probabilities float32 (N, K).

    input_size, mean, std  of the run's model
    """

    def __init__(self, network: Network, input_size: int, mean: float, std: float) -> None:
        self.network, self._how = network, {"input_size": input_size, "mean": mean, "std": std}
        self._predictor = Predictor(network, [None], device=torch.device("cpu"), **self._how)

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        return self._predictor(torch.from_numpy(pixels)).numpy()

    def to_onnx(self, temperature: float = 1.0, weights: str = "float32") -> onnx.ModelProto:
        """Return the graph that divides the logits by `temperature` and stores its weights in the form `weights`."""
        return to_onnx(Recogniser(self.network, temperature=temperature, **self._how), weights)


class Recogniser(nn.Module):
    """Whole grey levels float32 (N, 48, 48) to probabilities (N, K), as a run evaluates faces.

    The same as `Predictor` with a single view, in operations that ONNX has too.

    input_size, mean, std  of the run's model
    temperature            number that divides the logits
    """

    def __init__(self, network: Network, input_size: int, mean: float, std: float, temperature: float = 1.0) -> None:
        super().__init__()
        self.network, self.mean, self.std, self.temperature = network, mean, std, temperature
        self.resized = input_size != SIDE
        if self.resized:
            down, across = resize_matrices(input_size)
            self.register_buffer("down", down)
            self.register_buffer("across", across)

    def forward(self, grey: Tensor) -> Tensor:
        if self.resized:
            grey = torch.floor(self.down @ grey @ self.across.T + 0.5)
        image = (grey / 255 - self.mean) / self.std
        return (self.network(image[:, None]) / self.temperature).softmax(dim=1)


def resize_matrices(size: int) -> tuple[Tensor, Tensor]:
    """What each of a face's 48 rows, and columns, adds to each of `size`: float32 (size, 48) twice.

    As in `augment.warp`: bilinear between places that OpenCV rounds to 32nds of a pixel, in its own way. So OpenCV is
    asked: a picture whose levels are the numbers of its columns, resized, tells the places.
    """
    matrix = pixel_matrices(identity(1), SIDE, size)[0]
    numbers = np.tile(np.arange(SIDE, dtype=np.float32), (SIDE, 1))
    flags, border = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, cv2.BORDER_REPLICATE
    columns = cv2.warpAffine(numbers, matrix, (size, size), flags=flags, borderMode=border)[0]
    rows = cv2.warpAffine(numbers.T.copy(), matrix, (size, size), flags=flags, borderMode=border)[:, 0]
    down, across = (np.maximum(1 - np.abs(places[:, None] - np.arange(SIDE)), 0) for places in (rows, columns))
    return torch.from_numpy(down.astype(np.float32)), torch.from_numpy(across.astype(np.float32))


def to_onnx(recogniser: Recogniser, weights: str) -> onnx.ModelProto:
    """Crops uint8 (N, H, W, C) to probabilities float32 (N, K), for any N, H, W, and C 1 (grey) or 3 (RGB).

    recogniser  on the CPU, in evaluation mode
    weights     form in which they are stored: float32, float16 or int8
    """
    faces = torch.zeros(2, SIDE, SIDE)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what a network keeps for previews and losses is no part of the graph
        program = torch.onnx.export(
            recogniser,
            (faces,),
            dynamo=True,
            opset_version=graph.OPSET,
            input_names=["grey"],
            output_names=[OUTPUT],
            dynamic_shapes=({0: torch.export.Dim("N")},),
            external_data=False,
            verbose=False,
        )
    model = _without_traces(program.model_proto)
    fold_batch_norms(model)
    store_weights(model, weights)
    return graph.join(model)


def _without_traces(model: onnx.ModelProto) -> onnx.ModelProto:
    """torch notes for each node the lines of source behind it, with the folders of this machine."""
    body = model.graph
    for part in (model, body, *body.node, *body.input, *body.output, *body.value_info, *body.initializer):
        del part.metadata_props[:]
        part.ClearField("doc_string")
    return model
