"""`python -m fer_lightning.live` as a process of its own, started and ended as often as a test likes."""

import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from conftest import ROOT


class LiveServer:
    """A context manager: the server runs inside, at one port with one token however often it is started again.

    model     exported file (see face_models.drawn_model); None: nobody is looked at
    page      what the address opens: "live" or "game"
    source    a video file of the server; None: the client's camera
    words     further key=value of the command
    settings  the same as keywords, for keys without a dot: policy="performance"
    """

    def __init__(
        self,
        model: Path | None = None,
        page: str = "live",
        source: Path | None = None,
        words: tuple[str, ...] = (),
        **settings: object,
    ) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self.root = Path(self._folder.name)
        self.log = self.root / "log"
        self.port = _free_port()
        self.process: subprocess.Popen | None = None
        self.address = ""
        given = {"page": page, "port": self.port, "folder": self.root / "secret", "threads": 1} | settings
        given["model"] = model or "null"
        given |= {"source": source} if source else {}
        self._words = [*(f"{key}={value}" for key, value in given.items()), *words]

    @property
    def token(self) -> str:
        return self.address.partition("token=")[2]

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def socket(self) -> str:
        """The address for a program's WebSocket."""
        return f"ws://127.0.0.1:{self.port}/ws?token={self.token}"

    def __enter__(self) -> "LiveServer":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self._folder.cleanup()

    def start(self) -> str:
        """The address that it prints."""
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "fer_lightning.live", *self._words],
                cwd=ROOT,
                env=os.environ | {"OMP_NUM_THREADS": "1"},
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and self.process.poll() is None:
            for word in self.log.read_text().split():
                if word.startswith("http://") and self.log.read_text().endswith("\n"):
                    self.address = word
                    return word
            time.sleep(0.02)
        raise AssertionError(self.log.read_text())

    def kill(self) -> None:
        """End the process as kill -9 does."""
        if self.process and self.process.poll() is None:
            self.process.kill()
        if self.process:
            self.process.wait()

    def end(self, number: int) -> int:
        """Send a signal; -> the exit status."""
        self.process.send_signal(number)
        return self.process.wait(timeout=30)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return listening.getsockname()[1]
