"""Measure speed as ratios to a reference in the same run; prints one JSON line per measurement.

This project and the reference run in turn, so that a slow moment of the machine affects both. Values are medians.
Each uses one thread. Single steps, without a trainer, are measured in CPU time.

    python scripts/benchmark.py feed       images/s from the store to the network's input; higher is better
    python scripts/benchmark.py step       images/s of training, the parts of a step, memory formats; higher is better
    python scripts/benchmark.py startup    seconds until --help or the message for an invalid config; lower is better
    python scripts/benchmark.py sweep      seconds of a sweep with two runs at a time, relative to one; lower is better
    python scripts/benchmark.py ingest     seconds from the challenge's CSV to a store, and memory; lower is better
    python scripts/benchmark.py report     seconds and memory of a sweep's report; lower is better
    python scripts/benchmark.py scale      feed and memory at 100 times the size of FER2013; needs 9 GB of disk space
"""

import argparse
import functools
import importlib
import itertools
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest import mock

import cv2
import lightning.pytorch as pl
import numpy as np
import torch
from hydra import compose, initialize_config_dir
from lightning.pytorch.callbacks import Callback
from PIL import Image
from timing import bounded, compare, compare_with_each, cpu_seconds, measured, megabytes, seconds
from timm.optim.muon import zeropower_via_newtonschulz
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader
from torch.utils.flop_counter import FlopCounterMode
from torchvision import transforms
from torchvision.datasets import ImageFolder

from fer_lightning.augment.geometric import Crop, Flip, Rotate
from fer_lightning.augment.pipeline import Augmentation, BatchTransform
from fer_lightning.compat.lightning import hide_notes
from fer_lightning.config import schema
from fer_lightning.data.fer2013 import load
from fer_lightning.data.ingest import ingest, write_store
from fer_lightning.data.judged_rows import judge_test_rows
from fer_lightning.data.readers.faces import ReadFaces
from fer_lightning.data.splits import make_split
from fer_lightning.data.table import FaceTable
from fer_lightning.evaluation.predictions import Predictions, write_predictions
from fer_lightning.labels import TAXONOMIES, USAGES
from fer_lightning.losses.cross_entropy import CrossEntropy
from fer_lightning.models import small_maps
from fer_lightning.models.emonext import EmoNeXt
from fer_lightning.models.network import Network
from fer_lightning.models.resemotenet import ResEmoteNet
from fer_lightning.models.se_resnet import SEResNet
from fer_lightning.models.whitened_cnn import WhitenedCNN
from fer_lightning.optimizers.muon import COEFFICIENTS, Muon, newton_schulz_by_gram
from fer_lightning.samplers.shuffle import Shuffle
from fer_lightning.schedules.constant import Constant
from fer_lightning.stn.none import Identity
from fer_lightning.training.build import build_classifier, cpu_computes_in_bfloat16, make
from fer_lightning.training.classifier import FERClassifier
from fer_lightning.training.datamodule import FERDataModule
from fer_lightning.training.loader import FaceDataset, TrainLoader

ROOT = Path(__file__).resolve().parent.parent

CLASSES = 7
FER2013_ROWS = 35_887
MEAN, STD = 0.5, 0.25
WHITENED_CHANNELS = ([96, 192, 384], [64, 128, 256], [48, 96, 192])  # the second is that of experiment=fer2013_cpu
AUTO_PRECISION = (
    torch.bfloat16 if cpu_computes_in_bfloat16() else None
)  # what trainer.precision=auto picks; None: float32


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    add_feed(commands)
    add_step(commands)
    add_startup(commands)
    add_sweep(commands)
    add_ingest(commands)
    add_report(commands)
    add_scale(commands)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    arguments.run(arguments)


# feed: augmented images per second from the table in memory, compared with PNG files and with kornia on the same table


def add_feed(commands) -> None:
    parser = commands.add_parser("feed", help="augmented images/s, compared with torchvision and kornia")
    parser.add_argument("--repeats", type=int, default=11, help="timings of each, interleaved")
    parser.add_argument("--batch-size", type=int, default=64, help="images per batch")
    parser.add_argument("--images", type=int, default=3200, help="images of this project's feed in one timing")
    parser.add_argument(
        "--files", type=int, default=320, help="images of a reference in one timing: PNG files, or rows in memory"
    )
    parser.set_defaults(run=feed)


