"""Probabilities of a trained network for faces as they are stored, and how long they take."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from fer_lightning.augment.pipeline import Augmentation, BatchTransform
from fer_lightning.data.table import FaceTable
from fer_lightning.errors import UserError
from fer_lightning.evaluation.stopwatch import median_seconds
from fer_lightning.models.network import Network
from fer_lightning.training.loader import Batch, EvalLoader, FaceDataset

if TYPE_CHECKING:
    from fer_lightning.faces.face_model import FaceModel

AUTOCAST = {"32-true": None, "bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}


def device_of(name: str) -> torch.device:
    """`cpu`, `cuda`, or `auto`: the first GPU where there is one. UserError where the GPU asked for is missing."""
    there = torch.cuda.is_available()
    if name == "cuda" and not there:
        raise UserError("device=cuda: this machine offers no GPU to torch. Choose device=cpu or device=auto.")
    return torch.device("cuda", 0) if there and name != "cpu" else torch.device("cpu")


class Predictor:
    """uint8 faces (B, 48, 48) -> probabilities float32 (B, K) on the CPU: the mean over the views.

    views      theta (1, 2, 3) each, or None for the plain resize: see tta.py
    mean, std  of the network's normalisation
    precision  as in training; 16-mixed on a CPU is 32-true
    """

    def __init__(
        self,
        network: Network,
        views: list[Tensor | None],
        *,
        input_size: int,
        mean: float,
        std: float,
        device: torch.device,
        precision: str = "32-true",
    ) -> None:
        self.network, self.views, self.device = network.to(device).eval(), views, device
        self.transform = BatchTransform(Augmentation([]), input_size, mean, std, num_classes=0)
        self.precision = "32-true" if precision == "16-mixed" and device.type == "cpu" else precision

    @torch.inference_mode()
    def __call__(self, images: Tensor) -> Tensor:
        images = images.to(self.device)
        dtype = AUTOCAST[self.precision]
        total = torch.zeros(())
        for view in self.views:
            x = self.transform.evaluate(images, view)
            with torch.autocast(self.device.type, dtype, enabled=dtype is not None):
                logits = self.network(x)
            total = total + logits.float().softmax(dim=1).cpu()
        return total / len(self.views)

    def facts(self) -> dict[str, Any]:
        name = torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else self.device.type
        return {
            "device": name,
            "threads": torch.get_num_threads(),
            "precision": self.precision,
            "views": len(self.views),
        }


class FilePredictor:
    """Exported file in place of a network: uint8 faces (B, 48, 48) -> probabilities float32 (B, K).

    threads  CPU threads that the file was opened with
    """

    def __init__(self, model: "FaceModel", threads: int) -> None:
        self.model, self.threads = model, threads

    def __call__(self, images: Tensor) -> Tensor:
        return torch.from_numpy(self.model(images.numpy()))

    def facts(self) -> dict[str, Any]:
        weights = f"weights={self.model.metadata.weights['form']}"
        return {"device": "cpu", "threads": self.threads, "precision": weights, "views": 1}

    def identity(self) -> dict[str, Any]:
        metadata = self.model.metadata
        return {"name": metadata.name, "sha256": self.model.sha256, "temperature": metadata.temperature}


def batches_of(table: FaceTable, rows: np.ndarray, batch_size: int) -> EvalLoader:
    """The batches in which a run on one device evaluates these rows."""
    pixels, labels = torch.from_numpy(table.pixels), torch.from_numpy(np.array(table.labels, np.int64))
    return EvalLoader(FaceDataset(pixels, labels, torch.from_numpy(np.array(rows, np.int64))), batch_size)


def rows_and_probabilities(
    predictor: Predictor | FilePredictor, batches: Iterable[Batch]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows (N,), labels (N,) and probabilities (N, K), ascending by row."""
    parts = [(batch["row"], batch["target"], predictor(batch["image"])) for batch in batches]
    rows, labels, probabilities = (torch.cat(column).numpy() for column in zip(*parts, strict=True))
    order = np.argsort(rows, kind="stable")
    return rows[order], labels[order], probabilities[order]


def latency(predictor: Predictor | FilePredictor, images: Tensor, batch_size: int) -> dict[str, Any]:
    """Median milliseconds of one image alone, and images a second in batches, from stored face to probabilities.

    images  uint8 (B, 48, 48) to measure with, repeated up to `batch_size`
    """
    batch = images.repeat(-(-batch_size // len(images)), 1, 1)[:batch_size]
    return {
        "milliseconds_of_one_image": round(1000 * median_seconds(lambda: predictor(images[:1])), 3),
        "images_per_second": round(batch_size / median_seconds(lambda: predictor(batch)), 1),
        "batch_size": batch_size,
        **predictor.facts(),
    }
