"""Folder of a run: its name, its lock, the configs that may resume in it, and its summary.

This module does not import torch, so a finished or rejected run is reported within a second.
"""

import glob
import hashlib
import importlib.metadata
import json
import logging
import math
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import time
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import yaml

from fer_lightning.compat.old_names import read_config
from fer_lightning.errors import UserError
from fer_lightning.files import (
    DISK_FULL,
    LARGEST_YAML,
    TEMPORARY,
    os_message,
    read_text,
    report_bad_content,
    take_lock,
    write_atomically,
)
from fer_lightning.runs.processes import is_first_process
from fer_lightning.runs.summary_file import REMEDY, read_summary
from fer_lightning.wording import typed

log = logging.getLogger("fer_lightning")

# Keys that are not part of a run's name.
UNNAMED = ("name", "resume", "output_dir", "logger", "ensemble", "sweep", "debug", "local", "hydra", "threads")
# Keys that may differ between two calls of the same run.
INCIDENTAL = (
    "resume",
    "output_dir",
    "logger",
    "callbacks.progress",
    "callbacks.last",
    "data.root",
    "expected",
)
LONGEST_NAME = 120
_ORIGIN = re.compile(r"^model\.init=(?:\./)?outputs/(?=[^/])")
LONGEST_PART = 200  # bytes of a part of a run's name; files and folders have at most 255, and ~1 may be added
CONFIG_REMEDY = "Restore config.yaml from a copy, or train again with resume=never (the old folder is kept)."


def run_of(path: Path) -> Path:
    """Return the run folder that an evaluation folder lies in; any other path is returned as it is."""
    of_evaluation = path.parent.name == "evaluation" and (path / "metrics.json").is_file()
    return path.parents[1] if of_evaluation else path


def run_path(output_dir: str, name: str, overrides: list[str], seed: int) -> Path:
    """Return the path of a run's folder. Raise UserError if `name` is not a name of folders inside output_dir.

    An arm that has folders of an earlier version keeps its former name.
    """
    parts = Path(name).parts
    if not parts or Path(name).is_absolute() or ".." in parts or not name.isprintable():
        raise UserError(f"name={name!r}: must be the name of a folder in output_dir. Use letters, digits, - and _.")
    if any(len(part.encode()) > LONGEST_PART for part in parts):
        raise UserError(
            f"name={name[:40]}...: a name of {len(name):,} letters is too long. Use at most {LONGEST_PART} bytes."
        )
    former = _joined(_named(overrides))
    if former != arm_name(overrides) and any(Path(output_dir, name).glob(f"{glob.escape(former)}_seed-*")):
        return Path(output_dir, name, f"{former}_seed-{seed}")
    return Path(output_dir, name, job_name(overrides, seed))


def job_name(overrides: list[str], seed: int) -> str:
    """Return the name of a run's folder below outputs/<name>/: its arm and its seed."""
    return "_".join(part for part in (arm_name(overrides), f"seed-{seed}") if part)


def arm_of(path: Path, seed: int) -> str:
    """Return the name that the run folders of all seeds share; "" without overrides."""
    return path.name.removesuffix(f"seed-{seed}").removesuffix("_")


def arm_name(overrides: list[str]) -> str:
    """Return the name that the runs of all seeds share, made from the typed overrides; "" without overrides.

    The order of the overrides does not matter. Characters with a meaning for a shell or for Hydra become dashes.
    """
    return _joined(named_parts(overrides))


def _joined(parts: list[str]) -> str:
    name = "_".join(re.sub(r"[^\w.+-]+", "-", part).strip("-") for part in parts)
    if len(name) <= LONGEST_NAME:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:10]
    return f"{name[: LONGEST_NAME - 20]}_{digest}"


def named_parts(overrides: list[str]) -> list[str]:
    """Return the parts of the typed overrides that make up an arm's name, and that tables show.

    model.init=outputs/NAME/RUN becomes init=NAME/RUN.
    In a named sweep, each experiment is an arm, and the scale is part of the parent folder's name.
    Outside a named sweep, the experiment names the parent folder.
    """
    return [_ORIGIN.sub("init=", part) for part in _named(overrides)]


