"""LightningModule around a network, from batch to metrics."""

import time
from collections.abc import Callable, Iterable
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Optimizer
from torchmetrics import Metric, MetricCollection

from fer_lightning.compat.torchmetrics import restore
from fer_lightning.errors import UserError, contract_error
from fer_lightning.models.network import Network
from fer_lightning.schedules.base import Schedule
from fer_lightning.seeding import derive_seed
from fer_lightning.statistics.metrics import accuracy, f1_macro, recall_mean
from fer_lightning.training.averaging import AveragedWeights
from fer_lightning.training.contracts import check_auxiliary, check_logits, check_loss, factor_of
from fer_lightning.training.fine_tuning import FineTuning
from fer_lightning.training.loader import Batch

EVAL_SETS = ("val", "train_eval", "test")  # test is measured after each epoch only if track_test is set
NEVER = 2**62  # number that no training batch has: every loss so far is finite


class FERClassifier(pl.LightningModule):
    """Train a network and measure it.

    loss       (logits, target) -> scalar; training minimises it plus the network's auxiliary terms
    optimizer  function that returns the optimiser for the parameters
    schedule   factor of the optimiser's learning rate by step
    ema_decay  decay of the averaged weights that every evaluation uses; None: evaluate the raw weights
    seed       seed of dropout, which depends only on (seed, epoch, step, rank)
    compile    if True, fuse the forward and backward pass of the training step with torch.compile. This happens before
               the clock of the first epoch starts and takes `compile_seconds`. Evaluation is not compiled.

    If a training loss or a weight is not a finite number, the run ends with a UserError before anything is measured or
    saved with it. If a logit of an evaluated row is not finite, the run ends before the metrics of this set are saved.

    Sets that are logged after each epoch:

    train/*       augmented batches, measured in training mode
    val/*         validation rows, in evaluation mode
    train_eval/*  a fixed subset of the training rows, in evaluation mode with the same weights
    test/*        test rows, in evaluation mode, if the data module tracks them

    Metrics of each set:

    */loss         configured loss; train/loss includes the network's auxiliary terms, each also logged as train/NAME
    */ce           plain cross-entropy, the only loss that compares runs with different losses
    */ferplus_acc  share of the rows with a FER+ plurality on which the prediction equals it; only if batches have one
    """

    def __init__(
        self,
        network: Network,
        loss: nn.Module,
        optimizer: Callable[[Iterable[nn.Parameter]], Optimizer],
        schedule: Schedule,
        num_classes: int,
        ema_decay: float | None = None,
        seed: int = 0,
        compile: bool = False,
    ) -> None:
        super().__init__()
        self.network, self.loss, self.schedule, self.seed = network, loss, schedule, seed
        self.make_optimizer, self.num_classes = optimizer, num_classes
        self.fine_tuning: FineTuning | None = None
        self.sets_rate = True  # False: another part sets the learning rate at each step
        self.first_epoch = 0  # first epoch of the schedule; above 0 if the run continues another one
        self.ema = None if ema_decay is None else AveragedWeights(network, ema_decay)
        self.compiled = torch.compile(network.forward, dynamic=False) if compile else None
        self.compile_seconds: float | None = None
        self.train_metrics = _metrics(num_classes, "loss")
        self.eval_metrics = nn.ModuleDict({name: _metrics(num_classes, "loss", "ce") for name in EVAL_SETS})
        self.epoch_row: dict[str, float] = {}
        self._clock_started, self._earlier_seconds, self._images = time.perf_counter(), 0.0, 0
        self._first_bad = torch.tensor(NEVER)
        self._bad_rows = dict.fromkeys(EVAL_SETS, torch.tensor(0))  # rows with a logit that is not finite
        self.predictions: list[tuple[Tensor, Tensor, Tensor]] = []

    def forward(self, image: Tensor) -> Tensor:
        """Return logits (B, K) of the weights that are evaluated: the averaged weights if there are any."""
        return self.network(image) if self.ema is None else self.ema.module(image)

    def configure_optimizers(self) -> Optimizer:
        optimizer = self.make_optimizer([p for p in self.network.parameters() if p.requires_grad])
        for group in optimizer.param_groups:
            group["base_lr"] = group["lr"]
        if self.fine_tuning:
            self.fine_tuning.split_groups(optimizer)
        return optimizer

    def on_train_start(self) -> None:
        if self.compiled is not None:
            self._warm_up()
        self._clock_started = time.perf_counter()
        self._first_bad = torch.tensor(NEVER, device=self.device)
        steps = -(-self.trainer.num_training_batches // self.trainer.accumulate_grad_batches)
        self.steps_per_epoch = steps
        self.schedule.bind(total_steps=steps * (self.trainer.max_epochs - self.first_epoch), steps_per_epoch=steps)

    def on_train_epoch_start(self) -> None:
        self.train_metrics.reset()
        self._clock_started, self._earlier_seconds, self._images = time.perf_counter(), 0.0, 0

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        torch.manual_seed(derive_seed(self.seed, "dropout", *batch["key"], self.global_rank))
        if self.sets_rate:
            factor = factor_of(self.schedule, self._scheduled_step(batch_idx))
            for group in self.optimizers(use_pl_optimizer=False).param_groups:
                group["lr"] = group["base_lr"] * factor
        if self.fine_tuning:
            self.fine_tuning.set_modes(self.current_epoch)

    def _scheduled_step(self, batch_idx: int) -> int:
        """Return the optimiser step since the first epoch, as if all epochs had run on as many devices as now."""
        epochs = self.current_epoch - self.first_epoch
        return epochs * self.steps_per_epoch + batch_idx // self.trainer.accumulate_grad_batches

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        logits, target = self._logits(self.compiled or self.network, batch["image"]), batch["target"]
        self._images += len(target) * self.trainer.world_size
        loss = self._loss(logits, target)
        check_auxiliary(self.network, self.train_metrics)
        for name, term in self.network.auxiliary.items():
            loss = loss + term
            _mean(self.train_metrics, name, self.device).update(term.detach(), len(target))
        hard = target if target.ndim == 1 else target.argmax(dim=1)
        self.train_metrics["loss"].update(loss.detach(), len(target))
        self.train_metrics["confusion"].update(logits.detach().argmax(dim=1), hard)
        self._note_if_not_finite(loss.detach(), batch)
        return loss

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        if self.fine_tuning:
            self.fine_tuning.drop_gradients(self.current_epoch)

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        super().optimizer_step(*args, **kwargs)
        if self.ema is not None:
            self.ema.update(self.network, self.global_step)

    def on_validation_start(self) -> None:
        """Copy the buffers of the first rank, which are saved, to all ranks, so that all measure with the same."""
        self.require_finite()
        if self.trainer.world_size > 1:
            for buffer in self.buffers():
                torch.distributed.broadcast(buffer, src=0)

    def on_validation_epoch_start(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        self._epoch_seconds = self._seconds()
        for name in self._measured_by_epoch():
            self._reset(name)

    def validation_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> None:
        self._evaluate(batch, EVAL_SETS[dataloader_idx])

    def on_validation_epoch_end(self) -> None:
        """Complete the epoch's row before the callbacks for checkpoints and early stopping read it."""
        row = {"lr": self.optimizers(use_pl_optimizer=False).param_groups[0]["lr"]}
        row |= _summary("train", self.train_metrics)
        for name in self._measured_by_epoch():
            row |= self._measure(name)
        row["seconds"] = self._epoch_seconds
        row["images_per_second"] = self._images / self._epoch_seconds
        self.epoch_row = row
        self.log_dict(row, logger=False)
        self.schedule.observe(row["val/acc"])

    def on_test_epoch_start(self) -> None:
        self._reset("test")
        self.predictions = []

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        logits = self._evaluate(batch, "test")
        self.predictions.append((batch["row"].cpu(), batch["target"].cpu(), logits.float().softmax(dim=1).cpu()))

    def on_test_epoch_end(self) -> None:
        self.test_row = self._measure("test")

    def require_finite(self) -> None:
        """Raise UserError on all ranks if a loss of this call or a weight is not a finite number.

        Losses are recorded on the device, so that the host need not wait for the device at each step.
        """
        statistics = (value for name, value in self.named_buffers() if "running_" in name)
        finite = torch.stack([value.isfinite().all() for value in (*self.parameters(), *statistics)]).all()
        batch = self.trainer.fit_loop.total_batch_idx
        first = torch.where(finite, self._first_bad, self._first_bad.clamp(max=batch))
        first = int(self.trainer.strategy.reduce(first, reduce_op="min"))
        if first < NEVER:
            raise UserError(self._describe_divergence(first))

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.require_finite()
        checkpoint["schedule"] = self.schedule.state_dict()
        checkpoint["partial_epoch"] = {
            "metrics": self._gather_from_ranks({name: _state(metric) for name, metric in self.train_metrics.items()}),
            "seconds": self._seconds(),
            "images": self._images,
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        if self.trainer.state.fn != TrainerFn.FITTING:
            return
        self.schedule.load_state_dict(checkpoint["schedule"])
        partial_epoch = checkpoint["partial_epoch"]
        self.train_metrics.reset()
        states = partial_epoch["metrics"]
        if len(states) != self.trainer.world_size:
            # The run began on another number of devices, so the first rank continues with all states.
            states = [_sum_of_states(states)] + [{}] * (self.trainer.world_size - 1)
        for name, state in states[self.global_rank].items():
            restore(_mean(self.train_metrics, name, self.device), state, self.device)
        self._earlier_seconds, self._images = partial_epoch["seconds"], partial_epoch["images"]

    def gathered_predictions(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return rows (N,), labels (N,) and probabilities (N, K) of the test set from all ranks, sorted by row."""
        parts = [part for rank in self._gather_from_ranks(self.predictions) for part in rank]
        rows, labels, probabilities = (torch.cat(column).numpy() for column in zip(*parts, strict=True))
        order = np.argsort(rows, kind="stable")
        return rows[order], labels[order], probabilities[order]

    def _measured_by_epoch(self) -> tuple[str, ...]:
        return EVAL_SETS[: len(self.trainer.val_dataloaders)]

    def _reset(self, name: str) -> None:
        self.eval_metrics[name].reset()
        self._bad_rows[name] = torch.tensor(0, device=self.device)

    def _measure(self, name: str) -> dict[str, float]:
        """Return the metrics of an evaluated set. Raise UserError on all ranks if a logit is not a finite number."""
        rows = int(self.trainer.strategy.reduce(self._bad_rows[name], reduce_op="sum"))
        if rows:
            fault = f"returned logits that are not finite numbers in evaluation mode ({name}, rows: {rows:,})"
            allowed = (
                "must return finite numbers. The metrics of this set are not saved: best.ckpt and last.ckpt, if they "
                "exist, are from earlier. If the training loss is very large, use a lower optim.lr"
            )
            raise contract_error("model", self.network.backbone, fault, allowed)
        return _summary(name, self.eval_metrics[name])

    def _evaluate(self, batch: Batch, name: str) -> Tensor:
        logits, target = self._logits(self, batch["image"]), batch["target"]
        metrics, rows = self.eval_metrics[name], len(target)
        self._bad_rows[name] = self._bad_rows[name] + (rows - logits.isfinite().all(dim=1).sum())
        metrics["loss"].update(self._loss(logits, target), rows)
        metrics["ce"].update(F.cross_entropy(logits.float(), target), rows)
        metrics["confusion"].update(logits.argmax(dim=1), target)
        if "plurality" in batch:
            voted = batch["plurality"] >= 0
            agree = (logits.argmax(dim=1) == batch["plurality"]) & voted
            _mean(metrics, "ferplus_acc", self.device).update(agree.sum() / voted.sum().clamp(min=1), voted.sum())
        return logits

    def _logits(self, network: Callable[[Tensor], Tensor], image: Tensor) -> Tensor:
        logits = network(image)
        check_logits(self.network, logits, len(image), self.num_classes)
        return logits

    def _loss(self, logits: Tensor, target: Tensor) -> Tensor:
        loss = self.loss(logits, target)
        check_loss(self.loss, loss)
        return loss

    def _warm_up(self) -> None:
        """Compile on a blank batch without changing weights, statistics or gradients."""
        began = time.perf_counter()
        kept = [buffer.clone() for buffer in self.network.buffers()]
        with self.trainer.precision_plugin.train_step_context():
            logits = self._logits(self.compiled, self.trainer.datamodule.blank_batch())
        logits.float().sum().backward()
        self.zero_grad()
        for buffer, value in zip(self.network.buffers(), kept, strict=True):
            buffer.copy_(value)
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        self.compile_seconds = time.perf_counter() - began

    def _seconds(self) -> float:
        """Return the seconds of this training epoch over all calls that it took, loading and augmentation included."""
        return self._earlier_seconds + time.perf_counter() - self._clock_started

    def _gather_from_ranks(self, value: Any) -> list[Any]:
        """Return the values that all ranks pass, in rank order."""
        values = [value] * self.trainer.world_size
        if self.trainer.world_size > 1:
            torch.distributed.all_gather_object(values, value)
        return values

    def _note_if_not_finite(self, loss: Tensor, batch: Batch) -> None:
        epoch, step = batch["key"]
        number = epoch * self.trainer.num_training_batches + step
        self._first_bad = torch.where(loss.isfinite(), self._first_bad, self._first_bad.clamp(max=number))

    def _describe_divergence(self, number: int) -> str:
        """Return the message for training batch `number`, counted from 0 over all epochs."""
        trainer, batches = self.trainer, self.trainer.num_training_batches
        epoch, batch = divmod(number, batches)
        steps = -(-batches // trainer.accumulate_grad_batches)
        step = epoch * steps + batch // trainer.accumulate_grad_batches + 1
        rates = sorted({group["base_lr"] for group in self.optimizers(use_pl_optimizer=False).param_groups})
        clip = trainer.gradient_clip_val
        return (
            f"Training has diverged: at step {step} (epoch {epoch + 1}, batch {batch + 1} of {batches}) the loss or a "
            "weight is not a finite number. Nothing was saved after this: best.ckpt and last.ckpt, if they exist, are "
            f"from earlier steps. Try a lower optim.lr (now {', '.join(f'{rate:g}' for rate in rates)}) or "
            f"{'a lower ' if clip else ''}trainer.gradient_clip_val{f' (now {clip:g})' if clip else '=1 (now null)'}. "
            "Use another folder (name=...), or resume=never, which keeps this folder under another name."
        )


class RowMean(Metric):
    """Mean over rows, computed from means over batches of any size."""

    def __init__(self) -> None:
        super().__init__()
        self.add_state("total", torch.zeros(()), dist_reduce_fx="sum")
        self.add_state("rows", torch.zeros(()), dist_reduce_fx="sum")

    def update(self, mean: Tensor, rows: int | Tensor) -> None:
        if isinstance(rows, int) and rows == 0:  # the mean of an empty batch is NaN
            return
        self.total += mean * rows
        self.rows += rows

    def compute(self) -> Tensor:
        return self.total / self.rows


class ConfusionMatrix(Metric):
    """Number of rows by class and prediction, int64 (K, K).

    Gives the same counts as torchmetrics, which uses torch.bincount and so makes the host wait for a GPU at each step.
    """

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.add_state("confmat", torch.zeros(num_classes, num_classes, dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, predicted: Tensor, target: Tensor) -> None:
        cells = target * self.num_classes + predicted
        self.confmat.view(-1).scatter_add_(0, cells, torch.ones_like(cells))

    def compute(self) -> Tensor:
        return self.confmat


def _state(metric: Metric) -> dict[str, Tensor]:
    """Return a metric's accumulated state, copied to the CPU."""
    return {key: value.detach().to("cpu", copy=True) for key, value in metric.metric_state.items()}


def _sum_of_states(states: list[dict[str, dict[str, Tensor]]]) -> dict[str, dict[str, Tensor]]:
    """Return the sum of one set's metric states over several ranks."""
    names = states[0]
    return {name: {key: sum(state[name][key] for state in states) for key in names[name]} for name in names}


def _metrics(num_classes: int, *means: str) -> MetricCollection:
    """Return a confusion matrix, from which all shares are computed, and means over rows."""
    averages = {name: RowMean() for name in means}
    return MetricCollection({**averages, "confusion": ConfusionMatrix(num_classes)}, compute_groups=False)


def _mean(metrics: MetricCollection, name: str, device: torch.device) -> Metric:
    """Return the collection's mean of this name. Add it if it is missing, as for auxiliary terms."""
    if name not in metrics:
        metrics.add_metrics({name: RowMean().to(device)})
    return metrics[name]


def _summary(name: str, metrics: MetricCollection) -> dict[str, float]:
    """Return the metrics of one set, each computed once over all its rows."""
    confusion = metrics["confusion"].compute().cpu().numpy()
    row = {f"{name}/{key}": metrics[key].compute().item() for key in metrics if key != "confusion"}
    row[f"{name}/acc"] = accuracy(confusion)
    row[f"{name}/f1_macro"] = f1_macro(confusion)
    row[f"{name}/recall_mean"] = recall_mean(confusion)
    return row
