"""Probabilities of a trained network for stored faces, and the time that they take."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from fer_lightning.augment.pipeline import Augmentation, BatchTransform
from fer_lightning.data.table import FaceTable
from fer_lightning.errors import UserError
from fer_lightning.evaluation import tta
from fer_lightning.evaluation.stopwatch import median_seconds
from fer_lightning.models.network import Network
from fer_lightning.training.loader import Batch, EvalLoader, FaceDataset

if TYPE_CHECKING:
    from fer_lightning.evaluation.trained_run import TrainedRun
    from fer_lightning.faces.face_model import FaceModel

DEVICES = ("cpu", "cuda", "auto")
AUTOCAST = {"32-true": None, "bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}


def select_device(name: str) -> torch.device:
    """Return the device named `cpu`, `cuda` or `auto` (the first GPU, if there is one).

    Raise UserError for another name, and for `cuda` on a machine without a GPU.
    """
    if name not in DEVICES:
        raise UserError(f"device={name}: must be {', '.join(DEVICES[:-1])} or {DEVICES[-1]}.")
    has_gpu = torch.cuda.is_available()
    if name == "cuda" and not has_gpu:
        raise UserError("device=cuda: torch finds no GPU on this machine. Use device=cpu or device=auto.")
    return torch.device("cuda", 0) if has_gpu and name != "cpu" else torch.device("cpu")


class Predictor:
    """Network as a function from uint8 faces (B, S, S) or (B, S, S, 3) to probabilities float32 (B, K) on the CPU.

    views      list of theta (1, 2, 3), or None for the plain resize: see `evaluation.tta`. The result is their mean.
    mean, std  normalisation of the network's images
    precision  precision of training; on a CPU 16-mixed is replaced by 32-true
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

    @classmethod
    def of_run(cls, run: "TrainedRun", num_classes: int, *, views: str, device: str) -> "Predictor":
        """Return the predictor of the run's best.ckpt.

        views   name of the views of a face that are averaged: none, flip, shift or ten_crop
        device  name as for `select_device`
        """
        model = run.config.model
        return cls(
            run.network(num_classes),
            tta.views(views, model.input_size),
            input_size=model.input_size,
            mean=model.mean,
            std=model.std,
            device=select_device(device),
            precision=run.summary.get("precision", "32-true"),
        )

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
    """Exported file as a function from uint8 faces (B, S, S) to probabilities float32 (B, K).

    threads  number of CPU threads that the file was opened with
    """

    def __init__(self, model: "FaceModel", threads: int) -> None:
        self.model, self.threads = model, threads

    def __call__(self, images: Tensor) -> Tensor:
        return torch.from_numpy(self.model(images.numpy()))

    def facts(self) -> dict[str, Any]:
        weights = f"weights={(self.model.metadata.weights or {}).get('form', 'float32')}"
        return {"device": "cpu", "threads": self.threads, "precision": weights, "views": 1}

    def identity(self) -> dict[str, Any]:
        metadata = self.model.metadata
        return {"name": metadata.name, "sha256": self.model.sha256, "temperature": metadata.temperature}


def batches_of(table: FaceTable, rows: np.ndarray, batch_size: int) -> EvalLoader:
    """Return the batches in which a run on one device evaluates these rows."""
    pixels, labels = torch.from_numpy(table.pixels), torch.from_numpy(np.array(table.labels, np.int64))
    return EvalLoader(FaceDataset(pixels, labels, torch.from_numpy(np.array(rows, np.int64))), batch_size)


def predict_rows(
    predictor: Predictor | FilePredictor, batches: Iterable[Batch]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return rows (N,), labels (N,) and probabilities (N, K), in ascending order of rows."""
    parts = [(batch["row"], batch["target"], predictor(batch["image"])) for batch in batches]
    rows, labels, probabilities = (torch.cat(column).numpy() for column in zip(*parts, strict=True))
    _require_finite(rows, probabilities)
    order = np.argsort(rows, kind="stable")
    return rows[order], labels[order], probabilities[order]


def _require_finite(rows: np.ndarray, probabilities: np.ndarray) -> None:
    wrong = ~np.isfinite(probabilities).all(axis=1)
    if wrong.any():
        raise UserError(
            f"{wrong.sum():,} of {len(rows):,} rows, the first of them row {rows[wrong.argmax()]}, have a probability "
            "that is not a finite number. The network's weights are damaged, or its values exceed its precision. "
            "Evaluate another run, or train it with trainer.precision=32-true."
        )


def latency(predictor: Predictor | FilePredictor, images: Tensor, batch_size: int) -> dict[str, Any]:
    """Return the median milliseconds of a single image, and images per second in batches.

    Both are measured from the stored face to its probabilities.

    images  faces uint8 (B, S, S) or (B, S, S, 3) to measure with, repeated to `batch_size`
    """
    batch = torch.cat([images] * -(-batch_size // len(images)))[:batch_size]
    return {
        "milliseconds_of_one_image": round(1000 * median_seconds(lambda: predictor(images[:1])), 3),
        "images_per_second": round(batch_size / median_seconds(lambda: predictor(batch)), 1),
        "batch_size": batch_size,
        **predictor.facts(),
    }