def _named(overrides: list[str]) -> list[str]:
    """Return the parts that make up the name of a folder of an earlier version, in which paths are complete."""
    typed = [override.lstrip("+~") for override in overrides]
    in_sweep = any(_key(override) == "sweep" for override in typed)
    experiments = [o.partition("=")[2].replace("/", "-") for o in typed if in_sweep and _key(o) == "experiment"]
    others = sorted(o for o in typed if not _is_unnamed(o) and not (in_sweep and _key(o) == "scale"))
    return [*experiments, *others]


def _key(override: str) -> str:
    return override.partition("=")[0].partition("@")[0]


def _is_unnamed(override: str) -> bool:
    key = _key(override)
    first = re.split(r"[./]", key)[0]
    return first in UNNAMED or key in ("seed", "experiment", "callbacks.progress.style", "data.root")


@dataclass(frozen=True)
class _Claim:
    """Config and overrides of a command that runs in a folder."""

    config: dict[str, Any]
    overrides: tuple[str, ...]


class RunFolder:
    """One run's files, held by one process at a time.

    start_over  True: the run that the folder holds is set aside when the new one begins, and does not count until then
    """

    def __init__(self, path: Path, *, start_over: bool = False) -> None:
        self.path, self._start_over = path, start_over
        self.begun = False  # True if this process has begun or resumed the run
        self._made: list[Path] = []  # folders that this process has made, the innermost first
        self._lock: Any = None
        self._free: weakref.finalize | None = None
        self._claim: _Claim | None = None

    @property
    def last_checkpoint(self) -> Path:
        return self.path / "checkpoints" / "last.ckpt"

    @property
    def best_checkpoint(self) -> Path:
        return self.path / "checkpoints" / "best.ckpt"

    def summary(self) -> dict[str, Any] | None:
        """Return the summary on disk, or None if it does not exist yet."""
        try:
            return read_summary(self.path / "summary.json")
        except FileNotFoundError:
            return None

    def config(self) -> dict[str, Any]:
        """Return config.yaml, with plain values only. Raise FileNotFoundError if it is missing.

        The file can come from elsewhere, so an interpolation such as ${oc.env:HOME} is rejected and not resolved.
        """
        path = self._config_file
        with report_bad_content(path, CONFIG_REMEDY):
            config = read_config(read_text(path, LARGEST_YAML))
            for key, value in _flat(config).items():
                if "${" in f"{key}{value}":
                    raise ValueError(f"{key}={value}: is an interpolation; must be a plain value")
        return config

    @property
    def resumes(self) -> bool:
        """True if the run continues from last.ckpt."""
        return self.last_checkpoint.exists() and not self._start_over

    def holds_run(self) -> bool:
        """Return True if a run has begun here: it has a checkpoint, or its summary names the split of its rows."""
        if self.last_checkpoint.exists() or self.best_checkpoint.exists():
            return True
        return self._config_file.exists() if self._start_over else "split" in (self.summary() or {})

    def lock(self, remedy: str = "Wait for it, or choose another folder with name=...") -> None:
        """Lock this folder until the process ends. Raise UserError, ending in `remedy`, if another process holds it."""
        self._take_lock(remedy)
        while not self._lock_stands_here():  # another process has renamed the folder in the meantime
            self._lock.close()
            self._take_lock(remedy)
        self._lock.seek(0)
        before = self._lock.read()
        _write_holder(self._lock, str(os.getpid()))
        self._free = weakref.finalize(self, _free_lock, self._lock, before)

    def _take_lock(self, remedy: str) -> None:
        self._made += [path for path in (self.path, *self.path.parents) if not path.exists()]
        self.path.mkdir(parents=True, exist_ok=True)
        self._lock = open(self.path / ".lock", "a+")  # noqa: SIM115 (held for the life of the process)
        if not take_lock(self._lock):
            self._lock.seek(0)
            holder = self._lock.read().strip() or "unknown"
            self._lock.close()
            raise UserError(f"{self.path}: this folder is being written by process {holder}. {remedy}")

    def _lock_stands_here(self) -> bool:
        try:
            return os.path.samestat(os.fstat(self._lock.fileno()), os.stat(self.path / ".lock"))
        except FileNotFoundError:
            return False

    def is_done(self) -> bool:
        """Return True if the run in this folder is complete, including its test, and does not start over."""
        summary = None if self._start_over else self.summary()
        return summary is not None and summary["status"] == "done"

    def headline(self) -> str:
        """Return the metrics of a finished run in one line."""
        summary = self.summary()
        with report_bad_content(self.path / "summary.json", REMEDY):
            best, test = summary["best"], summary["test"]
            clean = test.get("clean", {}).get("acc", {}).get("value")
            return (
                f"best epoch {best['epoch']} of {summary['epochs']}: val/acc {best['val/acc']:.4f}, "
                f"test/acc {test['test/acc']:.4f}{'' if clean is None else f' (clean rows {clean:.4f})'}, "
                f"test/f1_macro {test['test/f1_macro']:.4f}"
            )

    @contextmanager
    def explain_failures(self) -> Iterator[None]:
        """Raise UserError if the disk is full or a file cannot be read or written.

        The message names the last checkpoint and what to do next.
        """
        try:
            yield
        except OSError as error:
            if error.errno not in DISK_FULL and not error.filename:
                raise
            last = self.last_checkpoint
            kept = f"The last checkpoint is kept: {last}." if last.exists() else "No checkpoint was written yet."
            if error.errno in DISK_FULL:
                advice = "Free some disk space and run the same command again."
            else:
                advice = "Fix this and run the same command again, or choose another folder with output_dir=..."
            raise UserError(f"{self.path}: the run stopped: {os_message(error)}.\n{kept} {advice}") from error

    def release(self) -> None:
        """Free the folder, and leave the lock file as it was."""
        if self._free is not None:
            self._free()

    def remove_if_rejected(self) -> None:
        """Remove the folders that this process has made, if its run was rejected before it began."""
        if not self.begun and self.path in self._made:
            self.release()
            shutil.rmtree(self.path, ignore_errors=True)
            with suppress(OSError):  # another run is in a folder around this one
                for path in self._made[1:]:
                    path.rmdir()

    def claim(self, config: dict[str, Any], overrides: Sequence[str] = ()) -> None:
        """Lock the folder. Raise UserError if it holds a run with another config. `begin` then writes the files.

        overrides  arguments of the command, for overrides.txt
        """
        self.lock()
        self._claim = _Claim(config, tuple(overrides))
        try:
            self.refuse_another_config(config)
        except UserError:
            self.release()
            raise

    def begin(self) -> None:
        """Write what the run begins with: config.yaml, overrides.txt and env.txt. A resumed run keeps its files.

        Nothing in the folder changes before this call, so that a rejected command changes nothing.
        """
        self.begun = True
        for half in self.path.rglob(f".*{TEMPORARY}"):  # incomplete files of a killed process
            half.unlink()
        if self._start_over and self._config_file.exists():
            self._set_aside()
        self._start_over = False
        claim, resumes = self._claim, self.resumes
        if not resumes:
            self._clear_first_epoch()
        if claim and not resumes:
            self._write_provenance(claim.overrides)
        if claim and not (resumes and self._has_config(claim.config)):
            write_atomically(self._config_file, yaml.safe_dump(claim.config, sort_keys=False))

    @property
    def _config_file(self) -> Path:
        return self.path / "config.yaml"

    def _has_config(self, config: dict[str, Any]) -> bool:
        """Return True if config.yaml holds exactly this config."""
        return self._config_file.exists() and self.config() == config

    def _clear_first_epoch(self) -> None:
        """Remove the files of a run that ended before its first last.ckpt; the new run starts again from epoch 1."""
        for path in (self.best_checkpoint, self.path / "metrics.csv", self.path / "plots" / "augmentation.png"):
            path.unlink(missing_ok=True)

    def _write_provenance(self, overrides: Sequence[str]) -> None:
        """Write overrides.txt (the typed overrides and the command that repeats the run) and env.txt."""
        typed = "\n".join(overrides) or "(nothing: the defaults)"
        write_atomically(self.path / "overrides.txt", f"{typed}\n\nRepeat it with:\n{command_line()}\n")
        packages = sorted({f"{d.name}=={d.version}" for d in importlib.metadata.distributions()}, key=str.lower)
        lines = [f"python {platform.python_version()}", platform.platform(), *packages]
        write_atomically(self.path / "env.txt", "\n".join(lines) + "\n")

    def write_summary(self, summary: dict[str, Any]) -> None:
        text = json.dumps(without_nan(summary), indent=2, allow_nan=False)
        write_atomically(self.path / "summary.json", text + "\n")

    def _set_aside(self) -> None:
        """Rename this locked folder, then create and lock a new one under its old name."""
        number = 1
        while (aside := self.path.with_name(f"{self.path.name}~{number}")).exists():
            number += 1
        self.path.rename(aside)
        self.release()
        self.lock()
        print(f"resume=never: the previous run of this folder is kept as {aside}")

    def refuse_another_config(self, config: dict[str, Any]) -> None:
        """Raise UserError if this folder holds a run with another config or data, which is finished or can resume."""
        if not ((self.resumes or self.is_done()) and self._config_file.exists()):
            return
        old = self.config()
        if changes := _changes(old, config):
            raise UserError(
                f"{self.path}: this folder holds a run of another config:\n{_listed(changes)}\n"
                "Choose another folder with name=..., or start over with resume=never (the old folder is kept)."
                f"{self._hint_to_extend(changes)}"
            )
        if self.is_done():  # a run that resumes compares the rows themselves
            self._refuse_another_store(old, config)

    def refuse_another_arm(self, config: dict[str, Any]) -> None:
        """Raise UserError if `config`, of another seed, differs from the config of this run in more than the seed."""
        if not self._config_file.exists():
            return
        old = self.config()
        seeds = (old.get("seed"), config["seed"])
        if changes := {key: pair for key, pair in _changes(old, config).items() if pair != seeds}:
            raise UserError(
                f"seed={config['seed']}: all runs of an arm differ only by seed, but {self.path} has another config:\n"
                f"{_listed(changes)}\nType these values, or choose another folder with name=..."
            )

    def _refuse_another_store(self, old: dict[str, Any], new: dict[str, Any]) -> None:
        from fer_lightning.data.store import read_manifest

        roots = [(config.get("data") or {}).get("root") for config in (old, new)]
        if None in roots or roots[0] == roots[1]:
            return
        before, after = (read_manifest(Path(root)) for root in roots)
        if before and after and before["checksum"] != after["checksum"]:
            raise UserError(
                f"data.root={roots[1]}: {self.path} holds a run on other data, data.root={roots[0]}. "
                "Choose another folder with name=..., or start over with resume=never (the old folder is kept)."
            )

    def _hint_to_extend(self, changes: dict[str, tuple[Any, Any]]) -> str:
        """Return how to train a finished run for more epochs, if only their number has changed; '' otherwise."""
        if [*changes] != ["trainer.max_epochs"] or not self.is_done():
            return ""
        return f" To train it for more epochs: python train.py {typed('extend', self.path)} trainer.max_epochs=..."