def feed(arguments: argparse.Namespace) -> None:
    kornia = import_kornia()
    resize, crop = 236, 224
    ours = {
        64: Augmentation(["flip", "rotate"], flip=Flip(), rotate=Rotate(20)),
        crop: Augmentation(["flip", "rotate", "crop"], flip=Flip(), rotate=Rotate(20), crop=Crop(resize, crop)),
    }
    flip, rotate = transforms.RandomHorizontalFlip(), transforms.RandomRotation(20)
    published = {
        64: [transforms.Resize(64), flip, rotate],
        crop: [flip, transforms.Resize(resize), rotate, transforms.RandomCrop(crop)],
    }
    mirror, turn = kornia.RandomHorizontalFlip(), kornia.RandomRotation(20.0, p=1.0)
    batched = {
        64: [kornia.Resize((64, 64)), mirror, turn],
        crop: [mirror, kornia.Resize((resize, resize)), turn, kornia.RandomCrop((crop, crop))],
    }
    pixels, labels = random_faces(arguments.images)
    few, batch_size = pixels[: arguments.files], arguments.batch_size
    with tempfile.TemporaryDirectory() as folder:
        write_pngs(Path(folder), few, labels)
        for size in ours:
            references = {
                f"feed_{size}px": folder_feed(folder, published[size], batch_size),
                f"feed_{size}px_kornia": kornia_feed(
                    few, kornia.AugmentationSequential(*batched[size]), size, batch_size
                ),
            }
            own = table_feed(pixels, labels, ours[size], size, batch_size)
            compare_with_each("images/s", own, references, arguments.repeats)


def import_kornia() -> ModuleType:
    """Return kornia.augmentation; exit with the command that installs it if it is missing."""
    try:
        return importlib.import_module("kornia.augmentation")
    except ModuleNotFoundError as error:
        if not error.name.startswith("kornia"):
            raise
        sys.exit("benchmark feed: kornia, one of the two references, is not installed. Run: pip install kornia")


