"""The published networks' keys and logits (tests/reference/*.json), and the recipe of weights that goes with them.

Each tensor depends only on its key and shape: a RandomState seeded by the low 31 bits of the key's CRC-32 draws
standard normals, which are scaled by what the tensor is. The images are uniform noise of RandomState(7).
"""

import json
import math
from pathlib import Path
from zlib import crc32

import numpy as np
import torch
from torch import Tensor

FOLDER = Path(__file__).parent.parent / "reference"

# By the last part of a key: (offset, factor); a normalisation's `weight` is 1 + 0.1 z.
SCALES = {"running_mean": (0.0, 0.1), "gamma": (0.0, 0.1), "bias": (0.0, 0.02), "weight": (1.0, 0.1)}


def load(name: str) -> dict:
    return json.loads((FOLDER / f"{name}.json").read_text())


def weights(keys: dict[str, list[int]]) -> dict[str, Tensor]:
    return {key: _tensor(key, shape) for key, shape in keys.items()}


def noise(n: int, size: int) -> Tensor:
    return torch.from_numpy(np.random.RandomState(7).rand(n, 3, size, size).astype(np.float32))


def _tensor(key: str, shape: list[int]) -> Tensor:
    kind = key.rpartition(".")[2]
    if kind == "num_batches_tracked":
        return torch.tensor(0)
    random = np.random.RandomState(crc32(key.encode()) % 2**31)
    z = torch.from_numpy(random.standard_normal(shape).astype(np.float32))
    if kind == "running_var":
        return 1.0 + 0.1 * z.abs()
    if len(shape) > 1:
        return z / math.sqrt(math.prod(shape[1:]))
    offset, factor = SCALES[kind]
    return offset + factor * z
