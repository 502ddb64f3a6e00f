"""Build all objects from a config, with one short function per slot. No other module does so.

The rest of the package accepts plain keyword arguments. If a constructor names a value that only the run knows
(`num_classes`, `class_counts`, `input_size`, `in_channels`, `folder`), it is supplied here.
"""

import inspect
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from hydra.errors import InstantiationException
from hydra.utils import get_object, instantiate
from lightning.pytorch.callbacks import Callback, ProgressBar
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from omegaconf import DictConfig, OmegaConf

from fer_lightning.augment.pipeline import BatchTransform
from fer_lightning.check.check import FEED_KEYS, MODEL_KEYS, SLOTS
from fer_lightning.errors import UserError
from fer_lightning.losses.soft import EmptyClass
from fer_lightning.models.network import Network
from fer_lightning.runs.run_folder import RunFolder, arm_of
from fer_lightning.samplers.base import GlobalSampler
from fer_lightning.schedules.base import Schedule
from fer_lightning.seeding import derive_seed
from fer_lightning.training import distributed, duration
from fer_lightning.training.callbacks.checkpoint import AtomicCheckpointIO, BestCheckpoint
from fer_lightning.training.callbacks.count_reads import CountReads
from fer_lightning.training.classifier import FERClassifier
from fer_lightning.training.contracts import require_base, try_factors
from fer_lightning.training.datamodule import FERDataModule

# Errors with which a constructor rejects a value.
REJECTIONS = (ValueError, TypeError, ArithmeticError, AssertionError, RuntimeError, ImportError)
OF_DEVICES = ("ccelerator", "backend", "device", "GPU", "CUDA", "MPS")  # in Lightning's messages about a missing device


def set_threads(cfg: DictConfig) -> None:
    """Set the number of CPU threads of torch, if the config names one."""
    if cfg.threads is not None:
        torch.set_num_threads(cfg.threads)
        os.environ["OMP_NUM_THREADS"] = str(cfg.threads)  # otherwise Lightning divides the cores among the processes


def identity(cfg: DictConfig, folder: RunFolder, choices: dict[str, Any]) -> dict[str, Any]:
    """Return the summary's entries that are known before anything is built."""
    return {
        "status": "running",
        "name": cfg.name,
        "job": folder.path.name,
        "arm": arm_of(folder.path, cfg.seed),
        "seed": cfg.seed,
        "choices": {group: choices.get(group) for group in (*SLOTS, "callbacks", "logger", "experiment")},
        "monitor": cfg.callbacks.best.monitor,
        "mode": cfg.callbacks.best.mode,
        "expected": OmegaConf.to_container(cfg.expected) if cfg.expected else None,
    }


def facts(data: FERDataModule, model: FERClassifier, trainer: pl.Trainer) -> dict[str, Any]:
    """Return the summary's entries about the data, the network and the device."""
    parameters = list(model.network.parameters())
    split, device = data.split, trainer.strategy.root_device
    return {
        "data": {
            "name": data.table.name,
            "checksum": data.table.checksum,
            "image": list(data.table.form.shape),
            "ferplus": data.table.votes is not None,
            "teacher": data.teacher.facts() if data.teacher else None,
            "notes": data.table.notes,
        },
        "split": {
            "name": split.name,
            "checksum": split.checksum,
            "rows": {"train": len(data.train_rows), "val": len(split.val), "test": len(split.test)},
        },
        "parameters": {
            "total": sum(p.numel() for p in parameters),
            "trainable": sum(p.numel() for p in parameters if p.requires_grad),
        },
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "world_size": trainer.world_size,
        "precision": trainer.precision,
        "threads": torch.get_num_threads(),
    }


def duration_warning(cfg: DictConfig, data: FERDataModule, model: FERClassifier, trainer: pl.Trainer) -> str | None:
    """Return a warning if the run would take very long on the CPU; None on a GPU."""
    if trainer.strategy.root_device.type != "cpu":
        return None
    rows, limit = len(data.train_rows), trainer.limit_train_batches
    return duration.warn_if_long(
        duration.seconds_per_image(model.network, cfg.model.input_size),
        train=min(rows, limit * cfg.data.batch_size) if isinstance(limit, int) else round(limit * rows),
        evaluated=len(data.split.val) + len(data.train_eval_rows),
        epochs=trainer.max_epochs - model.first_epoch,
    )