def random_faces(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return images uint8 (N, 48, 48) and labels int64 (N,): smooth blobs with noise; a PNG of one has about 1.7 kB."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (count, 8, 8)).astype(np.float32)
    soft = np.stack([cv2.resize(image, (48, 48), interpolation=cv2.INTER_CUBIC) for image in coarse])
    pixels = np.clip(soft + rng.normal(0, 3, soft.shape), 0, 255).astype(np.uint8)
    return pixels, np.arange(count) % CLASSES


def write_pngs(folder: Path, pixels: np.ndarray, labels: np.ndarray) -> None:
    for name in range(CLASSES):
        (folder / str(name)).mkdir()
    for row, image in enumerate(pixels):
        Image.fromarray(image).save(folder / str(labels[row]) / f"{row}.png")


def table_feed(
    pixels: np.ndarray, labels: np.ndarray, augmentation: Augmentation, size: int, batch_size: int
) -> Callable[[], float]:
    """Return the rate of an epoch of this project's loader and batch transform: grey, float32 (B, 1, S, S)."""
    dataset = FaceDataset(torch.from_numpy(pixels), torch.from_numpy(labels), torch.arange(len(labels)))
    loader = TrainLoader(dataset, Shuffle(labels, seed=0), batch_size)
    transform = BatchTransform(augmentation, size, MEAN, STD, CLASSES)

    def epoch():
        for batch in loader:
            generator = torch.Generator().manual_seed(batch["key"][1])
            yield transform.train(batch["image"], batch["target"], generator)[0]

    return lambda: rate(epoch(), (1, size, size))


def folder_feed(folder: str, augmentation: list, batch_size: int) -> Callable[[], float]:
    """Return the rate of an epoch as in published scripts: RGB PIL images from files, float32 (B, 3, S, S)."""
    normalise = [transforms.ToTensor(), transforms.Normalize([MEAN] * 3, [STD] * 3)]
    dataset = ImageFolder(folder, transforms.Compose([*augmentation, *normalise]))
    loader = DataLoader(dataset, batch_size, shuffle=True, drop_last=True, num_workers=0)

    def epoch():
        for images, _ in loader:
            yield images

    return lambda: rate(epoch(), None)


def kornia_feed(pixels: np.ndarray, augmentation: nn.Module, size: int, batch_size: int) -> Callable[[], float]:
    """Return the rate of an epoch of kornia on whole batches in memory: grey, float32 (B, 1, S, S)."""
    faces = torch.from_numpy(pixels)[:, None]

    def epoch():
        for rows in torch.randperm(len(faces)).split(batch_size):
            yield augmentation(faces[rows].float().div_(255)).sub_(MEAN).div_(STD)

    return lambda: rate(epoch(), (1, size, size))


def rate(batches, shape: tuple[int, ...] | None) -> float:
    """Return the images per second of an iterator over image batches."""
    count, start = 0, time.perf_counter()
    for images in batches:
        count += len(images)
        assert images.dtype == torch.float32
        assert shape is None or images.shape[1:] == shape
    return count / (time.perf_counter() - start)


# step: images per second of forward pass, backward pass and optimiser; the parts of a step; memory formats


def add_step(commands) -> None:
    parser = commands.add_parser("step", help="training steps: trainer.fit, lean ResEmoteNet, parts, memory formats")
    parser.add_argument("measures", nargs="*", choices=list(STEP_MEASURES), help="what to measure; default: all")
    parser.add_argument("--repeats", type=int, default=5, help="timings of each, interleaved")
    parser.add_argument("--steps", type=int, default=12, help="optimiser steps in one timing of trainer.fit")
    parser.add_argument("--width", type=float, default=1.0, help="width of the ResEmoteNets; 1 is the published one")
    parser.add_argument(
        "--batch-size", type=int, help="images per step of `parts`, `small_maps` (default: 256) and `formats` (32)"
    )
    parser.set_defaults(run=step)


def step(arguments: argparse.Namespace) -> None:
    hide_notes()
    for name in arguments.measures or STEP_MEASURES:
        STEP_MEASURES[name](arguments)


def step_fit(arguments: argparse.Namespace) -> None:
    """Print `trainer.fit` against a bare loop."""
    batch_size, size = 64, 48
    pixels, labels = random_faces(batch_size * arguments.steps)
    compare(
        "step_fit",
        "images/s",
        lambda: fit_rate(small_network(size), pixels, labels, batch_size, size),
        lambda: loop_rate(small_network(size), pixels, labels, batch_size),
        arguments.repeats,
    )


def step_lean(arguments: argparse.Namespace) -> None:
    """Print lean against full ResEmoteNet, in float32 as published."""
    for batch_size in (16, 64):
        lean, full = (ResEmoteNet(lean=lean, input_size=64, width=arguments.width) for lean in (True, False))
        images = torch.rand(batch_size, 3, 64, 64)
        compare(
            f"step_lean_batch{batch_size}",
            "images/s",
            step_rate(lean, images, precision=None),
            step_rate(full, images, precision=None),
            arguments.repeats,
        )


def step_parts(arguments: argparse.Namespace) -> None:
    """Print the share of each part of a whitened network's step, and its FLOP/s against a matrix product's."""
    batch_size = arguments.batch_size or 256
    for channels in WHITENED_CHANNELS:
        name = f"step_whitened{channels[0]}"
        watch = PartsWatch()
        data, module = whitened_training(channels, batch_size, arguments.steps)
        watch.label_parts(data, module)
        trainer_of_one_epoch(watch, limit_val_batches=0).fit(module, datamodule=data)
        measured(f"{name}_fit", "images/s", watch.images / sum(watch.seconds.values()))
        for part, share in watch.shares().items():
            measured(f"{name}_{part}", "% of the step", 100 * share)
        network, images = module.network, torch.rand(batch_size, 1, 48, 48)
        work = step_flops(network, images) / batch_size / 1e9
        rate = step_rate(network, images, AUTO_PRECISION, Muon)
        compare(f"{name}_of_peak", "GFLOP/s", lambda: rate() * work, product_rate, arguments.repeats)  # noqa: B023


def step_muon(arguments: argparse.Namespace) -> None:
    """Print the seconds of Muon's orthogonalisation against timm's iteration, on a whitened network's weights."""
    timms = functools.partial(zeropower_via_newtonschulz, coefficients=COEFFICIENTS, dtype=torch.float32)
    for channels in WHITENED_CHANNELS:
        weights = [parameter.detach() for parameter in WhitenedCNN(channels=channels).groups.parameters()]
        updates = [torch.randn_like(weight).flatten(1) for weight in weights if weight.ndim == 4]
        ours, reference = (iteration_time(iterate, updates) for iterate in (newton_schulz_by_gram, timms))
        compare(f"step_muon_whitened{channels[0]}", "s", ours, reference, arguments.repeats)


def iteration_time(iterate: Callable[[Tensor, int], Tensor], updates: list[Tensor]) -> Callable[[], float]:
    """Return the CPU seconds of three iterations on each of the updates (m, n)."""
    return lambda: cpu_seconds(lambda: [iterate(update, 3) for update in updates])


def step_formats(arguments: argparse.Namespace) -> None:
    """Print training with the memory format channels_last against the contiguous one, by network."""
    batch_size = arguments.batch_size or 32
    backbones = {
        "resemotenet": (48, functools.partial(ResEmoteNet, width=0.25, lean=True)),
        "se_resnet": (48, SEResNet),
        "whitened_cnn": (48, WhitenedCNN),
        "emonext": (64, EmoNeXt),
    }
    for name, (size, make_backbone) in backbones.items():
        images = torch.rand(batch_size, 1, size, size)
        ours, reference = (
            step_rate(
                make_backbone(in_channels=1, input_size=size).to(memory_format=memory_format), images, AUTO_PRECISION
            )
            for memory_format in (torch.channels_last, torch.contiguous_format)
        )
        compare(f"step_channels_last_{name}", "images/s", ours, reference, arguments.repeats)


def step_small_maps(arguments: argparse.Namespace) -> None:
    """Print training the network of `experiment=fer2013_cpu`, against torch's weight gradient on small maps."""
    batch_size = arguments.batch_size or 256
    for size in (48, 32):
        network = WhitenedCNN(channels=[64, 128, 256]).to(memory_format=torch.channels_last)
        train = step_rate(network, torch.rand(batch_size, 1, size, size), None, Muon)
        ours, reference = (with_small_maps_up_to(side, train) for side in (small_maps.LARGEST_SIDE, 0))
        compare(f"step_small_maps_{size}px", "images/s", ours, reference, arguments.repeats)


def with_small_maps_up_to(side: int, work: Callable[[], float]) -> Callable[[], float]:
    """Return `work` with the package's own weight gradient on maps of up to `side` pixels."""

    def call() -> float:
        with mock.patch.object(small_maps, "LARGEST_SIDE", side):
            return work()

    return call


STEP_MEASURES = {
    "fit": step_fit,
    "lean": step_lean,
    "parts": step_parts,
    "muon": step_muon,
    "formats": step_formats,
    "small_maps": step_small_maps,
}


def small_network(size: int) -> Network:
    backbone = ResEmoteNet(in_channels=1, input_size=size, width=0.25)
    return Network(Identity(), backbone, in_channels=1).to(memory_format=torch.channels_last)


def sgd(parameters) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, lr=0.01, momentum=0.9, nesterov=True)


