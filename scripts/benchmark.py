"""Speed, as ratios against a reference measured in the same run: one JSON line per figure.

Ours and the reference take turns, so that a slow moment of the machine meets both; figures are medians.
One thread each.

    python scripts/benchmark.py feed
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import ImageFolder

from fer_lightning.augment.geometric import Crop, Flip, Rotate
from fer_lightning.augment.pipeline import Augmentation, BatchTransform
from fer_lightning.data.loader import FaceDataset, TrainLoader
from fer_lightning.samplers.shuffle import Shuffle

CLASSES = 7
MEAN, STD = 0.5, 0.25


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    add_feed(commands)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    arguments.run(arguments)


def compare(name: str, unit: str, ours: Callable[[], float], reference: Callable[[], float], repeats: int) -> None:
    """Print one figure; `ours` and `reference` each do the work once and return what they reached."""
    ours(), reference()
    pairs = [(ours(), reference()) for _ in range(repeats)]
    reached, expected = (statistics.median(values) for values in zip(*pairs, strict=True))
    figure = {
        "name": name,
        "ours": round(reached, 3),
        "reference": round(expected, 3),
        "unit": unit,
        "ratio": round(reached / expected, 3),
        "repeats": repeats,
    }
    print(json.dumps(figure), flush=True)


# feed: augmented images a second, from the table in memory against PNG files read one by one


def add_feed(commands) -> None:
    parser = commands.add_parser("feed", help="augmented images/s against torchvision's ImageFolder on PNGs")
    parser.add_argument("--repeats", type=int, default=11, help="timings of each, interleaved")
    parser.add_argument("--batch-size", type=int, default=64, help="images a batch")
    parser.add_argument("--images", type=int, default=3200, help="images our feed hands over in one timing")
    parser.add_argument("--files", type=int, default=320, help="PNG files, read once in one timing of the reference")
    parser.set_defaults(run=feed)


def feed(arguments: argparse.Namespace) -> None:
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
    pixels, labels = random_faces(arguments.images)
    with tempfile.TemporaryDirectory() as folder:
        write_pngs(Path(folder), pixels[: arguments.files], labels)
        for size in ours:
            compare(
                f"feed_{size}px",
                "images/s",
                table_feed(pixels, labels, ours[size], size, arguments.batch_size),
                folder_feed(folder, published[size], arguments.batch_size),
                arguments.repeats,
            )


def random_faces(count: int) -> tuple[np.ndarray, np.ndarray]:
    """uint8 (N, 48, 48) and int64 (N,): soft blobs with a little noise, in PNGs of about 1.7 kB."""
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
    """An epoch of this project's own loader and batch transform: grey, float32 (B, 1, S, S)."""
    dataset = FaceDataset(torch.from_numpy(pixels), torch.from_numpy(labels), torch.arange(len(labels)))
    loader = TrainLoader(dataset, Shuffle(labels, seed=0), batch_size)
    transform = BatchTransform(augmentation, size, MEAN, STD, CLASSES)

    def epoch():
        for batch in loader:
            generator = torch.Generator().manual_seed(batch["key"][1])
            yield transform.train(batch["image"], batch["target"], generator)[0]

    return lambda: rate(epoch(), (1, size, size))


def folder_feed(folder: str, augmentation: list, batch_size: int) -> Callable[[], float]:
    """An epoch as published scripts do it: RGB PIL images from files, float32 (B, 3, S, S)."""
    normalise = [transforms.ToTensor(), transforms.Normalize([MEAN] * 3, [STD] * 3)]
    dataset = ImageFolder(folder, transforms.Compose([*augmentation, *normalise]))
    loader = DataLoader(dataset, batch_size, shuffle=True, drop_last=True, num_workers=0)

    def epoch():
        for images, _ in loader:
            yield images

    return lambda: rate(epoch(), None)


def rate(batches, shape: tuple[int, ...] | None) -> float:
    """Images a second over an iterator of image batches."""
    count, start = 0, time.perf_counter()
    for images in batches:
        count += len(images)
        assert images.dtype == torch.float32
        assert shape is None or images.shape[1:] == shape
    return count / (time.perf_counter() - start)


if __name__ == "__main__":
    main()
