"""Reads checkpoints: tensors and plain values alone are unpickled, and what is wrong with a file is told in words."""

import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fer_lightning.errors import UserError

TRAIN_AGAIN = "The run's command with resume=never trains again and keeps the old folder under another name."
MOST_SHOWN = 6  # keys that do not fit


def read_checkpoint(path: str | Path, *, where: str | None = None, way_on: str = TRAIN_AGAIN) -> dict[str, Any]:
    """What a checkpoint holds, on the CPU.

    `where` stands for the file in messages, `way_on` is their last sentence. Raises UserError where the file is
    missing, cut short, damaged (its CRC-32 sums are held against its bytes) or no checkpoint, and where it holds an
    object of any other class: unpickling one can run code.
    """
    path, where = Path(path), where or str(path)
    try:
        _refuse_damage(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise UserError(f"{where}: there is no such file (looked from {Path.cwd()}). {way_on}") from None
    except _Damage as damage:
        raise UserError(f"{where}: {damage}. {way_on}") from None
    except OSError as error:
        raise UserError(f"{where} cannot be read: {error.strerror or error}. {way_on}") from error
    except Exception as error:  # torch raises RuntimeError, EOFError, KeyError, UnpicklingError and more
        raise UserError(f"{where}: {_complaint(path, error)}. {way_on}") from error
    if not isinstance(content, dict):
        raise UserError(f"{where}: holds a {type(content).__name__} where a checkpoint holds a dict. {way_on}")
    return content


def load_weights(module: nn.Module, state: Mapping[str, Tensor], where: str, way_on: str = TRAIN_AGAIN) -> None:
    """Fill a module with a state dict, all keys or none; UserError names the first that do not fit."""
    refuse_misfit(module, state, where, way_on)
    module.load_state_dict(state)


def refuse_misfit(module: nn.Module, state: Mapping[str, Tensor], where: str, way_on: str = TRAIN_AGAIN) -> None:
    ours = module.state_dict()
    problems = [f"missing {key}" for key in ours if key not in state]
    problems += [f"unexpected {key}" for key in state if key not in ours]
    problems += [
        f"{key} has shape {tuple(state[key].shape)}, the model's is {tuple(ours[key].shape)}"
        for key in ours
        if isinstance(ours[key], Tensor) and key in state and state[key].shape != ours[key].shape
    ]
    if problems:
        shown = problems[:MOST_SHOWN] + ([f"and {len(problems) - MOST_SHOWN} more"] if problems[MOST_SHOWN:] else [])
        raise UserError(
            f"{where} does not fit {type(module).__name__} as configured:\n  " + "\n  ".join(shown) + f"\n{way_on}"
        )


def fitting(path: Path, module: nn.Module) -> Path:
    """The path itself, of a checkpoint of this project that is readable and fits the module; else UserError."""
    _fitting(path, module)
    return path


def resumable(last: Path, best: Path, module: nn.Module) -> Path | None:
    """`last` where a run can go on from it, None where there is none; UserError says whether `best` is intact."""
    if not last.exists():
        return None
    try:
        if "optimizer_states" not in _fitting(last, module):
            raise UserError(f"{last}: holds weights alone, and a run goes on with its optimiser's state. {TRAIN_AGAIN}")
    except UserError as error:
        raise UserError(f"{error}{_about_best(best, module)}") from None
    return last


def _fitting(path: Path, module: nn.Module) -> dict[str, Any]:
    content = read_checkpoint(path)
    if not isinstance(content.get("state_dict"), dict):
        raise UserError(f"{path}: holds no state_dict, so it is no checkpoint of a run. {TRAIN_AGAIN}")
    refuse_misfit(module, content["state_dict"], str(path))
    return content


def _about_best(best: Path, module: nn.Module) -> str:
    try:
        fitting(best, module)
    except UserError:
        return ""
    run = best.parent.parent
    return f"\n{best.name} of that run is intact: python -m fer_lightning.evaluate run={run} measures it."


class _Damage(Exception):
    """What is wrong with a file, in words."""


def _refuse_damage(path: Path) -> None:
    """torch reads flipped and zeroed bytes without a word; the archive's CRC sums tell."""
    with open(path, "rb") as file:
        start = file.read(4)
    if not start:
        raise _Damage("is empty")
    if not start.startswith(b"PK"):
        return
    if not zipfile.is_zipfile(path):
        raise _Damage(f"is cut short, at {path.stat().st_size:,} bytes")
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
    except (zipfile.BadZipFile, NotImplementedError, EOFError) as error:
        raise _Damage(f"is damaged ({error})") from None
    if damaged:
        raise _Damage(f"is damaged: the bytes of {damaged} are not those that were written")


def _complaint(path: Path, error: Exception) -> str:
    refused = re.search(r"GLOBAL (\S+)", str(error))
    if refused:
        return (
            f"holds an object of {refused[1]}, which is not unpickled because that can run code; "
            "a checkpoint holds tensors and plain values"
        )
    if "TorchScript" in str(error):
        return "holds a TorchScript program; a checkpoint holds tensors and plain values"
    if "EOF" in str(error):
        return f"is cut short, at {path.stat().st_size:,} bytes"
    return "is no checkpoint of PyTorch"
