"""Loaders that return whole batches of rows.

All faces are one uint8 array in memory, so worker processes have nothing to decode. A batch is one indexing of this
array. Augmentation and normalisation happen later, on the training device.
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
    """Batches of rows of a face array: image uint8 (B, S, S[, 3]), target as in `targets`, row int64 (B,).

    targets     int64 (N,) class indices or float (N, K) probabilities, of the whole array
    rows        indices of this set's rows in the whole array
    plurality   int64 (N,), class with the most FER+ votes, -1 if no class has it; None: not part of a batch

    A batch is built on the device that holds the pixels.
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
    """Full batches in the sampler's order. The incomplete last batch is dropped: BatchNorm cannot use a batch of one.

    Every batch contains `key = (epoch, step)`, the seed of its augmentation and dropout. The epoch is the sampler's,
    the only one that Lightning sets. The loader has a state, as Lightning's protocol defines it: after a checkpoint in
    the middle of an epoch, the next iteration begins after the batches that were already returned.
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
    """Batches with each row once. With DDP, each rank has its share in the same number of batches, without padding.

    Rows are distributed to the batches in turn, so the first batches (trainer.limit_val_batches) contain all classes.
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