def _write_holder(file: IO[str], holder: str) -> None:
    file.truncate(0)
    file.write(holder)
    file.flush()


def _free_lock(file: IO[str], before: str) -> None:
    """Restore the content that the lock file had, and close it, which frees the lock."""
    with suppress(OSError):
        _write_holder(file, before)
    with suppress(OSError):
        file.close()


def program() -> list[str]:
    """Return the words after `python` that start this program."""
    module = getattr(sys.modules["__main__"], "__spec__", None)
    is_running = module is not None and module.origin == sys.argv[0]
    return ["-m", module.name.removesuffix(".__main__")] if is_running else sys.argv[:1]


def command_line() -> str:
    """Return the command that was typed, quoted so that it can be typed again."""
    return shlex.join(["python", *program(), *sys.argv[1:]])


def git_state(folder: Path) -> dict[str, Any]:
    """Return the git commit of the checkout `folder`, and whether its work tree differs from it.

    In a container image, both describe its build. Without git or a container image, both are None.
    """
    try:
        if not (folder / ".git").exists():  # the repository around an installed package is another project
            raise FileNotFoundError
        commit = _git(folder, "rev-parse", "HEAD")
        return {
            "commit": commit,
            "dirty": bool(_git(folder, "status", "--porcelain", "--untracked-files=no")),
        }
    except (OSError, subprocess.CalledProcessError):
        commit, _, dirty = os.environ.get("FER_COMMIT", "").partition("-")
        return {"commit": commit or None, "dirty": bool(dirty) if commit else None}


