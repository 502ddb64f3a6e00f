"""The LightningDataModule: one face table, its split, and everything that happens to a batch before the network."""

from collections.abc import Callable
from typing import Literal

import lightning.pytorch as pl
import numpy as np
import torch
from torch.utils.data import Sampler

from fer_lightning.augment.pipeline import BatchTransform
from fer_lightning.data.loader import Batch, EvalLoader, FaceDataset, TrainLoader
from fer_lightning.data.rows import image_numbers, pixel_digests
from fer_lightning.data.splits import make_split
from fer_lightning.data.table import FaceTable
from fer_lightning.errors import UserError
from fer_lightning.seeding import derive_seed


class FERDataModule(pl.LightningDataModule):
    """Feeds train, val, train_eval and test rows of one table.

    table          the faces
    transform      augmentation, resizing and normalisation, applied on the training device
    sampler        called with labels, seed, rank and world_size; gives the order of the training rows
    split          official | stratified
    split_seed     of the stratified split, of the training subset and of the train_eval rows
    batch_size     training rows a step and device
    eval_batch_size  rows a step in evaluation; has no effect on any figure
    train_eval_rows  fixed training rows that are also evaluated, to measure overfitting like with like
    train_rows     train on a random subset of this many rows; None: on all
    """

    def __init__(
        self,
        table: FaceTable,
        transform: BatchTransform,
        sampler: Callable[..., Sampler],
        seed: int = 0,
        split: Literal["official", "stratified"] = "official",
        split_seed: int = 0,
        batch_size: int = 64,
        eval_batch_size: int = 256,
        train_eval_rows: int = 3589,
        train_rows: int | None = None,
    ) -> None:
        super().__init__()
        self.table, self.transform, self.sampler, self.seed = table, transform, sampler, seed
        self.batch_size, self.eval_batch_size = batch_size, eval_batch_size
        self.split = make_split(table, split, split_seed)
        self.train_rows = _subset(self.split.train, train_rows, split_seed, "data.train_rows")
        self.train_eval_rows = _subset(
            self.train_rows, min(train_eval_rows, len(self.train_rows)), split_seed, "data.train_eval_rows"
        )
        self.pixels = torch.from_numpy(np.array(table.pixels))
        self.labels = torch.from_numpy(np.array(table.labels, dtype=np.int64))

    @property
    def class_counts(self) -> list[int]:
        """Training rows of each class, in label order."""
        counts = np.bincount(self.table.labels[self.train_rows], minlength=len(self.table.classes))
        return counts.tolist()

    def unseen_test_rows(self) -> np.ndarray:
        """Test rows whose picture stands nowhere in training or validation and is not blank.

        Byte-identical copies alone: near copies and pictures without a face are still among them.
        """
        images = image_numbers(pixel_digests(self.table.pixels))
        seen = images[np.concatenate([self.split.train, self.split.val])]
        test = self.split.test
        blank = np.ptp(self.table.pixels[test].reshape(len(test), -1), axis=1) == 0
        return test[~np.isin(images[test], seen) & ~blank]

    def setup(self, stage: str) -> None:
        share = len(self.train_rows) // self.trainer.world_size
        if share < self.batch_size:
            raise UserError(
                f"data.batch_size={self.batch_size} exceeds the {share} training rows of a device: no full batch. "
                f"Choose data.batch_size={share} or less."
            )

    def state_dict(self) -> dict[str, str]:
        return {"split": self.split.checksum}

    def load_state_dict(self, state_dict: dict[str, str]) -> None:
        """Raise UserError where a run would go on with other rows than it began with."""
        began, now = state_dict["split"], self.split.checksum
        if began != now:
            raise UserError(
                f"this run began on split {began[:12]}, and the data now gives {now[:12]}. "
                "Choose another folder with name=..., or resume=never to start over."
            )

    def train_dataloader(self) -> TrainLoader:
        dataset = self._dataset(self.train_rows)
        sampler = self.sampler(
            labels=self.table.labels[self.train_rows],
            seed=derive_seed(self.seed, "order"),
            rank=self.trainer.global_rank,
            world_size=self.trainer.world_size,
        )
        return TrainLoader(dataset, sampler, self.batch_size)

    def val_dataloader(self) -> list[EvalLoader]:
        return [self._eval_loader(self.split.val), self._eval_loader(self.train_eval_rows)]

    def test_dataloader(self) -> EvalLoader:
        return self._eval_loader(self.split.test)

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Augment (in training alone), resize and normalise; image becomes float (B, 1, S, S)."""
        if self.trainer.training:
            seed = derive_seed(self.seed, "augment", *batch["key"], self.trainer.global_rank)
            generator = torch.Generator().manual_seed(seed)
            image, target = self.transform.train(batch["image"], batch["target"], generator)
        else:
            image, target = self.transform.evaluate(batch["image"]), batch["target"]
        return {**batch, "image": image, "target": target}

    def _eval_loader(self, rows: np.ndarray) -> EvalLoader:
        return EvalLoader(self._dataset(rows), self.eval_batch_size, self.trainer.global_rank, self.trainer.world_size)

    def _dataset(self, rows: np.ndarray) -> FaceDataset:
        self.pixels = self.pixels.to(self.trainer.strategy.root_device)
        return FaceDataset(self.pixels, self.labels, torch.from_numpy(np.array(rows, dtype=np.int64)))


def _subset(rows: np.ndarray, size: int | None, seed: int, key: str) -> np.ndarray:
    """`size` of the rows, drawn without replacement and kept in order."""
    if size is None or size == len(rows):
        return rows
    if not 0 < size <= len(rows):
        raise UserError(f"{key}={size}: the split has {len(rows)} training rows; choose 1 to {len(rows)}.")
    rng = np.random.default_rng(derive_seed(seed, key))
    return np.sort(rng.choice(rows, size, replace=False))
