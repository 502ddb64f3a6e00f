"""Lightning's finders of a learning rate and of a batch size, as short runs that end with a verdict.

    python train.py debug=lr_find
    python train.py debug=batch_size

The learning-rate finder follows Smith 2017 (arXiv:1506.01186). No validation or test row is read.
"""

import math
from pathlib import Path

import lightning.pytorch as pl
import numpy as np
from lightning.pytorch.tuner import Tuner
from omegaconf import DictConfig
from torch import Tensor

from fer_lightning.errors import UserError
from fer_lightning.files import write_csv
from fer_lightning.training import build, initial_weights
from fer_lightning.training.classifier import FERClassifier
from fer_lightning.training.datamodule import FERDataModule
from fer_lightning.training.loader import Batch

RATES = (1e-5, 1.0)  # learning rates that are tried
STEPS = 100  # learning rates between them
NEAR = 3  # factor within which a learning rate is as good as the suggested one
WINDOW = 9  # losses in a mean
LEAST_FALL = 0.02  # share by which the loss must fall, or else no learning rate is suggested
STEPS_OF_SIZE = 3  # with each batch size
SMALLEST_BATCH = 2  # rows, as BatchNorm needs
LARGEST_BATCH = {"cuda": 8192, "cpu": 1024}  # rows that are tried


def find(cfg: DictConfig, folder: Path) -> None:
    """Run the finder that the config names, and print its verdict."""
    build.set_threads(cfg)
    cfg.callbacks = {}
    cfg.trainer.max_epochs = STEPS  # enough, as an epoch has a batch
    cfg.trainer.accumulate_grad_batches = 1  # one loss per learning rate
    if cfg.finder.value == "batch_size":
        cfg.data.start_size = None  # the largest images must fit
    data = build.build_data(cfg)
    data.val_dataloader = lambda: []  # a finder measures only training batches
    model = build.build_classifier(cfg, data)
    if cfg.model.get("init"):
        initial_weights.begin(cfg, model, data)
    folder.mkdir(parents=True, exist_ok=True)
    trainer = build.build_trainer(cfg, folder)
    if trainer.world_size > 1:
        raise UserError(
            f"finder={cfg.finder.value}: works on one device, not {trainer.world_size}. Use trainer.devices=1."
        )
    verdict = {"lr": find_rate, "batch_size": find_batch_size}[cfg.finder.value]
    print(verdict(trainer, model, data, folder))


def find_rate(trainer: pl.Trainer, model: FERClassifier, data: FERDataModule, folder: Path) -> str:
    """Write lr_find.csv and return the verdict on the learning rate."""
    rates = {group["base_lr"] for group in model.configure_optimizers().param_groups}
    if len(rates) > 1:
        raise UserError(
            f"finder=lr: the optimiser has the learning rates {', '.join(f'{rate:g}' for rate in sorted(rates))}, and "
            "the finder tries one for all weights. Use optim=sgd or optim=adamw, without init_lr_factor."
        )
    model.sets_rate = False
    losses, (low, high) = record_losses(model), RATES
    finder = Tuner(trainer).lr_find(
        model, datamodule=data, min_lr=low, max_lr=high, num_training=STEPS, update_attr=False
    )
    tried = list(zip(finder.results["lr"], losses, strict=False))
    write_csv(folder / "lr_find.csv", ["lr", "loss"], tried)
    print(f"{len(tried)} learning rates from {tried[0][0]:.1e} to {tried[-1][0]:.1e}: {folder / 'lr_find.csv'}")
    return judge_rate(rates.pop(), suggest_rate(*map(np.array, zip(*tried, strict=True))))


def record_losses(model: FERClassifier) -> list[float]:
    """Return a list that gets the loss of each training step. Lightning keeps only a mean that lags by 50 steps."""
    losses, step = [], model.training_step

    def recorded(batch: Batch, batch_idx: int) -> Tensor:
        loss = step(batch, batch_idx)
        losses.append(float(loss.detach()))
        return loss

    model.training_step = recorded
    return losses