class LossyFileHandler(logging.FileHandler):
    """Log file that ignores write errors, so that a full disk is reported by the run and not by its log.

    folder  run folder whose run must begin before anything is written; None: no such condition
    """

    def __init__(self, path: Path, folder: RunFolder | None = None) -> None:
        super().__init__(path, delay=True)
        self._folder, self._waiting = folder, []

    def emit(self, record: logging.LogRecord) -> None:
        self._waiting.append(record)
        if self._folder is None or self._folder.begun:
            records, self._waiting = self._waiting, []
            with suppress(OSError):  # the file cannot be opened
                for each in records:
                    super().emit(each)

    def handleError(self, record: logging.LogRecord) -> None:
        pass


def log_to(path: Path, folder: RunFolder | None = None) -> None:
    """Send the package's log to the console and to a run's train.log; in a distributed run, only the first process.

    folder  as in `LossyFileHandler`
    """
    if not is_first_process():
        log.setLevel(logging.ERROR)
        return
    formatter = logging.Formatter("%(asctime)s  %(message)s", "%Y-%m-%d %H:%M:%S")
    log.setLevel(logging.INFO)
    log.propagate = False
    for handler in list(log.handlers):
        log.removeHandler(handler)
        handler.close()
    console = logging.StreamHandler(sys.stdout)
    console.setFormatter(logging.Formatter("%(message)s"))
    console.addFilter(lambda record: record.name == "fer_lightning")
    log.addHandler(console)
    file = LossyFileHandler(path, folder)
    file.setFormatter(formatter)
    log.addHandler(file)


def now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S%z")


def without_nan(value: Any) -> Any:
    """Return `value` with None in place of NaN and infinity, which JSON cannot represent."""
    if isinstance(value, dict):
        return {key: without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _git(folder: Path, *arguments: str) -> str:
    result = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True)
    return result.stdout.strip()


def _changes(old: dict[str, Any], new: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return (old value, new value) by key, of the keys that a run does not share with another one."""
    before, after = _flat(old), _flat(new)
    pairs = {key: (before.get(key), after.get(key)) for key in sorted(before | after) if not _incidental(key)}
    return {key: pair for key, pair in pairs.items() if pair[0] != pair[1]}


def _listed(changes: dict[str, tuple[Any, Any]]) -> str:
    return "\n".join(f"  {key}: {old} -> {new}" for key, (old, new) in [*changes.items()][:8])


def _incidental(key: str) -> bool:
    return any(key == prefix or key.startswith(prefix + ".") for prefix in INCIDENTAL)


def _flat(tree: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(tree, dict):
        return {prefix: tree}
    leaves: dict[str, Any] = {}
    for key, value in tree.items():
        leaves |= _flat(value, f"{prefix}.{key}" if prefix else str(key))
    return leaves
