"""What every sampler shares: one draw from (seed, epoch) alone, of which each rank takes its positions."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Sampler


class GlobalSampler(Sampler[int]):
    """Yields positions 0..N-1 into `labels`; a subclass says in `draw` which N, in what order.

    labels      int (N,), the training labels in row order
    seed        at least 0; with the epoch it decides the whole order
    rank, world_size  rank r of w takes r, r + w, r + 2w, ... of the draw. All ranks get N // w positions: the
                last N % w of a draw are left out, which are other rows in every epoch.
    """

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
        """The epoch's N positions for all ranks together, int64."""
        raise NotImplementedError

    def positions(self) -> Tensor:
        """This rank's positions of the current epoch in order, int64 (len(self),)."""
        state = np.random.SeedSequence([self.seed, self.epoch]).generate_state(1, np.uint64)
        order = self.draw(torch.Generator().manual_seed(int(state[0])))
        return order[: len(self) * self.world_size][self.rank :: self.world_size]

    def __iter__(self) -> Iterator[int]:
        return iter(self.positions().tolist())  # torch's interface; the house's loader takes the positions whole

    def __len__(self) -> int:
        return len(self.labels) // self.world_size
