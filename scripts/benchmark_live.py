"""How many players one live server looks at in time, and what becomes of more: one JSON line per figure.

    python scripts/benchmark_live.py players --model face.onnx     a real portrait, moved and covered, 5 frames/s each

A player is a connection that sends its next frame each 0.2 s, whatever became of the last. Latency is measured by the
player: from the moment in which a frame is due until the state that follows what was seen in it has come. All players
live in a process of their own, on the same machine: its cores are part of the figures. The first number of players
with which the 95th percentile passes 200 ms ends the search, by doubling and then between the last two; frames that
were dropped have no latency, so a level counts as too much as well once more than 5 % of them were.
"""

import argparse
import asyncio
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
import websockets
from timing import bounded, measured, megabytes

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "helpers"))

RATE = 5.0  # frames a second of a player
LIMIT = 200.0  # milliseconds
DROPPED = 0.05  # share of the frames
SIZES = {"320x240": (320, 240), "640x480": (640, 480)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    players = commands.add_parser("players", help="players at 5 frames/s until the 95th percentile passes 200 ms")
    players.add_argument("--model", type=Path, required=True, help="file of python -m fer_lightning.export")
    players.add_argument("--seconds", type=float, default=12.0, help="of each level, after 2 s to warm up")
    players.add_argument("--most", type=int, default=256, help="players at which the search ends")
    players.add_argument("--size", choices=SIZES, action="append", help="of the frames; default: both")
    players.set_defaults(run=benchmark_players)
    play = commands.add_parser("play", help="the players' own process: what `players` starts")
    play.add_argument("address")
    play.add_argument("frames", type=Path)
    play.add_argument("count", type=int)
    play.add_argument("seconds", type=float)
    play.set_defaults(run=lambda given: print(json.dumps(asdict(asyncio.run(crowd(given))))))
    arguments = parser.parse_args()
    arguments.run(arguments)


@dataclass
class Level:
    """What so many players met: frames sent and looked at, latencies in ms; memory of the server in MB."""

    players: int
    sent: int
    seen: int
    p50: float
    p95: float
    worst: float
    busy: int  # players who were told that the server is busy
    memory: float = 0.0
    cpu: float = 0.0  # milliseconds of the server's for a frame

    @property
    def dropped(self) -> float:
        return 1 - self.seen / max(self.sent, 1)

    @property
    def too_much(self) -> bool:
        return self.p95 > LIMIT or self.dropped > DROPPED


def benchmark_players(arguments: argparse.Namespace) -> None:
    for name in arguments.size or SIZES:
        with tempfile.TemporaryDirectory() as folder:
            frames = write_frames(Path(folder, "frames.npz"), SIZES[name])
            with Server(arguments.model, Path(folder)) as server:
                search(name, server, frames, arguments)


def search(name: str, server: "Server", frames: Path, arguments: argparse.Namespace) -> None:
    def level(players: int) -> Level:
        reached = server.level(frames, players, arguments.seconds)
        print(
            f"# {name}: {reached.players} players, p50 {reached.p50:.0f} ms, p95 {reached.p95:.0f} ms, "
            f"{reached.dropped:.1%} dropped, {reached.memory:.0f} MB, {reached.cpu:.1f} ms of CPU a frame",
            file=sys.stderr,
            flush=True,
        )
        return reached

    good, bad = level(1), None
    single = good
    while bad is None and good.players < arguments.most:
        tried = level(2 * good.players)
        good, bad = (good, tried) if tried.too_much else (tried, None)
    while bad and bad.players - good.players > max(1, good.players // 16):
        tried = level((good.players + bad.players) // 2)
        good, bad = (good, tried) if tried.too_much else (tried, bad)
    measured(f"live_players_{name}", "players at 5 frames/s", good.players)
    measured(f"live_latency_alone_p50_{name}", "ms", single.p50)
    measured(f"live_latency_alone_p95_{name}", "ms", single.p95)
    measured(f"live_latency_p50_{name}", "ms", good.p50)
    bounded(f"live_latency_p95_{name}", "ms", good.p95, limit=LIMIT)
    measured(f"live_memory_{name}", "MB", good.memory)
    measured(f"live_memory_of_a_player_{name}", "MB", (good.memory - single.memory) / max(good.players - 1, 1))
    measured(f"live_cpu_{name}", "ms of the server's for a frame", good.cpu)
    twice = level(2 * good.players)
    again = level(2 * good.players)
    measured(f"live_twice_dropped_{name}", "share of frames", again.dropped)
    measured(f"live_twice_p50_{name}", "ms", again.p50)
    measured(f"live_twice_p95_{name}", "ms", again.p95)
    measured(f"live_twice_worst_{name}", "ms", again.worst)
    measured(f"live_twice_told_busy_{name}", "share of players", again.busy / again.players)
    measured(f"live_twice_memory_growth_{name}", "MB from the first time to the second", again.memory - twice.memory)


def write_frames(path: Path, size: tuple[int, int]) -> Path:
    """Ten seconds of tests/helpers/face_video.py as JPEGs."""
    import face_video

    jpegs = [
        cv2.imencode(".jpg", frame[..., ::-1], (cv2.IMWRITE_JPEG_QUALITY, 80))[1]
        for frame in face_video.frames(10, RATE, size)
    ]
    print(f"# frames of {statistics.mean(map(len, jpegs)) / 1000:.1f} kB", file=sys.stderr)
    np.savez(path, **{f"{number:04}": jpeg for number, jpeg in enumerate(jpegs)})
    return path


class Server:
    """`python -m fer_lightning.live` with room for many."""

    def __init__(self, model: Path, folder: Path) -> None:
        words = [f"model={model.resolve()}", "port=0", f"folder={folder}", "caps.connections=1000"]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "fer_lightning.live", *words, "caps.connections_per_second=1000"],
            cwd=ROOT, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.address = next(word for line in self.process.stdout for word in line.split() if word.startswith("http"))

    def __enter__(self) -> "Server":
        time.sleep(1.0)
        return self

    def __exit__(self, *_: object) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=30)

    def memory(self) -> float:
        return megabytes("VmRSS", Path(f"/proc/{self.process.pid}/status").read_text())

    def cpu_seconds(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def level(self, frames: Path, players: int, seconds: float) -> Level:
        words = [sys.executable, __file__, "play", self.address, frames, players, seconds]
        before = self.cpu_seconds()
        crowd = subprocess.Popen(list(map(str, words)), stdout=subprocess.PIPE, text=True)
        time.sleep(seconds)
        memory = self.memory()
        reached = json.loads(crowd.communicate(timeout=60)[0])
        spent = (self.cpu_seconds() - before) * seconds / (seconds + WARM_UP)
        return Level(**reached | {"memory": memory, "cpu": 1000 * spent / max(reached["seen"], 1)})


# the players' process

WARM_UP = 2.0  # seconds that do not count


async def crowd(given: argparse.Namespace) -> Level:
    jpegs = [jpeg.tobytes() for jpeg in np.load(given.frames).values()]
    players = [Player(given.address, jpegs, number) for number in range(given.count)]
    begin = time.perf_counter() + 1.0 + 0.01 * given.count
    await asyncio.gather(*(player.play(begin, given.seconds) for player in players))
    took = np.array([1000 * one for player in players for one in player.latencies] or [float("inf")])
    p50, p95 = (float(np.percentile(took, q)) for q in (50, 95))
    sent, seen = (sum(getattr(player, name) for player in players) for name in ("sent", "seen"))
    return Level(given.count, sent, seen, p50, p95, float(took.max()), sum(player.busy for player in players))


class Player:
    """Sends on time, at an offset of its own, and notes when the state after each frame's faces comes."""

    def __init__(self, address: str, jpegs: list[bytes], number: int) -> None:
        self._address = re.sub("^http", "ws", address).replace("/?", "/ws?")
        self._jpegs, self._number = jpegs, number
        self._offset = number * 0.618 % 1 / RATE
        self._due: dict[int, float] = {}
        self.sent = self.seen = 0
        self.busy = False
        self.latencies: list[float] = []

    async def play(self, begin: float, seconds: float) -> None:
        async with websockets.connect(self._address, compression=None, proxy=None, max_queue=None) as socket:
            await socket.send(json.dumps({"type": "hello", "protocol": 1, "client": "benchmark"}))
            await socket.send(json.dumps({"type": "consent", "camera": True}))
            listening = asyncio.create_task(self._listen(socket, begin + WARM_UP))
            for number in range(1, int((WARM_UP + seconds) * RATE) + 1):
                due = begin + self._offset + number / RATE
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
                self._due[number] = due
                await socket.send(self._jpegs[(number + 7 * self._number) % len(self._jpegs)])
                self.sent += due >= begin + WARM_UP
            await asyncio.sleep(1.0)
            listening.cancel()

    async def _listen(self, socket: websockets.ClientConnection, counts_from: float) -> None:
        due = None
        async for text in socket:
            if text.startswith('{"type":"faces"'):
                due = self._due.pop(int(re.search(r'"frame":(\d+)', text)[1]))
                self.seen += due >= counts_from
            elif text.startswith('{"type":"state"') and due is not None:
                if due >= counts_from:
                    self.latencies.append(time.perf_counter() - due)
                due = None
            elif '"code":"busy"' in text:
                self.busy = True


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
