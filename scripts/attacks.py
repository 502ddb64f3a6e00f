"""Attack the programs with more than they expect; print one JSON line per measurement, and fail where one gives way.

    python scripts/attacks.py connections    open connections that say nothing, while a player plays
    python scripts/attacks.py files          collect from a folder of files that are too small to be images
    python scripts/attacks.py drivers        start the same sweep twice at the same time

All servers listen on 127.0.0.1. The tests cover kills, damaged files and hostile words.
"""

import argparse
import json
import os
import select
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

import cv2
import numpy as np
from benchmark_live import Server
from timing import measured

ROOT = Path(__file__).resolve().parent.parent
SHIPPED = ROOT / "fer_lightning" / "weights" / "face.onnx"
ONE_THREAD = os.environ | {"OMP_NUM_THREADS": "1"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    connections = commands.add_parser("connections", help="connections that say nothing")
    connections.add_argument("--count", type=int, default=1000, help="number of connections")
    files = commands.add_parser("files", help="files that are too small to be images")
    files.add_argument("--count", type=int, default=20_000, help="number of files")
    commands.add_parser("drivers", help="one sweep, started twice")
    arguments = vars(parser.parse_args())
    with tempfile.TemporaryDirectory() as folder:
        ATTACKS[arguments.pop("command")](Path(folder), **arguments)


def attack_with_connections(folder: Path, count: int) -> None:
    with Server(SHIPPED, folder, "caps.connections=64") as server:
        port = urlsplit(server.address).port
        began = time.perf_counter()
        silent = [socket.create_connection(("127.0.0.1", port), timeout=10) for _ in range(count)]
        left = len(silent)
        while left and time.perf_counter() - began < 120:
            closed = select.select(silent, [], [], 1)[0]
            for one in closed:
                one.close()
            silent = [one for one in silent if one not in closed]
            left = len(silent)
        measured("connections_left", "connections", left)
        measured("connections_closed_after", "s", time.perf_counter() - began)
        measured("connections_server_memory", "MB", server.memory())
        require(left == 0, f"{left} of {count} silent connections are still open after 120 s")
        require(server.processed() == 0, "the server does not answer")


def attack_with_files(folder: Path, count: int) -> None:
    pictures = folder / "pictures"
    pictures.mkdir()
    tiny = cv2.imencode(".png", np.zeros((1, 1), np.uint8))[1].tobytes()
    for number in range(count):
        (pictures / f"{number:06d}.png").write_bytes(tiny)
    words = ["emotion=frustration", "provider=local", f"provider.path={pictures}", f"root={folder / 'collection'}"]
    began = time.perf_counter()
    with open(folder / "printed", "w+") as printed:
        process = subprocess.Popen(
            [sys.executable, "-m", "fer_lightning.collect", *words],
            cwd=ROOT,
            env=ONE_THREAD,
            stdout=printed,
            stderr=printed,
        )
        _, _, usage = os.wait4(process.pid, 0)
    measured("files_time", "s", time.perf_counter() - began)
    measured("files_memory", "MB", usage.ru_maxrss / 1024)
    text = (folder / "printed").read_text()
    require("Traceback" not in text and f"{count}" in text.replace(",", ""), text[-2000:])


def attack_with_drivers(folder: Path) -> None:
    words = ["-m", "experiment=quickstart", "trainer.max_epochs=1", "data.rows=300", "seed=0,1", f"output_dir={folder}"]
    began = time.perf_counter()
    drivers = [subprocess.Popen([sys.executable, "train.py", *words], **PIPES) for _ in range(2)]
    ended = [driver.communicate() for driver in drivers]
    measured("drivers_time", "s", time.perf_counter() - began)
    statuses = [json.loads(path.read_text())["status"] for path in folder.glob("quickstart/*/summary.json")]
    measured("drivers_finished_runs", "runs", statuses.count("done"))
    require(statuses == ["done", "done"], f"statuses {statuses}")
    require(not any("Traceback" in stream for streams in ended for stream in streams), str(ended))


def require(holds: bool, otherwise: str) -> None:
    if not holds:
        sys.exit(f"attacks.py: {otherwise}")


PIPES = {"cwd": ROOT, "env": ONE_THREAD, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
ATTACKS = {
    "connections": attack_with_connections,
    "files": attack_with_files,
    "drivers": attack_with_drivers,
}


if __name__ == "__main__":
    main()
