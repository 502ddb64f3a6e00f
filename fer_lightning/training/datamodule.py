"""LightningDataModule: a face table, its split, and everything that happens to a batch before the network."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import lightning.pytorch as pl
import numpy as np
import torch
from torch.utils.data import Sampler

from fer_lightning.augment.pipeline import BatchTransform
from fer_lightning.data.ferplus import plurality, votes_checksum
from fer_lightning.data.judged_rows import JudgedRows, judge_test_rows
from fer_lightning.data.label_kinds import FROM_TEACHER, FROM_VOTES
from fer_lightning.data.splits import make_split
from fer_lightning.data.table import FaceTable
from fer_lightning.data.targets import soft_targets
from fer_lightning.data.teacher import read_teacher
from fer_lightning.errors import UserError
from fer_lightning.seeding import derive_seed
from fer_lightning.training.loader import Batch, EvalLoader, FaceDataset, TrainLoader

GROWTH = 0.6  # share of the epochs in which training images grow
SIZE_STEP = 8  # pixels by which training images grow at once
GPU_SHARE = 0.25  # largest share of a GPU's free memory that the faces may use


class FERDataModule(pl.LightningDataModule):
    """Batches of the train, val, train_eval and test rows of one table.

    table          the faces
    transform      augmentation, resizing and normalisation, applied on the training device
    sampler        function of labels, seed, rank and world_size that returns the sampler of the training rows
    split          official | official_dedup | clean | fold | training_fold | stratified
    split_seed     seed of random splits, of the training subset and of the train_eval rows
    fold, folds    index of the tested fold and number of folds, for split=fold and split=training_fold
    labels         targets of training: hard (labels of the data set), or soft ones: see `data.targets`. Metrics always
                   use the labels of the data set, except train/acc, which uses the class with the largest share of
                   the target.
    teacher        teacher file for labels=teacher and ferplus_teacher: see `data.teacher`
    teacher_share  share of the probabilities in a mixed target, 0 to 1; the label has the rest
    teacher_temperature  temperature of the teacher's probabilities; a value above 1 flattens them
    batch_size     training rows per step and device
    eval_batch_size  rows per step in evaluation; changes only `*/loss` of a weighted loss
    train_eval_rows  number of training rows that are also evaluated, to measure overfitting in evaluation mode; all
                   rows if there are fewer
    train_rows     number of training rows to use, drawn at random; None: all
    start_size     side in pixels of the first training images. They grow to the network's input size in steps of 8 px
                   over the first 60 % of the epochs. Small images train faster (Tan and Le 2021, arXiv:2104.00298,
                   section 4). None: always the input size. Evaluation always uses the input size.
    track_test     if True, each validation also measures the test rows, as its third set
    """

    def __init__(
        self,
        table: FaceTable,
        transform: BatchTransform,
        sampler: Callable[..., Sampler],
        seed: int = 0,
        split: Literal["official", "official_dedup", "clean", "fold", "training_fold", "stratified"] = "official",
        split_seed: int = 0,
        fold: int | None = None,
        folds: int = 5,
        labels: Literal["hard", "ferplus_soft", "ferplus_estimate", "teacher", "ferplus_teacher"] = "hard",
        teacher: str | Path | None = None,
        teacher_share: float = 0.7,
        teacher_temperature: float = 1.0,
        batch_size: int = 64,
        eval_batch_size: int = 256,
        train_eval_rows: int = 3589,
        train_rows: int | None = None,
        start_size: int | None = None,
        track_test: bool = False,
    ) -> None:
        super().__init__()
        self.table, self.transform, self.sampler, self.seed = table, transform, sampler, seed
        self.batch_size, self.eval_batch_size, self.track_test = batch_size, eval_batch_size, track_test
        self.start_size = start_size or transform.input_size
        self.split = make_split(table, split, split_seed, fold, folds)
        self.train_rows = _subset(self.split.train, train_rows, split_seed, "data.train_rows")
        self.train_eval_rows = _subset(
            self.train_rows, min(train_eval_rows, len(self.train_rows)), split_seed, "data.train_eval_rows"
        )
        self.pixels = torch.from_numpy(table.pixels)
        self.labels = torch.from_numpy(np.array(table.labels, dtype=np.int64))
        self.teacher, self.targets, self.votes_are_targets = None, self.labels, labels in FROM_VOTES
        if labels in FROM_TEACHER:
            self.teacher = read_teacher(teacher, classes=table.classes, data=table.checksum)
        if labels != "hard":
            how = {"teacher": self.teacher, "share": teacher_share, "temperature": teacher_temperature}
            self.targets = torch.from_numpy(soft_targets(table, self.train_rows, labels, **how))
        self.plurality = None
        if table.votes is not None:
            self.plurality = torch.from_numpy(plurality(table.votes, table.classes))

    @property
    def class_counts(self) -> list[int]:
        """Number of training rows of each class, in label order."""
        counts = np.bincount(self.table.labels[self.train_rows], minlength=len(self.table.classes))
        return counts.tolist()

    def sample_faces(self) -> torch.Tensor:
        """Return the train_eval rows as the network receives them: normalised, not augmented, float (N, C, S, S)."""
        return self.transform.evaluate(self.pixels[_positions(self.train_eval_rows)])

    def test_rows(self) -> JudgedRows:
        """Return the test rows, with marks for rows whose image is not in training or validation."""
        return judge_test_rows(self.table, self.split)

    def setup(self, stage: str) -> None:
        self.refuse_empty_epochs(self.trainer.world_size, self.trainer.limit_train_batches)

    def refuse_empty_epochs(self, world_size: int, limit: float) -> None:
        """Raise UserError if an epoch would have no batch.

        limit  number (int) or share (float) of the batches that are used for training
        """
        rows = len(self.train_rows) // world_size
        batches = rows // self.batch_size
        if not batches:
            remedy = f"Use data.batch_size={rows} or less." if rows > 1 else "Use more training rows."
            raise UserError(
                f"data.batch_size={self.batch_size}: exceeds the {rows} training rows of a device. A batch must be "
                f"full. {remedy}"
            )
        if isinstance(limit, float) and int(batches * limit) < 1:
            raise UserError(
                f"trainer.limit_train_batches={limit}: less than one of the {batches} batches of an epoch. Use a "
                "larger share, or a number of batches such as 1."
            )

    def state_dict(self) -> dict[str, str]:
        teacher = {"teacher": self.teacher.checksum()} if self.teacher else {}
        votes = {"votes": votes_checksum(self.table.votes)} if self.votes_are_targets else {}
        return {"split": self.split.checksum} | teacher | votes

    def load_state_dict(self, state_dict: dict[str, str]) -> None:
        """Raise UserError if a run would resume with other rows than it began with."""
        for name, checksum in self.state_dict().items():
            began = state_dict[name]
            if began != checksum:
                raise UserError(
                    f"this run began on {name} {began[:12]}, but the data now has {checksum[:12]}. "
                    "Use another folder with name=..., or resume=never to start over."
                )

    def train_dataloader(self) -> TrainLoader:
        dataset = FaceDataset(self._placed_pixels(), self.targets, _positions(self.train_rows))
        sampler = self.sampler(
            labels=self.table.labels[self.train_rows],
            seed=derive_seed(self.seed, "order"),
            rank=self.trainer.global_rank,
            world_size=self.trainer.world_size,
        )
        return TrainLoader(dataset, sampler, self.batch_size)

    def val_dataloader(self) -> list[EvalLoader]:
        rows = [self.split.val, self.train_eval_rows, *([self.split.test] if self.track_test else [])]
        return [self._eval_loader(subset) for subset in rows]

    def test_dataloader(self) -> EvalLoader:
        return self._eval_loader(self.split.test)

    def blank_batch(self) -> torch.Tensor:
        """Return zeros (batch_size, C, S, S) with the shape, type and device of a training batch."""
        size, channels = self.transform.input_size, 3 if self.table.form.color else 1
        return torch.zeros(self.batch_size, channels, size, size, device=self.trainer.strategy.root_device)

    def training_size(self, progress: float) -> int:
        """Return the side in pixels of training images after this share of the epochs, 0 to 1."""
        final = self.transform.input_size
        if progress >= GROWTH:
            return final
        levels = (final - self.start_size) // SIZE_STEP
        return self.start_size + SIZE_STEP * int(levels * progress / GROWTH)

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Augment (only in training), resize and normalise the images, to float (B, C, S, S)."""
        if self.trainer.training:
            seed = derive_seed(self.seed, "augment", *batch["key"], self.trainer.global_rank)
            generator = torch.Generator().manual_seed(seed)
            size = self.training_size(batch["key"][0] / self.trainer.max_epochs)
            image, target = self.transform.train(batch["image"], batch["target"], generator, size)
        else:
            image, target = self.transform.evaluate(batch["image"]), batch["target"]
        return {**batch, "image": image, "target": target}

    def _eval_loader(self, rows: np.ndarray) -> EvalLoader:
        dataset = FaceDataset(self._placed_pixels(), self.labels, _positions(rows), self.plurality)
        return EvalLoader(dataset, self.eval_batch_size, self.trainer.global_rank, self.trainer.world_size)

    def _placed_pixels(self) -> torch.Tensor:
        """Return all faces, moved to the training device if they leave most of its memory free."""
        device = self.trainer.strategy.root_device
        if device.type != "cuda" or self.pixels.nbytes <= torch.cuda.mem_get_info(device)[0] * GPU_SHARE:
            self.pixels = self.pixels.to(device)
        return self.pixels


def _positions(rows: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.array(rows, dtype=np.int64))


def _subset(rows: np.ndarray, size: int | None, seed: int, key: str) -> np.ndarray:
    """Return `size` of the rows, drawn without replacement, in their order. Return all if `size` is None."""
    if size is None or size == len(rows):
        return rows
    if not 0 < size <= len(rows):
        raise UserError(f"{key}={size}: must be 1 to {len(rows)}, the number of training rows of the split.")
    rng = np.random.default_rng(derive_seed(seed, key))
    return np.sort(rng.choice(rows, size, replace=False))
