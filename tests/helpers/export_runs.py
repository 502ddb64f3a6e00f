"""Run folders as a finished run leaves them, with a network that was never trained, in well under a second."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from conftest import TINY, composed
from omegaconf import DictConfig, OmegaConf

from fer_lightning.data.table import FaceTable
from fer_lightning.evaluation.predictions import Predictions, write_predictions
from fer_lightning.evaluation.torch_predictor import Predictor
from fer_lightning.models.network import Network
from fer_lightning.runs.trained_folder import faces_of
from fer_lightning.statistics.metrics import accuracy, f1_macro, recall_mean
from fer_lightning.training import build

QUICK = ("model.lean=true", "stn=affine")
QUICKEST = ("model=whitened_cnn", "model.channels=[8,16,24]", "stn=none")  # to export


def untrained_run(
    path: Path, *overrides: str, quickest: bool = False, tested: bool = True, own_predictions: bool = False
) -> Path:
    """A folder with config.yaml, summary.json, best.ckpt and, where `tested`, predictions.csv; -> `path`.

    The faces are the 300 drawn ones of `TINY`, or those of `data=fer2013 data.root=STORE`; what predictions.csv says
    was thrown by dice, right in about half, or with `own_predictions` by the network.
    """
    dropped = (*(["model"] if quickest else []), *(["data"] if "data=fer2013" in overrides else []))
    tiny = [word for word in TINY if not word.startswith(tuple(dropped))]
    config = composed(*tiny, *(QUICKEST if quickest else QUICK), *overrides)
    table, split = faces_of(config.data)
    network = distinct(build.build_network(config, len(table.classes)))
    (path / "checkpoints").mkdir(parents=True)
    torch.save(
        {"state_dict": {f"network.{key}": value for key, value in network.state_dict().items()}},
        path / "checkpoints" / "best.ckpt",
    )
    OmegaConf.save(config, path / "config.yaml", resolve=True)
    summary = {
        "status": "done" if tested else "interrupted",
        "name": "untrained",
        "job": "seed-0",
        "choices": {
            "model": "whitened_cnn" if quickest else "resemotenet",
            "stn": "none" if quickest else "affine",
        },
        "data": {"name": table.name, "checksum": table.checksum, "image": list(table.form.shape)},
        "split": {"name": split.name, "checksum": split.checksum},
        "parameters": {"total": sum(value.numel() for value in network.parameters())},
        "best": {"epoch": 1, "val/acc": 0.5, "val/f1_macro": 0.4, "val/recall_mean": 0.45},
    }
    if tested:
        predictions = _dice(table, split.test)
        if own_predictions:
            predictions = replace(predictions, probabilities=_answers(network, config.model, table.pixels[split.test]))
        write_predictions(path / "predictions.csv", predictions)
        metrics = {"acc": accuracy, "f1_macro": f1_macro, "recall_mean": recall_mean}
        summary["test"] = {f"test/{name}": metric(predictions.confusion()) for name, metric in metrics.items()}
    (path / "summary.json").write_text(json.dumps(summary))
    return path


def distinct(network: Network) -> Network:
    """Return the network with weights that show faults: logits differ by face, theta is random, each branch is on."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, value in network.named_parameters():
            if value.ndim > 1 and name.startswith("backbone."):
                torch.nn.init.kaiming_normal_(value, generator=generator)
            else:
                value += (0.02 if name.startswith("stn.") else 0.1) * torch.randn(value.shape, generator=generator)
    return network


def _answers(network: Network, model: DictConfig, pixels: np.ndarray) -> np.ndarray:
    how = {"input_size": model.input_size, "mean": model.mean, "std": model.std}
    return Predictor(network, [None], device=torch.device("cpu"), **how)(torch.from_numpy(pixels)).numpy()


def _dice(table: FaceTable, rows: np.ndarray) -> Predictions:
    draw = np.random.default_rng(0)
    labels = table.labels[rows]
    probabilities = draw.dirichlet(np.ones(len(table.classes)), len(rows)) + 0.5 * np.eye(len(table.classes))[labels]
    return Predictions(
        rows,
        np.array([digest.tobytes().hex() for digest in table.digests[rows]]),
        labels,
        (probabilities / probabilities.sum(axis=1, keepdims=True)).astype(np.float32),
        np.ones(len(rows), bool),
        np.ones(len(rows), bool),
        None,
        table.classes,
    )