def make(node: DictConfig, **supplied: Any) -> Any:
    """Build an object with Hydra's `instantiate`. Raise UserError if its constructor rejects a value of the config.

    Its lists and mappings are plain Python values, because a checkpoint may hold them.
    """
    try:
        return instantiate(node, _convert_="all", **supplied)
    except InstantiationException as error:
        cause = error.__cause__ or error
        if isinstance(cause, REJECTIONS) and not isinstance(cause, UserError | OSError | UnicodeError):
            owner = node._target_.rpartition(".")[2]
            unexpected = re.search(r"unexpected keyword argument '(\w+)'", str(cause))
            if unexpected and unexpected[1] in supplied:
                raise UserError(
                    f"{owner} does not take the argument {unexpected[1]}, but a run supplies {', '.join(supplied)}. "
                    "Add it to the constructor. docs/add-an-idea.md has the arguments of each slot."
                ) from cause
            own = (f"{key}={value}" for key, value in node.items() if not str(key).startswith("_"))
            raise UserError(f"{owner} rejects its keys {', '.join(own)}: {cause}. Change one of them.") from cause
        raise cause from None


def try_small_parts(cfg: DictConfig) -> None:
    """Build the parts that need neither faces nor a network. Raise UserError if one of them rejects a value.

    Nothing is written, so that a rejected run leaves no folder.
    """
    make(cfg.augment)
    schedule = make(cfg.schedule)
    require_base("schedule", schedule, Schedule, "warmup")
    try_factors(schedule)
    sampler = make(cfg.sampler, labels=[0, 1], seed=0, rank=0, world_size=1)
    require_base("sampler", sampler, GlobalSampler, "world_size")
    build_loss(cfg, [1, 1], ("", ""))
    make(cfg.optim, params=[torch.nn.Parameter(torch.zeros(2, 2, 3, 3)), torch.nn.Parameter(torch.zeros(2))])


def build_data(cfg: DictConfig) -> FERDataModule:
    table = make(_drop_keys(cfg.data, FEED_KEYS))
    feed = {key: cfg.data[key] for key in FEED_KEYS if key in cfg.data}
    transform = BatchTransform(
        augmentation=make(cfg.augment),
        input_size=cfg.model.input_size,
        mean=cfg.model.mean,
        std=cfg.model.std,
        num_classes=len(table.classes),
    )
    sampler = make(cfg.sampler, _partial_=True)
    return FERDataModule(
        table=table, transform=transform, sampler=sampler, seed=cfg.seed, track_test=cfg.track_test, **feed
    )


def build_network(
    cfg: DictConfig, num_classes: int, training_faces: Callable[[], torch.Tensor] | None = None
) -> Network:
    """Build the network; its weights depend only on the seed and on `training_faces`.

    training_faces  function that returns normalised images (N, C, S, S), called only for a backbone that computes its
                    initial weights from images; None if all weights will come from a checkpoint
    """
    torch.manual_seed(derive_seed(cfg.seed, "weights"))
    node = _drop_keys(cfg.model, MODEL_KEYS)
    supplied = _select_accepted(node, training_faces=training_faces)
    if supplied and training_faces:
        supplied["training_faces"] = training_faces()
    backbone = make(node, num_classes=num_classes, **supplied)
    stn = make(cfg.stn, **_select_accepted(cfg.stn, input_size=cfg.model.input_size, in_channels=cfg.model.in_channels))
    if cfg.model.get("weights"):
        from fer_lightning.models.author_checkpoints import load_published  # imports timm, which takes a second

        load_published(cfg.model.weights, stn, backbone)
    network = Network(stn, backbone, cfg.model.in_channels)
    return network.to(memory_format=torch.channels_last) if cfg.channels_last else network


def build_loss(cfg: DictConfig, class_counts: list[int], classes: Sequence[str]) -> torch.nn.Module:
    supplied = _select_accepted(cfg.loss, class_counts=class_counts, num_classes=len(class_counts))
    try:
        return make(cfg.loss, **supplied)
    except EmptyClass as error:
        raise EmptyClass(error.loss, class_counts, classes) from None


def build_classifier(cfg: DictConfig, data: FERDataModule) -> FERClassifier:
    num_classes = len(data.table.classes)
    network = build_network(cfg, num_classes, data.sample_faces)
    if data.start_size != cfg.model.input_size:
        _try_size(network, data.start_size, cfg)
    return FERClassifier(
        network=network,
        loss=build_loss(cfg, data.class_counts, data.table.classes),
        optimizer=make(cfg.optim, _partial_=True),
        schedule=make(cfg.schedule),
        num_classes=num_classes,
        ema_decay=cfg.ema_decay,
        seed=cfg.seed,
        compile=cfg.compile,
    )