def suggest_rate(rates: np.ndarray, losses: np.ndarray) -> float | None:
    """Return the learning rate at which the loss falls fastest per factor of the rate; None if it does not fall.

    rates   learning rates (N,), each a constant factor above the one before
    losses  loss (N,) at each of them, not smoothed

    Lightning's own suggestion divides by the difference of two rates, so that noise at the lowest rates wins.
    """
    last = int(np.flatnonzero(np.isfinite(losses)).max(initial=-1)) + 1
    if last < 2 * WINDOW:
        return None
    smooth = np.convolve(losses[:last], np.full(WINDOW, 1 / WINDOW), "valid")
    lowest = int(smooth.argmin())
    if lowest < 2 or smooth[lowest] > (1 - LEAST_FALL) * smooth[0]:
        return None
    return float(rates[int(np.gradient(smooth[: lowest + 1]).argmin()) + WINDOW // 2])


def judge_rate(current: float, suggested: float | None) -> str:
    """Return the verdict: whether optim.lr fits, and what to do next.

    current    learning rate of the config
    suggested  learning rate at which the loss falls fastest; None if it falls at none
    """
    if suggested is None:
        return (
            f"Does optim.lr={current:g} fit? UNKNOWN: the loss falls at no learning rate.\n"
            "Next: python train.py debug=overfit with the same arguments. This shows if the network can learn at all."
        )
    question = f"Does optim.lr={current:g} fit? The loss falls fastest at {suggested:.2g}."
    if 1 / NEAR <= current / suggested <= NEAR:
        return f"{question} Yes: it is within a factor of {NEAR}.\nNext: the same command without debug=lr_find."
    word = "high" if current > suggested else "low"
    return (
        f"{question} It may be too {word}.\nNext: the same command without debug=lr_find, with "
        f"optim.lr={suggested:.2g}. Compare val/acc: the finder sees only the first steps of a run."
    )


def find_batch_size(trainer: pl.Trainer, model: FERClassifier, data: FERDataModule, folder: Path) -> str:
    """Return the verdict on the batch size."""
    current, kind = data.batch_size, trainer.strategy.root_device.type
    limit = 2 ** int(math.log2(min(len(data.train_rows), LARGEST_BATCH.get(kind, LARGEST_BATCH["cpu"]))))
    data.batch_size = SMALLEST_BATCH  # Lightning's first trial has the loader of this size
    largest = Tuner(trainer).scale_batch_size(
        model, datamodule=data, steps_per_trial=STEPS_OF_SIZE, init_val=SMALLEST_BATCH, max_val=2 * limit
    )
    largest = min(largest, limit)  # Lightning returns its maximum without a trial
    rates = {group["base_lr"] for group in model.configure_optimizers().param_groups}
    return judge_batch_size(current, largest, limit, max(rates))


def judge_batch_size(current: int, largest: int, limit: int, rate: float) -> str:
    """Return the verdict: the largest batch that fits, and what to do next.

    limit  largest batch that was tried
    rate   learning rate of the config
    """
    reached = f"all sizes up to {limit:,} were tried" if largest >= limit else f"{2 * largest:,} rows do not fit"
    result = f"Which batch fits into memory? {largest:,} rows: {reached}. data.batch_size is {current:,}."
    if current > largest >= limit:
        return f"{result} Larger ones were not tried.\nNext: keep data.batch_size={current} if a run has enough memory."
    if current > largest:
        return f"{result}\nNext: data.batch_size={largest} or less."
    return (
        f"{result}\nNext: keep data.batch_size={current} unless a run is too slow. A larger batch needs a higher "
        f"learning rate, in proportion: data.batch_size={largest} with optim.lr={rate * largest / current:.2g} "
        "(Goyal et al. 2017, arXiv:1706.02677). Check it with debug=lr_find."
    )
