"""Loaders that hand over whole batches of rows.

All faces are one uint8 array in memory, so there is nothing for worker processes to decode: a batch is one fancy
index, and the arithmetic on it happens later, on the training device.
"""

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from fer_lightning.data.transfer import send
from fer_lightning.samplers.base import GlobalSampler

Batch = dict[str, Tensor | tuple[int, int]]


class FaceDataset(Dataset):
    """Rows of a face array, a batch at a time: image uint8 (B, 48, 48), target as in `targets`, row int64 (B,).

    targets     int64 (N,) class indices or float (N, K) probabilities, of the whole array
    rows        the positions of this set's members in the whole array
    plurality   int64 (N,), the class that most FER+ votes name, -1 for none; handed over too where it is given

    A batch is made on the device where the pixels are.
    """

    def __init__(self, pixels: Tensor, targets: Tensor, rows: Tensor, plurality: Tensor | None = None) -> None:
        self.pixels, self.rows, self.targets = pixels, rows, targets.to(pixels.device)
        self.plurality = None if plurality is None else plurality.to(pixels.device)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitems__(self, positions: list[int] | np.ndarray | Tensor) -> Batch:
        rows = send(self.rows[torch.as_tensor(positions)], self.pixels.device)
        batch = {"image": self.pixels[rows], "target": self.targets[rows], "row": rows}
        return batch if self.plurality is None else batch | {"plurality": self.plurality[rows]}


class TrainLoader:
    """Full batches in the sampler's order; the incomplete last one is dropped (BatchNorm cannot take a batch of one).

    Every batch carries `key = (epoch, step)`, from which its augmentation and dropout are seeded; the epoch is the
    sampler's, the only one that Lightning sets. The loader is stateful after Lightning's protocol: a checkpoint in the
    middle of an epoch makes the next iteration begin behind the batches already handed out.
    """

    def __init__(self, dataset: FaceDataset, sampler: GlobalSampler, batch_size: int) -> None:
        self.dataset, self.sampler, self.batch_size = dataset, sampler, batch_size
        self._first = 0
        self._handed_out = 0

    def __len__(self) -> int:
        return len(self.sampler) // self.batch_size

    def __iter__(self) -> Iterator[Batch]:
        first, self._first = self._first, 0
        order = self.sampler.positions()
        for step in range(first, len(self)):
            self._handed_out = step + 1
            positions = order[step * self.batch_size : (step + 1) * self.batch_size]
            yield {**self.dataset.__getitems__(positions), "key": (self.sampler.epoch, step)}

    def state_dict(self) -> dict[str, int]:
        return {"handed_out": self._handed_out}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self._first = state["handed_out"] % max(1, len(self))


class EvalLoader:
    """Each row once; under DDP each rank takes its share in equally many batches, without padding.

    Rows are dealt to the batches in turn, so that the first batches alone (trainer.limit_val_batches) show all classes.
    """

    def __init__(self, dataset: FaceDataset, batch_size: int, rank: int = 0, world_size: int = 1) -> None:
        self.dataset = dataset
        self.positions = torch.arange(rank, len(dataset), world_size)
        self.batches = math.ceil(math.ceil(len(dataset) / world_size) / batch_size)

    def __len__(self) -> int:
        return self.batches

    def __iter__(self) -> Iterator[Batch]:
        for batch in range(self.batches):
            yield self.dataset.__getitems__(self.positions[batch :: self.batches])