@torch.no_grad()
def _try_size(network: Network, size: int, cfg: DictConfig) -> None:
    """Raise UserError if the network cannot take images of this side."""
    network.eval()
    for part, run in ((cfg.stn, network.transform), (cfg.model, network)):
        try:
            run(torch.zeros(1, 1, size, size))
        except (RuntimeError, AssertionError, ValueError) as error:
            raise UserError(
                f"data.start_size={size}: {part._target_.rpartition('.')[2]} takes only images of "
                f"model.input_size={cfg.model.input_size} ({error}). Use data.start_size=null."
            ) from None
    network.train()


def build_callbacks(cfg: DictConfig, folder: Path) -> list[Callback]:
    nodes = [node for node in cfg.callbacks.values() if node is not None]
    callbacks = [make(node, **_select_accepted(node, folder=str(folder))) for node in nodes]
    callbacks.sort(key=lambda callback: isinstance(callback, BestCheckpoint))  # it follows LastCheckpoint
    return [*callbacks, CountReads(str(folder))] if cfg.track_test else callbacks


def build_loggers(cfg: DictConfig, folder: Path) -> list[Logger]:
    """Return the loggers of a run that has begun; they write into its folder."""
    if not cfg.logger:
        return []
    config = OmegaConf.to_container(cfg, resolve=True)
    return [make(cfg.logger, _recursive_=False, folder=str(folder), run_config=config)]


def publish(trainer: pl.Trainer, folder: Path, summary: dict[str, Any]) -> None:
    """Send a finished run to the loggers that can publish one."""
    for logger in trainer.loggers:
        if hasattr(logger, "publish"):
            logger.publish(folder, summary)


def build_trainer(cfg: DictConfig, folder: Path) -> pl.Trainer:
    if cfg.logger and cfg.logger._target_.endswith(".build_wandb"):
        from fer_lightning.training.callbacks.wandb_logger import (
            refuse_wrong_key,  # imports wandb, which takes a second
        )

        refuse_wrong_key()
    callbacks = build_callbacks(cfg, folder)
    trainer = _make_trainer(
        cfg.trainer,
        **_precision(cfg.trainer),
        callbacks=callbacks,
        enable_progress_bar=any(isinstance(callback, ProgressBar) for callback in callbacks),
        logger=False,
        plugins=[AtomicCheckpointIO()],
        default_root_dir=str(folder),
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        enable_model_summary=False,
        log_every_n_steps=1,
    )
    distributed.take_over(trainer)
    return trainer


def check_device(node: DictConfig) -> None:
    """Raise UserError if this machine lacks the devices that a trainer names, or cannot compute in its precision.

    Nothing is written, so that a rejected run leaves no folder.
    """
    silent = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    trainer = _make_trainer(node, **_precision(node), **silent)
    on_cpu = trainer.strategy.root_device.type == "cpu"
    if on_cpu and str(node.get("precision")).startswith("16"):
        raise UserError(
            f"trainer.precision={node.precision} needs a GPU, but this machine has no GPU. "
            "Use trainer.precision=bf16-mixed or trainer.precision=32-true."
        )


def _precision(node: DictConfig) -> dict[str, str]:
    """Replace precision=auto by the fastest precision of the device that trains as well as float32."""
    if node.get("precision") != "auto":
        return {}
    on_gpu = node.accelerator in ("gpu", "cuda", "auto") and torch.cuda.is_available()
    in_bfloat16 = torch.cuda.is_bf16_supported(including_emulation=False) if on_gpu else cpu_computes_in_bfloat16()
    return {"precision": "bf16-mixed" if in_bfloat16 else "32-true"}


def cpu_computes_in_bfloat16() -> bool:
    """Return True if this CPU has units for bfloat16. Without them bfloat16 is about ten times slower than float32.

    Return False if this version of torch does not report the units.
    """
    capabilities = getattr(torch.cpu, "get_capabilities", dict)()
    return any(capabilities.get(name, False) for name in ("amx_bf16", "avx512_bf16", "bf16"))


def _make_trainer(node: DictConfig, **supplied: Any) -> pl.Trainer:
    try:
        return make(node, **supplied)
    except MisconfigurationException as error:
        if not any(word in str(error) for word in OF_DEVICES):
            raise UserError(f"trainer: {str(error).removesuffix('.')}. Change this key of trainer.") from None
        device = f"trainer.accelerator={node.get('accelerator')}"
        raise UserError(f"{device}: {error} Without such a device, use trainer=cpu or trainer=auto.") from None


def _drop_keys(node: DictConfig, keys: tuple[str, ...]) -> DictConfig:
    return OmegaConf.masked_copy(node, [key for key in node if key not in keys])


def _select_accepted(node: DictConfig, **offers: Any) -> dict[str, Any]:
    """Return the offers that the node's constructor names and that the config does not set."""
    names = inspect.signature(get_object(node._target_)).parameters
    return {key: value for key, value in offers.items() if key in names and key not in node}
