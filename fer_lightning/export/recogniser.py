"""Trained network as an ONNX graph. Only this module of the folder imports torch at its top."""

import logging
import warnings
from collections.abc import Sequence

import cv2
import numpy as np
import onnx
import torch
from torch import Tensor, nn

from fer_lightning.augment.warp import identity, pixel_matrices
from fer_lightning.evaluation import tta
from fer_lightning.evaluation.ensemble import mean_probabilities
from fer_lightning.evaluation.torch_predictor import Predictor
from fer_lightning.export import graph
from fer_lightning.export.weights import fold_batch_norms, store_weights
from fer_lightning.faces.face import SIDE
from fer_lightning.faces.face_model import OUTPUT
from fer_lightning.faces.image_form import FER2013_FORM, ImageForm
from fer_lightning.models.network import Network


class Checkpoint:
    """Run's network in float32 on the CPU, as a function from faces uint8 to probabilities float32 (N, K).

    input_size, mean, std  settings of the run's model
    form                   size and color of the faces
    views                  name of the views whose probabilities are averaged: see `evaluation.tta`
    """

    def __init__(
        self,
        network: Network,
        input_size: int,
        mean: float,
        std: float,
        form: ImageForm = FER2013_FORM,
        views: str = "none",
    ) -> None:
        self.network, self.form, self._how = network, form, {"input_size": input_size, "mean": mean, "std": std}
        self._views = tta.views(views, input_size)
        self._predictor = Predictor(network, self._views, device=torch.device("cpu"), **self._how)

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        return self._predictor(torch.from_numpy(pixels)).numpy()

    def recogniser(self, temperature: float = 1.0) -> "Recogniser":
        return Recogniser(self.network, temperature=temperature, form=self.form, views=self._views, **self._how)

    def to_onnx(self, temperature: float = 1.0, weights: str = "float32") -> onnx.ModelProto:
        """Return the graph that divides the logits by `temperature` and stores its weights in the format `weights`."""
        return to_onnx(self.recogniser(temperature), weights)


class CheckpointEnsemble:
    """Mean of the probabilities of several checkpoints, with the two methods of `Checkpoint`.

    The mean is that of `evaluation.ensemble`.
    """

    def __init__(self, members: Sequence[Checkpoint]) -> None:
        self.members = members

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        return mean_probabilities([member(pixels) for member in self.members])

    def recogniser(self, temperature: float = 1.0) -> "MeanRecogniser":
        return MeanRecogniser([member.recogniser() for member in self.members], temperature)

    def to_onnx(self, temperature: float = 1.0, weights: str = "float32") -> onnx.ModelProto:
        return to_onnx(self.recogniser(temperature), weights)


class MirroredCheckpoint:
    """Mean of the probabilities of a face and of its mirror image, with two methods of `Checkpoint`.

    The mean is that of an evaluation with `tta=flip`. Its graph joins the two views once, in front of all networks, so
    that a page can choose one of them: see `faces.views`.
    """

    def __init__(self, checkpoint: Checkpoint | CheckpointEnsemble) -> None:
        self.checkpoint = checkpoint

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        mirrored = np.ascontiguousarray(pixels[:, :, ::-1])
        return mean_probabilities([self.checkpoint(pixels), self.checkpoint(mirrored)])

    def to_onnx(self, temperature: float = 1.0, weights: str = "float32") -> onnx.ModelProto:
        return to_onnx(MirroredRecogniser(self.checkpoint.recogniser(), temperature), weights)


class Recogniser(nn.Module):
    """Module from whole levels float32, (N, S, S) grey or (N, 3, S, S) RGB, to probabilities (N, K), as an evaluation.

    It computes the same as `Predictor`, in operations that ONNX also has.

    input_size, mean, std  settings of the run's model
    temperature            number that divides the logits, or, for several views, the logarithms of the mean
    form                   size and color of the faces
    views                  views whose probabilities are averaged, each theta (1, 2, 3) that only scales, mirrors and
                           shifts; None: the plain resize
    """

    def __init__(
        self,
        network: Network,
        input_size: int,
        mean: float,
        std: float,
        temperature: float = 1.0,
        form: ImageForm = FER2013_FORM,
        views: Sequence[Tensor | None] = (None,),
    ) -> None:
        super().__init__()
        self.network, self.mean, self.std, self.temperature, self.form = network, mean, std, temperature, form
        self.views = nn.ModuleList(View(input_size, form.size, theta) for theta in views)

    def forward(self, levels: Tensor) -> Tensor:
        seen = [view(levels) for view in self.views]
        image = ((torch.cat(seen) if len(seen) > 1 else seen[0]) / 255 - self.mean) / self.std
        logits = self.network(image if self.form.color else image[:, None])
        if len(seen) == 1:
            return (logits / self.temperature).softmax(dim=1)
        mean = logits.softmax(dim=1).reshape(len(seen), -1, logits.shape[1]).mean(dim=0)
        return tempered(mean, self.temperature)


