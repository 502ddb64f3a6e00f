"""Read checkpoints; only tensors and plain values are unpickled, and a bad file is a UserError with its reason."""

import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fer_lightning.compat.torch import forbidden_class, is_cut_short, is_torchscript
from fer_lightning.errors import UserError
from fer_lightning.files import replacing
from fer_lightning.wording import typed

TRAIN_AGAIN = "To train again, add resume=never to the run's command; the old folder is kept under another name."
DATA_KEY = "FERDataModule"  # key of the checksums of the data in a checkpoint
RESUME_STATE = ("callbacks", "optimizer_states", "lr_schedulers")  # keys of last.ckpt that best.ckpt does not have
MOST_SHOWN = 6  # keys that a message lists


def read_checkpoint(path: str | Path, *, where: str | None = None, remedy: str = TRAIN_AGAIN) -> dict[str, Any]:
    """Return the content of a checkpoint, on the CPU.

    where   name of the file in messages; None: its path
    remedy  last sentence of messages

    Raise UserError if the file is missing, cut short, damaged (its bytes do not match its CRC-32 sums) or not a
    checkpoint. Raise it also if the file holds an object of any other class, because unpickling one can run code.
    """
    path, where = Path(path), where or str(path)
    try:
        _refuse_damage(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise UserError(f"{where}: no such file (current folder: {Path.cwd()}). {remedy}") from None
    except _Damage as damage:
        raise UserError(f"{where}: {damage}. {remedy}") from None
    except OSError as error:
        raise UserError(f"{where}: cannot be read: {error.strerror or error}. {remedy}") from error
    except Exception as error:  # torch raises RuntimeError, EOFError, KeyError, UnpicklingError and more
        raise UserError(f"{where}: {_describe_error(path, error)}. {remedy}") from error
    if not isinstance(content, dict):
        raise UserError(f"{where}: holds a {type(content).__name__}, must hold a dict. {remedy}")
    return content


def load_weights(module: nn.Module, state: Mapping[str, Tensor], where: str, remedy: str = TRAIN_AGAIN) -> None:
    """Fill a module with a state dict. Raise UserError with the first keys that do not fit, and fill none."""
    refuse_misfit(module, state, where, remedy)
    module.load_state_dict(state)


def evaluated_weights(content: Mapping[str, Any], *, averaged: bool) -> dict[str, Tensor]:
    """Return the state dict of the network that a run evaluates, from the content of its checkpoint."""
    prefix = "ema.module." if averaged else "network."
    state = content.get("state_dict", {})
    return {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}


def refuse_misfit(module: nn.Module, state: Mapping[str, Tensor], where: str, remedy: str = TRAIN_AGAIN) -> None:
    """Raise UserError if the keys or shapes of a state dict differ from those of the module."""
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
            f"{where} does not fit {type(module).__name__} as configured:\n  " + "\n  ".join(shown) + f"\n{remedy}"
        )


def check_checkpoint(path: Path, module: nn.Module) -> Path:
    """Return the path if its file is a checkpoint of this project that fits the module; raise UserError otherwise."""
    _read_fitting(path, module)
    return path


def resumable(
    last: Path, best: Path, module: nn.Module, refuse_other_data: Callable[[dict[str, str]], None] | None = None
) -> Path | None:
    """Return `last` if a run can resume from it, and None if it does not exist.

    refuse_other_data  function of the checksums that a checkpoint holds; it raises UserError if the data now has others

    Raise UserError if a checkpoint is damaged, does not fit, or was trained on other data, or if `best` is of an
    earlier epoch than `last` names and `complete_best` cannot write it. If `last` is at fault, the message says whether
    `best` is intact.
    """
    if not last.exists():
        return None
    try:
        content = _read_fitting(last, module)
        if "optimizer_states" not in content:
            raise UserError(f"{last}: holds only weights; to resume, a run needs its optimiser's state. {TRAIN_AGAIN}")
    except UserError as error:
        raise UserError(f"{error}{_describe_best(best, module)}") from None
    for part in (content, *_content_of_best(best, content, module)):
        if refuse_other_data and DATA_KEY in part:
            refuse_other_data(part[DATA_KEY])
    return last


def complete_best(last: Path, best: Path) -> None:
    """Write best.ckpt from last.ckpt if a kill came after last.ckpt of the best epoch and before its best.ckpt."""
    content = read_checkpoint(last)
    if not _is_best(content) or (best.exists() and read_checkpoint(best).get("epoch") == content["epoch"]):
        return
    with replacing(best) as file:
        torch.save({key: value for key, value in content.items() if key not in RESUME_STATE}, file)


def _best_epoch(content: dict[str, Any]) -> int | None:
    """Return the best epoch, from 0, that the content of last.ckpt names; None before the end of the first epoch."""
    states = (content.get("callbacks") or {}).values()
    return next((state["best_epoch"] for state in states if isinstance(state, dict) and "best_epoch" in state), None)


def _is_best(content: dict[str, Any]) -> bool:
    """Return True if last.ckpt was written at the end of the best epoch, so that it has the weights of best.ckpt."""
    return "epoch" in content and content["epoch"] == _best_epoch(content)


def _content_of_best(best: Path, content: dict[str, Any], module: nn.Module) -> list[dict[str, Any]]:
    """Return a list with the content of best.ckpt; an empty list before its first write.

    content  of last.ckpt
    """
    epoch = _best_epoch(content)
    if epoch is None or (_is_best(content) and not best.exists()):
        return []
    kept = _read_fitting(best, module)
    if kept.get("epoch", epoch) < epoch and not _is_best(content):
        raise UserError(
            f"{best}: holds the weights of epoch {kept['epoch'] + 1}, must hold those of epoch {epoch + 1}, which is "
            f"the best one according to last.ckpt. {TRAIN_AGAIN}"
        )
    return [kept]


def _read_fitting(path: Path, module: nn.Module) -> dict[str, Any]:
    content = read_checkpoint(path)
    if not isinstance(content.get("state_dict"), dict):
        raise UserError(f"{path}: holds no state_dict, so it is not a checkpoint of a run. {TRAIN_AGAIN}")
    refuse_misfit(module, content["state_dict"], str(path))
    return content


def _describe_best(best: Path, module: nn.Module) -> str:
    try:
        check_checkpoint(best, module)
    except UserError:
        return ""
    run = best.parent.parent
    return f"\n{best.name} of that run is intact: python -m fer_lightning.evaluate {typed('run', run)} evaluates it."


class _Damage(Exception):
    """Fault of a file; its text is the reason in an error message."""


def _refuse_damage(path: Path) -> None:
    """Raise _Damage if the file is empty or cut short, or if its bytes do not match its CRC sums.

    torch.load itself reads changed bytes without an error.
    """
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
        raise _Damage(f"is damaged: the bytes of {damaged} do not match its checksum")


def _describe_error(path: Path, error: Exception) -> str:
    if forbidden := forbidden_class(error):
        return (
            f"holds an object of {forbidden}, which is not unpickled because that can run code; "
            "a checkpoint must hold only tensors and plain values"
        )
    if is_torchscript(error):
        return "holds a TorchScript program; a checkpoint must hold only tensors and plain values"
    if is_cut_short(error):
        return f"is cut short, at {path.stat().st_size:,} bytes"
    return "is not a checkpoint of PyTorch"