class Stopwatch(Callback):
    """Time from the end of the first training batch, which warms up, to the end of the last."""

    def on_train_batch_end(
        self, trainer: pl.Trainer, module: pl.LightningModule, outputs, batch, batch_idx: int
    ) -> None:
        if batch_idx == 0:
            self.start = time.perf_counter()
        self.seconds, self.images = time.perf_counter() - self.start, batch_idx * len(batch["row"])


PARTS = ("feed", "forward", "backward_convolution", "backward_other", "optimizer", "ema", "metrics", "rest")


class PartsWatch(Callback):
    """Seconds by part of a training step, from behind the first batch to behind the last.

    A part inside another one counts only for itself. "rest" is what no part covers.
    """

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()
        self.parts = ["rest"]
        self.profiler = torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU])

    def label_parts(self, data: FERDataModule, module: FERClassifier) -> None:
        """Let the calls of each part be timed under its name."""
        self._label(data, "on_after_batch_transfer", "feed")
        self._label(module, "training_step", "forward")
        self._label(module, "backward", "backward")
        self._label(module, "optimizer_step", "optimizer")
        self._label(module.ema, "update", "ema")
        for metric in module.train_metrics.values():
            self._label(metric, "update", "metrics")

    def _label(self, owner: object, method: str, part: str) -> None:
        original = getattr(owner, method)

        @functools.wraps(original)
        def timed(*args, **kwargs):
            self._lap()
            self.parts.append(part)
            result = original(*args, **kwargs)
            self._lap()
            self.parts.pop()
            return result

        setattr(owner, method, timed)

    def _lap(self) -> None:
        now = time.perf_counter()
        self.seconds[self.parts[-1]] += now - self.last
        self.last = now

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self.last = time.perf_counter()

    def on_train_batch_end(
        self, trainer: pl.Trainer, module: pl.LightningModule, outputs, batch, batch_idx: int
    ) -> None:
        self._lap()
        if batch_idx == 0:
            self.seconds.clear()
            self.profiler.start()
            self.last = time.perf_counter()
        elif trainer.is_last_batch:
            self.profiler.stop()
            self.images = batch_idx * len(batch["row"])

    def shares(self) -> dict[str, float]:
        """Return the share of each part; the backward pass is split into convolutions and all else."""
        events = {event.key: event.cpu_time_total / 1e6 for event in self.profiler.key_averages()}
        convolution = events["aten::convolution_backward"]
        seconds = self.seconds | {
            "backward_convolution": convolution,
            "backward_other": self.seconds["backward"] - convolution,
        }
        return {part: seconds[part] / sum(self.seconds.values()) for part in PARTS}