class View(nn.Module):
    """Levels (..., S, S) of a face as one view of it, float32 (..., size, size) of whole numbers.

    theta  transform of the view (1, 2, 3), which only scales, mirrors and shifts; None: the plain resize
    """

    def __init__(self, size: int, side: int, theta: Tensor | None) -> None:
        super().__init__()
        self.unchanged = theta is None and size == side
        if not self.unchanged:
            down, across = resize_matrices(size, side, theta)
            self.register_buffer("down", down)
            self.register_buffer("across", across)

    def forward(self, levels: Tensor) -> Tensor:
        return levels if self.unchanged else torch.floor(self.down @ levels @ self.across.T + 0.5)


class MeanRecogniser(nn.Module):
    """Mean of the probabilities of several recognisers of the same levels, each with its own size and channels.

    temperature  number that divides the logarithms of the mean; 1: the mean itself
    """

    def __init__(self, members: Sequence[Recogniser], temperature: float) -> None:
        super().__init__()
        self.members, self.temperature, self.form = nn.ModuleList(members), temperature, members[0].form

    def forward(self, levels: Tensor) -> Tensor:
        mean = torch.stack([member(levels) for member in self.members]).mean(dim=0)
        return tempered(mean, self.temperature)


class MirroredRecogniser(nn.Module):
    """Mean of a recogniser's probabilities of a face and of its mirror image.

    temperature  number that divides the logarithms of the mean; 1: the mean itself
    """

    def __init__(self, recogniser: Recogniser | MeanRecogniser, temperature: float) -> None:
        super().__init__()
        self.recogniser, self.temperature, self.form = recogniser, temperature, recogniser.form

    def forward(self, levels: Tensor) -> Tensor:
        both = self.recogniser(torch.cat([levels, levels.flip(-1)]))
        mean = both.reshape(2, -1, both.shape[1]).mean(dim=0)
        return tempered(mean, self.temperature)


def tempered(mean: Tensor, temperature: float) -> Tensor:
    """Return probabilities (N, K) whose logarithms are divided by the temperature; 1: the same."""
    return (mean.log() / temperature).softmax(dim=1)


def resize_matrices(size: int, side: int = SIDE, theta: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Return the shares of a face's `side` rows, and of its columns, in each of `size`: float32 (size, side) twice.

    theta  transform of a view, as in `View`

    The shares are bilinear, as in `augment.warp`. OpenCV rounds the sampling points to 32nds of a pixel by its own
    rule. So OpenCV resizes an image whose levels are the indices of its columns; the result is the sampling points.
    """
    matrix = pixel_matrices(identity(1) if theta is None else theta, side, size)[0]
    numbers = np.tile(np.arange(side, dtype=np.float32), (side, 1))
    flags, border = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, cv2.BORDER_REPLICATE
    columns = cv2.warpAffine(numbers, matrix, (size, size), flags=flags, borderMode=border)[0]
    rows = cv2.warpAffine(numbers.T.copy(), matrix, (size, size), flags=flags, borderMode=border)[:, 0]
    down, across = (np.maximum(1 - np.abs(points[:, None] - np.arange(side)), 0) for points in (rows, columns))
    return torch.from_numpy(down.astype(np.float32)), torch.from_numpy(across.astype(np.float32))


def to_onnx(recogniser: Recogniser | MeanRecogniser | MirroredRecogniser, weights: str) -> onnx.ModelProto:
    """Return the graph from crops uint8 (N, H, W, C) to probabilities float32 (N, K); C = 1 (grey) or 3 (RGB).

    recogniser  module on the CPU, in evaluation mode
    weights     format of the stored weights: float32, float16, int8 or codebook4
    """
    size, color = recogniser.form.size, recogniser.form.color
    faces = torch.zeros(2, *((3,) if color else ()), size, size)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # values that a network keeps for previews and losses are not in the graph
        program = torch.onnx.export(
            recogniser,
            (faces,),
            dynamo=True,
            opset_version=graph.OPSET,
            input_names=["levels"],
            output_names=[OUTPUT],
            dynamic_shapes=({0: torch.export.Dim("N")},),
            external_data=False,
            verbose=False,
        )
    model = _drop_source_notes(program.model_proto)
    fold_batch_norms(model)
    store_weights(model, weights)
    return graph.join(model, recogniser.form)


def _drop_source_notes(model: onnx.ModelProto) -> onnx.ModelProto:
    """Remove torch's notes about the source lines of each node, which contain folders of this machine."""
    body = model.graph
    for part in (model, body, *body.node, *body.input, *body.output, *body.value_info, *body.initializer):
        del part.metadata_props[:]
        part.ClearField("doc_string")
    return model
