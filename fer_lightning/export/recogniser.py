"""A trained network as a graph, and the proof that it says what the checkpoint says. The one room here with torch."""

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
from fer_lightning.faces.crop import SIDE
from fer_lightning.faces.face_model import OUTPUT, FaceModel
from fer_lightning.models.network import Network

BATCH = 100  # faces at once while the two are compared


class Recogniser(nn.Module):
    """Whole grey levels float32 (N, 48, 48) to probabilities (N, K), as a run evaluates faces.

    The same as `Predictor` with a single view, in operations that ONNX has too.

    input_size, mean, std  of the run's model
    """

    def __init__(self, network: Network, input_size: int, mean: float, std: float) -> None:
        super().__init__()
        self.network, self.mean, self.std = network, mean, std
        self.resized = input_size != SIDE
        if self.resized:
            down, across = resize_matrices(input_size)
            self.register_buffer("down", down)
            self.register_buffer("across", across)

    def forward(self, grey: Tensor) -> Tensor:
        if self.resized:
            grey = torch.floor(self.down @ grey @ self.across.T + 0.5)
        image = (grey / 255 - self.mean) / self.std
        return self.network(image[:, None]).softmax(dim=1)


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


def to_onnx(recogniser: Recogniser) -> onnx.ModelProto:
    """Crops uint8 (N, H, W, C) to probabilities float32 (N, K), for any N, H, W, and C 1 (grey) or 3 (RGB).

    recogniser  on the CPU, in evaluation mode
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
    return graph.join(_without_traces(program.model_proto))


def _without_traces(model: onnx.ModelProto) -> onnx.ModelProto:
    """torch notes for each node the lines of source behind it, with the folders of this machine."""
    body = model.graph
    for part in (model, body, *body.node, *body.input, *body.output, *body.value_info, *body.initializer):
        del part.metadata_props[:]
        part.ClearField("doc_string")
    return model


def greatest_difference(model: FaceModel, predictor: Predictor, faces: np.ndarray) -> float:
    """The farthest that a probability of the file is from the checkpoint's, over faces uint8 (N, 48, 48); or NaN."""
    farthest = [0.0]
    for start in range(0, len(faces), BATCH):
        part = np.ascontiguousarray(faces[start : start + BATCH])
        farthest.append(np.abs(model(part) - predictor(torch.from_numpy(part)).numpy()).max())
    return float(np.max(farthest))