def whitened_training(channels: list[int], batch_size: int, steps: int) -> tuple[FERDataModule, FERClassifier]:
    """Return what `train.py model=whitened_cnn optim=muon ema_decay=0.999` trains, on random faces."""
    overrides = ["model=whitened_cnn", "optim=muon", f"model.channels={channels}", "ema_decay=0.999"]
    schema.register()
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        config = compose("train", [*overrides, "data=synthetic", f"data.batch_size={batch_size}"])
    pixels, labels = random_faces(batch_size * steps + 2)  # with one row each for validation and test
    transform = BatchTransform(make(config.augment), config.model.input_size, MEAN, STD, CLASSES)
    data = FERDataModule(training_table(pixels, labels), transform, Shuffle, batch_size=batch_size)
    return data, build_classifier(config, data)


def fit_rate(network: Network, pixels: np.ndarray, labels: np.ndarray, batch_size: int, size: int) -> float:
    """`trainer.fit` with everything that a run does in a step: feed, metrics, learning rate, seeds."""
    transform = BatchTransform(Augmentation([]), size, MEAN, STD, CLASSES)
    data = FERDataModule(training_table(pixels, labels), transform, Shuffle, batch_size=batch_size, train_eval_rows=1)
    module = FERClassifier(network, CrossEntropy(), sgd, Constant(), CLASSES)
    watch = Stopwatch()
    trainer_of_one_epoch(watch).fit(module, datamodule=data)
    return watch.images / watch.seconds


def training_table(pixels: np.ndarray, labels: np.ndarray) -> FaceTable:
    """Return a table of training rows, but for one each of validation and test."""
    usage = np.zeros(len(labels), np.uint8)
    usage[:2] = 1, 2
    classes = TAXONOMIES["fer2013"].classes
    rows = np.arange(len(labels)).astype(str)
    return FaceTable("random", pixels, labels.astype(np.int64), usage, rows, classes, "")


def trainer_of_one_epoch(watch: Callback, **settings: Any) -> pl.Trainer:
    """Return a trainer that writes nothing, in the precision that trainer.precision=auto picks."""
    return pl.Trainer(
        accelerator="cpu",
        max_epochs=1,
        precision="32-true" if AUTO_PRECISION is None else "bf16-mixed",
        callbacks=[watch],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        **settings,
    )


def loop_rate(network: Network, pixels: np.ndarray, labels: np.ndarray, batch_size: int) -> float:
    """Return the images/s of the same network and optimiser in a minimal loop, on normalised tensors in memory."""
    images = ((torch.from_numpy(pixels)[:, None].float() / 255 - MEAN) / STD).split(batch_size)
    targets = torch.from_numpy(labels).split(batch_size)
    optimizer, steps = sgd(network.parameters()), len(images) - 1
    network.train()
    for index in range(steps):
        if index == 1:
            start = time.perf_counter()
        optimise(network, optimizer, images[index], targets[index], AUTO_PRECISION)
    return (steps - 1) * batch_size / (time.perf_counter() - start)


