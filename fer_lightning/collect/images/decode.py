"""Decoder that reads untrusted images in a separate process; see decoding_process.py for its rules and limits."""

import json
import math
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from fer_lightning.collect.images import decoding_process
from fer_lightning.collect.images.decoding_process import LENGTH, MAX_SIDE, READY, STORED_SIDE, DecodeReason
from fer_lightning.errors import UserError
from fer_lightning.paths import ROOT

FORMS = ("JPEG", "PNG", "WEBP")
MAX_HEAD = 4096  # maximum bytes of the JSON header
# Variables that an interpreter may need to find its libraries. No other variable is passed on, and no key of .env.
_INTERPRETERS_OWN = ("LD_LIBRARY_PATH", "PYTHONHOME", "PYTHONPATH")


def _environment() -> dict[str, str]:
    """Return the child's environment: what its interpreter needs, and where this package is."""
    kept = {name: os.environ[name] for name in _INTERPRETERS_OWN if name in os.environ}
    return kept | {"PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), kept.get("PYTHONPATH"))))}


class NotAnImage(Exception):
    """The bytes are not a usable image. `final` is True if another attempt cannot succeed."""

    def __init__(self, reason: DecodeReason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail = reason, detail
        self.final = reason not in (DecodeReason.TOO_SLOW, DecodeReason.DECODER_DIED)


@dataclass(frozen=True)
class Decoded:
    """A decoded image, ready to be stored.

    pixels         uint8 (H, W), or (H, W, 3) in the order RGB
    format         JPEG, PNG or WEBP
    width, height  size of the original in pixels, before it was turned or reduced
    """

    pixels: np.ndarray
    format: str
    width: int
    height: int


class Decoder:
    """Decoder of one image at a time; threads may share it. Use it as a context manager.

    seconds  maximum time for one image; a process that takes longer is killed, and the next image gets a new process
    """

    def __init__(self, seconds: float = 20.0) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._closed = False

    def __enter__(self) -> "Decoder":
        with self._lock:
            self._start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop the process. Any thread may call it; an image that is being decoded is dropped."""
        self._closed = True
        if process := self._process:
            process.kill()
        with self._lock:
            self._end()

    def decode(self, data: bytes) -> Decoded:
        """Return the decoded image; raise NotAnImage if the bytes cannot be used."""
        with self._lock:
            if self._process is None:
                self._start()
            overdue = threading.Event()
            timer = threading.Timer(self._seconds, self._kill, args=(self._process, overdue))
            timer.start()
            failure = None
            try:
                return _ask(self._process, data)
            except (OSError, ValueError, LookupError, TypeError) as error:  # closed pipe or invalid answer
                failure = f"{type(error).__name__}: {error}"
            finally:
                timer.cancel()
                timer.join()
                status = self._end() if failure or overdue.is_set() else None
            if overdue.is_set() or status == -signal.SIGXCPU:
                raise NotAnImage(DecodeReason.TOO_SLOW, f"not decoded within {self._seconds:g} s")
            raise NotAnImage(DecodeReason.DECODER_DIED, f"{failure}; status {status}")

    def _start(self) -> None:
        if self._closed:
            raise NotAnImage(DecodeReason.DECODER_DIED, "closed")
        self._process = subprocess.Popen(
            [sys.executable, "-P", decoding_process.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=_environment(),
            start_new_session=True,  # Ctrl-C must reach only the parent
        )
        if self._process.stdout.read(len(READY)) != READY and not self._closed:
            raise UserError(
                f"the process that decodes images does not start (status {self._end()}). See its error above. Its "
                f"command: {sys.executable} -P {decoding_process.__file__}"
            )

    @staticmethod
    def _kill(process: "subprocess.Popen[bytes]", overdue: threading.Event) -> None:
        overdue.set()
        process.kill()

    def _end(self) -> int | None:
        process, self._process = self._process, None
        if process is None:
            return None
        process.kill()
        with suppress(OSError):  # the pipe may hold unread bytes
            process.stdin.close()
        process.stdout.close()
        return process.wait()


def _ask(process: "subprocess.Popen[bytes]", data: bytes) -> Decoded:
    """Send an image to the process and return its answer.

    A hostile image may control the process, so every field of the answer is checked.
    """
    process.stdin.write(LENGTH.pack(len(data)))
    process.stdin.write(data)
    process.stdin.flush()
    (length,) = LENGTH.unpack(_read(process, LENGTH.size))
    if length > MAX_HEAD:
        raise ValueError(f"a header of {length:,} bytes")
    answer = json.loads(_read(process, length))
    if "reason" in answer:
        raise NotAnImage(DecodeReason(answer["reason"]), str(answer["detail"]))
    shape, sizes = tuple(answer["shape"]), (answer["width"], answer["height"])
    if answer["format"] not in FORMS or not _plausible(shape, sizes):
        raise ValueError(f"{answer}")
    pixels = np.frombuffer(_read(process, math.prod(shape)), np.uint8).reshape(shape)
    return Decoded(pixels, answer["format"], *sizes)


def _plausible(shape: tuple[Any, ...], sizes: tuple[Any, Any]) -> bool:
    if not all(type(number) is int and number > 0 for number in (*shape, *sizes)):
        return False
    return len(shape) >= 2 and shape[2:] in ((), (3,)) and max(shape) <= STORED_SIDE and max(sizes) <= MAX_SIDE


def _read(process: "subprocess.Popen[bytes]", length: int) -> bytes:
    data = process.stdout.read(length)
    if len(data) < length:
        raise ValueError("the process ended")
    return data
