"""Errors from outside the code as messages: files, disks, memory, damaged content, services, closed pipes."""

import importlib.util
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import NoReturn

from fer_lightning.errors import UserError
from fer_lightning.files import os_message
from fer_lightning.paths import PACKAGE
from fer_lightning.wording import message

OWN = ("mlflow", "optuna", "tensorboard", "wandb")  # packages with an extra of the same name
EXTRAS = {name: name for name in OWN} | {"pyarrow": "parquet"}  # all others belong to `train`
REFUSED, PIPE_CLOSED, STOPPED, TERMINATED = (
    2,
    128 + 13,
    128 + 2,
    128 + 15,
)  # exit statuses; the last three as in a shell
# Packages whose errors are about content or services, never about a bug of this project, and what a user can do.
OUTSIDE = {
    "yaml": "Fix this YAML text",
    "json": "Restore this JSON file from a copy, or remove it",
    "_csv": "Restore this CSV file from a copy, or remove it",
    "sqlite3": "Restore the database from a copy if it is damaged; else wait for other programs that use it",
    "zipfile": "Restore the file from a copy",
    "tarfile": "Restore the file from a copy",
    "zlib": "Restore the file from a copy",
    "onnxruntime": "Export the model again: python -m fer_lightning.export run=PATH",
    "google": "Export the model again: python -m fer_lightning.export run=PATH",
    "wandb": "Fix WANDB_API_KEY and the other WANDB_ variables in .env, or use WANDB_MODE=offline or logger=csv",
    "hydra": "Fix the arguments; --help lists them",
    "omegaconf": "Fix the arguments; --help lists them",
}
NO_MEMORY = ("not enough memory", "can't allocate memory", "out of memory", "bad allocation", "bad_alloc")
NO_MEMORY += ("Storage size calculation overflowed", "array is too big", "Maximum allowed dimension exceeded")
LESS = "Use smaller sizes (rows, batch size, image size, width), or a machine with more memory"


def error_message(error: BaseException) -> str | None:
    """Return the message for an error that comes from outside the code; None for an error of the code."""
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, ModuleNotFoundError):
        return _missing_package(error.name or "")
    reason = " ".join(str(error).split())
    if isinstance(error, OSError):
        return f"{os_message(error)}. {_remedy(error)}."
    if isinstance(error, MemoryError) or any(text in reason for text in NO_MEMORY):
        return f"there is not enough memory ({reason or 'MemoryError'}). {LESS}."
    if isinstance(error, RecursionError):
        return "a value or a file is nested too deeply. Remove the nesting."
    if isinstance(error, UnicodeError):
        return f"a text has letters that cannot be read or written here ({reason}). Save it as UTF-8."
    if isinstance(error, ValueError) and "embedded null" in reason:
        return "a path has a null character. Remove it."
    packages = [kind.__module__.partition(".")[0] for kind in type(error).__mro__]
    remedy = next((OUTSIDE[name] for name in packages if name in OUTSIDE), None)
    return f"{type(error).__name__}: {reason}. {remedy}." if remedy else None


def require_package(name: str) -> None:
    """Raise UserError with the extra to install if the package is not installed."""
    if importlib.util.find_spec(name) is None:
        raise UserError(_missing_package(name))


def _missing_package(module: str) -> str | None:
    """Return the message with the extra to install; None for a module of this package."""
    name = module.partition(".")[0]
    if name in ("", PACKAGE.name):
        return None
    extra = EXTRAS.get(name, "train")
    return f"the package {name} is not installed. Install it with: pip install 'fer_lightning[{extra}]'"


def _remedy(error: OSError) -> str:
    if error.filename and "too long" in str(error):
        return "A name of a file or folder has at most 255 bytes: use a shorter one"
    return "Fix this and run the same command again"


@contextmanager
def report_errors(program: str, kept: str = "", *, again: str | None = "starts over") -> Iterator[None]:
    """End the process with status 2 and print `program: what is wrong` for an error from outside the code.

    kept   state of the work after an error of the operating system, e.g. "Nothing is half written"
    again  effect of the same command after Ctrl-C or SIGTERM, with which the process ends with status 130 or 143.
           None: KeyboardInterrupt is raised

    A reader of the output that ends early, such as `| head -1`, ends the process without a message.
    """
    replace_unknown_letters()
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except BrokenPipeError as error:
        if error.filename is None:
            end_quietly()
        refuse(program, error_message(error))
    except KeyboardInterrupt as stop:
        if again is None:
            raise
        print(f"\nStopped. {f'{kept}; the' if kept else 'The'} same command {again}.", file=sys.stderr)
        sys.exit(stop_status(stop))
    except Exception as error:
        message = error_message(error)
        if message is None:
            raise
        note = f" {kept}." if kept and not isinstance(error, UserError | ImportError) else ""
        refuse(program, message + note)


class Terminated(KeyboardInterrupt):
    """SIGTERM in a command that handles it like Ctrl-C."""


def stop_on_sigterm() -> None:
    """Handle SIGTERM like Ctrl-C, but with its own exit status."""
    signal.signal(signal.SIGTERM, _terminate)


def _terminate(*_: object) -> NoReturn:
    raise Terminated


def stop_status(stop: KeyboardInterrupt) -> int:
    """Return the exit status of a command that Ctrl-C or SIGTERM has stopped."""
    return TERMINATED if isinstance(stop, Terminated) else STOPPED


def status_of(work: Callable[[], int | None]) -> int:
    """Return the exit status of a command: the value of `work` (None is 0), or that of `report_errors`."""
    try:
        with report_errors(""):
            return work() or 0
    except SystemExit as end:
        if end.code in (REFUSED, PIPE_CLOSED, STOPPED, TERMINATED):
            return end.code
        raise


def refuse(program: str, reason: str) -> NoReturn:
    """Print the reason and end the process with status 2."""
    print(message(f"{program}: {reason}" if program else reason), file=sys.stderr)
    sys.exit(REFUSED)


def replace_unknown_letters() -> None:
    """Print ? for a letter that the terminal's encoding does not have, instead of raising UnicodeEncodeError."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, ValueError):
            stream.reconfigure(errors="replace")


def end_quietly() -> NoReturn:
    """End the process after the reader of its output has closed the pipe; nothing more can be printed."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(PIPE_CLOSED)