def step_rate(
    network: nn.Module,
    images: Tensor,
    precision: torch.dtype | None,
    make_optimizer: Callable[..., torch.optim.Optimizer] = sgd,
) -> Callable[[], float]:
    """Return the rate of one training step on a fixed batch, per second of CPU time."""
    optimizer = make_optimizer([p for p in network.parameters() if p.requires_grad])
    target = torch.arange(len(images)) % CLASSES

    return lambda: len(images) / cpu_seconds(lambda: optimise(network, optimizer, images, target, precision))


def step_flops(network: nn.Module, images: Tensor) -> int:
    """Return the floating-point operations of all products and convolutions of one training step with Muon."""
    with FlopCounterMode(display=False) as counter:
        step_rate(network, images, AUTO_PRECISION, Muon)()
    return counter.get_total_flops()


def product_rate(side: int = 2048) -> float:
    """Return the GFLOP/s of a product of square matrices in the precision of training, the peak of one core."""
    matrix = torch.ones(side, side, dtype=AUTO_PRECISION or torch.float32)
    return 2 * side**3 / 1e9 / cpu_seconds(lambda: matrix @ matrix)


def optimise(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    images: Tensor,
    target: Tensor,
    precision: torch.dtype | None,
) -> None:
    with torch.autocast("cpu", precision, enabled=precision is not None):
        loss = F.cross_entropy(network(images), target)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


# startup: seconds until the first output


def add_startup(commands) -> None:
    parser = commands.add_parser("startup", help="seconds of --help and of an error, compared with `import hydra`")
    parser.add_argument("--repeats", type=int, default=9, help="timings of each, interleaved")
    parser.set_defaults(run=startup)


def startup(arguments: argparse.Namespace) -> None:
    reference = wall_time(["-c", "import hydra"], expected=0)
    for name, command, status in (
        ("startup_help", ["train.py", "--help"], 0),
        ("startup_refusal", ["train.py", "data=synthetic", "+model.widht=3"], 2),
    ):
        compare(name, "s", wall_time(command, status), reference, arguments.repeats)


def wall_time(command: list[str], expected: int) -> Callable[[], float]:
    """Return a function that measures the seconds of `python COMMAND`; its exit status must be `expected`."""

    def timed() -> float:
        start = time.perf_counter()
        process = subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, check=False)
        seconds = time.perf_counter() - start
        assert process.returncode == expected, process.stderr.decode()
        return seconds

    return timed


# sweep: several runs at a time


def add_sweep(commands) -> None:
    parser = commands.add_parser("sweep", help="seconds of a sweep of one-thread runs, two at a time compared with one")
    parser.add_argument("--repeats", type=int, default=3, help="sweeps of each kind, interleaved")
    parser.add_argument("--runs", type=int, default=4, help="runs per sweep")
    parser.add_argument("--epochs", type=int, default=4, help="epochs per run, on synthetic faces")
    parser.add_argument("--rows", type=int, default=6000, help="number of synthetic faces")
    parser.set_defaults(run=sweep)


def sweep(arguments: argparse.Namespace) -> None:
    run = ["experiment=quickstart", f"trainer.max_epochs={arguments.epochs}", "threads=1", "resume=never"]
    run.append(f"data.rows={arguments.rows}")
    with tempfile.TemporaryDirectory() as folder:
        command = ["train.py", "-m", *run, f"output_dir={folder}", f"seed=range({arguments.runs})"]
        one, two = (wall_time([*command, f"name={jobs}", f"hydra.launcher.jobs={jobs}"], 0) for jobs in (1, 2))
        compare("sweep_two_at_a_time", "s", two, one, arguments.repeats)


# ingest: seconds from a CSV to a store


def add_ingest(commands) -> None:
    parser = commands.add_parser("ingest", help="CSV to store, compared with pandas; opening a store")
    parser.add_argument("--repeats", type=int, default=3, help="timings of each, interleaved")
    parser.add_argument("--csv", type=Path, help="path of fer2013.csv; default: a CSV of random faces")
    parser.add_argument("--rows", type=int, default=FER2013_ROWS, help="rows of the random CSV")
    parser.set_defaults(run=ingest_measures)


