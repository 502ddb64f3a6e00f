"""Base of samplers: one draw that depends only on (seed, epoch), of which each rank takes its share."""

from collections.abc import Iterator
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Sampler

from fer_lightning.errors import contract_error, described


class GlobalSampler(Sampler[int]):
    """Sampler of positions 0..N-1 in `labels`; `draw` of a subclass chooses N of them and their order.

    labels            int (N,), training labels in row order
    seed              at least 0; seed and epoch determine the whole order
    rank, world_size  rank r of w takes positions r, r + w, r + 2w, ... of the draw. Every rank gets N // w of them. The
                      last N % w of a draw are not used; they are other rows in every epoch.

    corrects_imbalance is True if a rare class is drawn more often than it occurs. A loss with class_counts then gives a
    warning.
    """

    corrects_imbalance: ClassVar[bool] = False

    def __init__(self, labels: np.ndarray | Tensor, seed: int, rank: int = 0, world_size: int = 1):
        self.labels = np.asarray(labels)
        self.seed = seed
        self.rank = rank
        self.world_size = world_size
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch whose positions are drawn next."""
        self.epoch = epoch

    def draw(self, generator: torch.Generator) -> Tensor:
        """Return the N positions of one epoch for all ranks together, int64."""
        raise NotImplementedError

    def positions(self) -> Tensor:
        """Return this rank's positions of the current epoch in order, int64 (len(self),)."""
        state = np.random.SeedSequence([self.seed, self.epoch]).generate_state(1, np.uint64)
        order = self.draw(torch.Generator().manual_seed(int(state[0])))
        self._check(order)
        return order[: len(self) * self.world_size][self.rank :: self.world_size]

    def _check(self, order: object) -> None:
        """Raise UserError if a draw is not int64 (N,), or has a position outside 0..N-1."""
        rows, fault = len(self.labels), f"drew {described(order)}"
        if isinstance(order, Tensor) and order.dtype == torch.int64 and order.shape == (rows,):
            outside = order[(order < 0) | (order >= rows)]
            if not len(outside):
                return
            fault = f"drew the position {outside[0]}"
        allowed = f"must draw an int64 tensor ({rows},) of positions from 0 to {rows - 1}, as there are {rows} rows"
        raise contract_error("sampler", self, fault, allowed)

    def __iter__(self) -> Iterator[int]:
        return iter(self.positions().tolist())  # torch's interface; TrainLoader takes `positions` as a whole

    def __len__(self) -> int:
        return len(self.labels) // self.world_size