def ingest_measures(arguments: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = arguments.csv or write_csv(Path(folder, "fer2013.csv"), arguments.rows)
        stores = itertools.count()

        def ours() -> float:
            return seconds(lambda: ingest(str(path), f"{folder}/store-{next(stores)}"))

        compare("ingest_csv", "s", ours, lambda: seconds(lambda: read_with_pandas(path)), arguments.repeats)
        bounded("ingest_memory", "MB", peak_of_ingest(path, f"{folder}/peak"), limit=1536)
        openings = [seconds(lambda: load(f"{folder}/peak")) for _ in range(9)]
        bounded("store_open", "ms", 1000 * statistics.median(openings), limit=50)


def peak_of_ingest(path: Path, root: str) -> float:
    """Return the peak resident memory in MB of a process that only ingests, including imports."""
    code = (
        "import sys; from fer_lightning.data.ingest import ingest; ingest(*sys.argv[1:]);"
        "print(open('/proc/self/status').read())"
    )
    command = [sys.executable, "-c", code, str(path), root]
    status = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return megabytes("VmHWM", status)


def write_csv(path: Path, rows: int) -> Path:
    """Write random faces in the format of the challenge, with rows of each usage and class; return the path."""
    pixels, labels = random_faces(min(rows, 2000))
    with open(path, "w") as file:
        file.write("emotion,pixels,Usage\n")
        for row in range(rows):
            face = np.roll(pixels[row % len(pixels)], row // len(pixels), axis=0)
            file.write(f"{labels[row % len(labels)]},{' '.join(map(str, face.ravel()))},{USAGES[row % 3]}\n")
    return path


def read_with_pandas(path: Path) -> np.ndarray:
    """Return the pixels, read as most scripts for FER2013 read them."""
    import pandas as pd

    table = pd.read_csv(path)
    return np.stack([np.array(row.split(), dtype=np.uint8).reshape(48, 48) for row in table["pixels"]])


# report: seconds and memory of the report of many finished runs


def add_report(commands) -> None:
    parser = commands.add_parser("report", help="seconds and memory of the report of many finished runs")
    parser.add_argument("--arms", type=int, default=20, help="arms of the sweep")
    parser.add_argument("--seeds", type=int, default=10, help="runs per arm")
    parser.add_argument("--rows", type=int, default=3589, help="test rows")
    parser.set_defaults(run=report)


def report(arguments: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as folder:
        write_runs(Path(folder), arguments.arms, arguments.seeds, arguments.rows)
        code = (
            "import sys; from fer_lightning.report.__main__ import main; main();print(open('/proc/self/status').read())"
        )
        start = time.perf_counter()
        process = subprocess.run(
            [sys.executable, "-c", code, folder], cwd=ROOT, check=True, capture_output=True, text=True
        )
        bounded("report_time", "s", time.perf_counter() - start, limit=20)
        bounded("report_memory", "MB", megabytes("VmHWM", process.stdout), limit=500)


def write_runs(folder: Path, arms: int, seeds: int, rows: int) -> None:
    """Write finished runs of 40 epochs, whose predictions are correct on about two thirds of the same rows."""
    epochs = 40
    rng = np.random.default_rng(0)
    classes, labels = TAXONOMIES["fer2013"].classes, np.sort(rng.integers(CLASSES, size=rows))
    ease, clean = rng.normal(1, 2, (rows, 1)) * np.eye(CLASSES)[labels], rng.random(rows) < 0.9
    images = np.array([f"{row:064x}" for row in range(rows)])
    fallen = np.exp(-np.arange(epochs) / 10)
    columns = {"epoch": np.arange(epochs) + 1, **{f"{kind}/ce": 1 + fallen for kind in ("train_eval", "val", "test")}}
    columns |= {f"{kind}/acc": 0.6 - fallen / 2 for kind in ("train_eval", "val", "test")}
    metrics = "\n".join(
        [",".join(columns), *(",".join(map(str, line)) for line in zip(*columns.values(), strict=True))]
    )
    for arm, seed in itertools.product(range(arms), range(seeds)):
        logits = ease + rng.normal(0, 1, (rows, CLASSES))
        probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        run = folder / f"arm-{arm:02}_seed-{seed}"
        predictions = Predictions(np.arange(rows), images, labels, probabilities, clean, clean, None, classes)
        write_predictions(run / "predictions.csv", predictions)
        (run / "metrics.csv").write_text(f"{metrics}\n")
        (run / "summary.json").write_text(json.dumps({"status": "done", "arm": f"arm-{arm:02}", "seed": seed}))


# scale: the same store and feed at 100 times the size of FER2013


def add_scale(commands) -> None:
    parser = commands.add_parser("scale", help="feed and memory of a large store, compared with FER2013's size")
    parser.add_argument("--repeats", type=int, default=5, help="timings of each, interleaved")
    parser.add_argument("--rows", type=int, default=FER2013_ROWS, help="rows of the small store")
    parser.add_argument("--times", type=int, default=100, help="size of the large store, relative to the small one")
    parser.add_argument("--batches", type=int, default=100, help="batches of 64 in one timing")
    parser.add_argument("--folder", default=None, help="folder for both temporary stores")
    parser.set_defaults(run=scale)


def scale(arguments: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        small, large = Path(folder, "small"), Path(folder, "large")
        write_faces(small, arguments.rows)
        with anonymous_memory("scale_write_memory"):
            write_faces(large, arguments.rows * arguments.times)
        with anonymous_memory("scale_feed_memory"):
            from_large = store_feed(large, arguments.batches)
            from_large()
        compare("scale_feed", "images/s", from_large, store_feed(small, arguments.batches), arguments.repeats)
        with anonymous_memory("scale_test_rows_memory"):
            faces = load(str(large))
            judge_test_rows(faces, make_split(faces, "official"))


def write_faces(root: Path, rows: int) -> None:
    """Write a store of different random faces, which are never all in memory at the same time."""
    root.mkdir()
    base, labels = random_faces(min(rows, 2000))
    rng = np.random.default_rng(0)
    unsorted = root / "unsorted"
    with open(unsorted, "wb") as file:
        for start in range(0, rows, len(base)):
            count = min(len(base), rows - start)
            file.write(base[:count] ^ rng.integers(0, 8, (count, 48, 48), np.uint8))
    faces = ReadFaces(
        pixels=np.memmap(unsorted, np.uint8, "r", shape=(rows, 48, 48)),
        labels=np.resize(labels, rows),
        usage=np.arange(rows, dtype=np.uint8) % len(USAGES),
        source=[str(row) for row in range(rows)],
        form="random",
    )
    key = {"path": str(unsorted), "fingerprint": [], "ferplus": None}
    write_store(root, faces, key, TAXONOMIES["fer2013"])
    unsorted.unlink()


def store_feed(root: Path, batches: int) -> Callable[[], float]:
    """Return the rate of a run's data module on the store at `root`: augmented, float32 (64, 1, 64, 64)."""
    size = 64
    augmentation = Augmentation(["flip", "rotate"], flip=Flip(), rotate=Rotate(20))
    transform = BatchTransform(augmentation, size, MEAN, STD, CLASSES)
    data = FERDataModule(load(str(root)), transform, Shuffle)
    cpu = SimpleNamespace(root_device=torch.device("cpu"))
    data.trainer = SimpleNamespace(global_rank=0, world_size=1, training=True, max_epochs=1, strategy=cpu)
    endless = itertools.chain.from_iterable(itertools.repeat(data.train_dataloader()))

    def timed() -> float:
        fed = (data.on_after_batch_transfer(batch, 0)["image"] for batch in itertools.islice(endless, batches))
        return rate(fed, (1, size, size))

    return timed


@contextmanager
def anonymous_memory(name: str) -> Iterator[None]:
    """Print the peak anonymous memory of the block, minus the memory before it; the limit is 1,536 MB."""
    before, most, over = anonymous_megabytes(), [0.0], threading.Event()

    def watch() -> None:
        while not over.wait(0.01):
            most[0] = max(most[0], anonymous_megabytes())

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    yield
    over.set()
    watcher.join()
    bounded(name, "MB", max(most[0], anonymous_megabytes()) - before, limit=1536)


def anonymous_megabytes() -> float:
    return megabytes("RssAnon", Path("/proc/self/status").read_text())


if __name__ == "__main__":
    main()
