"""Measure how many players one live server can process in time, and what happens with more; print one JSON line each.

    python scripts/benchmark_live.py players --model face.onnx     a real portrait, moved and covered, 5 frames/s each
    python scripts/benchmark_live.py players --model face.onnx --looks      the same, processed by the players' browsers
    python scripts/benchmark_live.py browser --model face.onnx     frames that Chromium processes, on one core

A player is a connection that sends a frame every 0.2 s without waiting for an answer. The player measures the latency:
from the time at which a frame is due until the state after its faces has arrived. All players run in their own process
on the same machine, so that they share its cores with the server.

The search doubles the number of players, and then searches between the last two numbers. A number is too large if the
95th percentile of the latency is above 200 ms, or if more than 5 % of the frames are dropped: a dropped frame has no
latency.
"""

import argparse
import asyncio
import base64
import contextlib
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
import websockets
from timing import bounded, measured, megabytes

from fer_lightning.live.settings import FrameSettings

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "helpers")]

RATE = 5.0  # frames per second of one player
LIMIT = 200.0  # maximum latency in milliseconds
DROPPED = 0.05  # maximum share of dropped frames
SIZES = {"320x240": (320, 240), "640x480": (640, 480)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    players = commands.add_parser("players", help="players at 5 frames/s until the 95th percentile passes 200 ms")
    players.add_argument("--model", type=Path, required=True, help="file of python -m fer_lightning.export")
    players.add_argument("--seconds", type=float, default=12.0, help="time per number of players, after 2 s of warm-up")
    players.add_argument("--most", type=int, default=256, help="maximum number of players of the search")
    players.add_argument("--size", choices=SIZES, action="append", help="size of the frames; default: both")
    players.add_argument("--looks", action="store_true", help="players send faces that their browsers have found")
    players.set_defaults(run=benchmark_players)
    browser = commands.add_parser("browser", help="frames/s of detector and model in headless Chromium")
    browser.add_argument("--model", type=Path, required=True, help="file of python -m fer_lightning.export")
    browser.add_argument("--seconds", type=float, default=10.0, help="time per size, after 100 frames of warm-up")
    browser.add_argument("--size", choices=SIZES, action="append", help="size of the frames; default: both")
    whole = "frames between two searches of the whole image, as faces.whole_every; 1: no face is followed"
    browser.add_argument("--whole-every", type=int, help=whole, default=FrameSettings().whole_every)
    browser.add_argument("--core", type=int, help="core of the browser; default: any one core")
    browser.set_defaults(run=benchmark_browser)
    play = commands.add_parser("play", help="run the players; `players` starts this process")
    play.add_argument("address")
    play.add_argument("frames", type=Path)
    play.add_argument("count", type=int)
    play.add_argument("seconds", type=float)
    play.set_defaults(run=lambda given: print(json.dumps(asdict(asyncio.run(crowd(given))))))
    arguments = parser.parse_args()
    arguments.run(arguments)


@dataclass
class Level:
    """Result for one number of players: sent and processed frames, latencies in ms, memory of the server in MB."""

    players: int
    sent: int
    seen: int
    p50: float
    p95: float
    worst: float
    busy: int  # number of players who received the notice `busy`
    memory: float = 0.0
    cpu: float = 0.0  # CPU time of the server in milliseconds per frame

    @property
    def dropped(self) -> float:
        return 1 - self.seen / max(self.sent, 1)

    @property
    def too_much(self) -> bool:
        return self.p95 > LIMIT or self.dropped > DROPPED


def benchmark_players(arguments: argparse.Namespace) -> None:
    for name in ["looks"] if arguments.looks else arguments.size or SIZES:
        with tempfile.TemporaryDirectory() as folder:
            write = write_looks if arguments.looks else write_frames
            frames = write(Path(folder, "frames.npz"), SIZES.get(name, SIZES["640x480"]))
            with Server(arguments.model, Path(folder)) as server:
                search(name, server, frames, arguments)


def benchmark_browser(arguments: argparse.Namespace) -> None:
    """Measure frames per second of the page's worker, and the CPU time of the worker per frame."""
    from live_pages import chromium

    with tempfile.TemporaryDirectory() as folder, Server(arguments.model, Path(folder)) as server:
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0)) if arguments.core is None else arguments.core})
        for name in arguments.size or SIZES:
            with chromium() as browser:
                page = browser.new_page()
                page.goto(server.address)
                page.set_default_timeout(0)
                page.evaluate(OPEN, [moving_frames(SIZES[name]), arguments.whole_every])
                page.evaluate(READ, [0, WARM_FRAMES])
                before = cpu_of_workers()
                result = page.evaluate(READ, [arguments.seconds, 1])
                cpu = cpu_of_workers() - before
            measured(f"browser_frames_{name}", "frames/s", result["frames"] / result["seconds"])
            measured(f"browser_cpu_{name}", "ms of CPU of the worker per frame", 1000 * cpu / result["frames"])
            for part in ("detect", "recognise"):
                measured(f"browser_{part}_{name}", "ms, median", statistics.median(result[part]))
                fastest = float(np.percentile(result[part], 10))  # hardly disturbed by other processes
                measured(f"browser_{part}_fastest_{name}", "ms, fastest tenth of the frames", fastest)
            measured(f"browser_faces_{name}", "faces per frame", result["faces"] / result["frames"])
            measured(f"browser_whole_{name}", "share of whole searches", result["whole"] / result["frames"])


def moving_frames(size: tuple[int, int]) -> list[str]:
    """Return three seconds of tests/helpers/face_video.py as JPEGs in base64. A face moves by up to 6 of 640 pixels."""
    import face_video

    jpegs = [face_video.jpeg(face_video.frame(number / 300, size)) for number in range(90)]
    return [base64.b64encode(jpeg).decode() for jpeg in jpegs]


def cpu_of_workers() -> float:
    """Return the seconds of CPU that the threads of all web workers on this machine have used."""
    spent = 0
    for thread in Path("/proc").glob("[0-9]*/task/*/stat"):
        with contextlib.suppress(OSError):  # it has ended
            name, _, fields = thread.read_text().partition("(")[2].rpartition(")")
            if name.startswith("DedicatedWorke"):
                spent += sum(map(int, fields.split()[11:13]))
    return spent / os.sysconf("SC_CLK_TCK")


WARM_FRAMES = 100  # the browser meanwhile compiles the functions that are used often
OPEN = """
async ([texts, whole_every]) => {
  const { Reader } = await import("/faces/reader.js");
  const files = { detector: "/files/detector.onnx", model: "/files/model.onnx" };
  window.reader = await Reader.open({ ...files, min_score: 0.7, long_side: 320, whole_every, most: 8 });
  const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  window.images = await Promise.all(texts.map((text) => createImageBitmap(new Blob([bytes(text)]))));
}
"""
READ = """
async ([seconds, least]) => {
  const [{ width, height }] = window.images;
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  const context = canvas.getContext("2d", { alpha: false, willReadFrequently: true });
  const found = { frames: 0, faces: 0, whole: 0, detect: [], recognise: [] };
  const last = window.images.length - 1;
  const forthAndBack = (number) => Math.abs(((number + last) % (2 * last)) - last);
  const begun = performance.now();
  while (found.frames < least || performance.now() - begun < 1000 * seconds) {
    context.drawImage(window.images[forthAndBack(found.frames)], 0, 0);
    const { faces, whole, milliseconds } = await window.reader.read(context.getImageData(0, 0, width, height));
    found.frames += 1;
    found.faces += faces.length;
    found.whole += whole;
    found.detect.push(milliseconds.detect);
    if (faces.length) found.recognise.push(milliseconds.recognise);
  }
  return { ...found, seconds: (performance.now() - begun) / 1000 };
}
"""


def search(name: str, server: "Server", frames: Path, arguments: argparse.Namespace) -> None:
    def level(players: int) -> Level:
        reached = server.level(frames, players, arguments.seconds)
        print(
            f"# {name}: {reached.players} players, p50 {reached.p50:.0f} ms, p95 {reached.p95:.0f} ms, "
            f"{reached.dropped:.1%} dropped, {reached.memory:.0f} MB, {reached.cpu:.1f} ms of CPU per frame",
            file=sys.stderr,
            flush=True,
        )
        return reached

    single = good = level(1)
    bad = single if single.too_much else None
    while bad is None and good.players < arguments.most:
        tried = level(2 * good.players)
        good, bad = (good, tried) if tried.too_much else (tried, None)
    while bad and bad.players - good.players > max(1, good.players // 16):
        tried = level((good.players + bad.players) // 2)
        good, bad = (good, tried) if tried.too_much else (tried, bad)
    measured(f"live_players_{name}", "players at 5 frames/s", 0 if good.too_much else good.players)
    measured(f"live_latency_alone_p50_{name}", "ms", single.p50)
    measured(f"live_latency_alone_p95_{name}", "ms", single.p95)
    measured(f"live_latency_p50_{name}", "ms", good.p50)
    bounded(f"live_latency_p95_{name}", "ms", good.p95, limit=LIMIT)
    measured(f"live_memory_{name}", "MB", good.memory)
    measured(f"live_memory_of_a_player_{name}", "MB", (good.memory - single.memory) / max(good.players - 1, 1))
    measured(f"live_cpu_{name}", "ms of server CPU per frame", good.cpu)
    twice = level(2 * good.players)
    again = level(2 * good.players)
    measured(f"live_twice_dropped_{name}", "share of frames", again.dropped)
    measured(f"live_twice_p50_{name}", "ms", again.p50)
    measured(f"live_twice_p95_{name}", "ms", again.p95)
    measured(f"live_twice_worst_{name}", "ms", again.worst)
    measured(f"live_twice_told_busy_{name}", "share of players", again.busy / again.players)
    measured(f"live_twice_memory_growth_{name}", "MB between two equal levels", again.memory - twice.memory)


def write_frames(path: Path, size: tuple[int, int]) -> Path:
    """Write ten seconds of tests/helpers/face_video.py as JPEGs."""
    import face_video

    jpegs = [
        cv2.imencode(".jpg", frame[..., ::-1], (cv2.IMWRITE_JPEG_QUALITY, 80))[1]
        for frame in face_video.frames(10, RATE, size)
    ]
    print(f"# mean frame size: {statistics.mean(map(len, jpegs)) / 1000:.1f} kB", file=sys.stderr)
    np.savez(path, **{f"{number:04}": jpeg for number, jpeg in enumerate(jpegs)})
    return path


def write_looks(path: Path, size: tuple[int, int]) -> Path:
    """Write the looks of the same ten seconds, as a browser sends them; the probabilities are drawn at random."""
    import face_video

    width, height = size
    random, looks = np.random.default_rng(0), []
    for share in np.arange(50) / 50:
        box = face_video.face_box(share, size)
        shares = [round(one / side, 5) for one, side in zip(box or (), (width, height) * 2, strict=False)]
        row = random.dirichlet(np.ones(7)).round(5).tolist()
        faces = [{"box": shares, "score": 0.9, "probabilities": row}] if box else []
        look = {"type": "look", "width": width, "height": height, "faces": faces, "detect": 9.0, "recognise": 3.0}
        looks.append(np.frombuffer(json.dumps(look).encode(), np.uint8))
    np.savez(path, **{f"{number:04}": look for number, look in enumerate(looks)})
    return path


class Server:
    """`python -m fer_lightning.live` with some limits, by default high ones."""

    def __init__(self, model: Path, folder: Path, *limits: str) -> None:
        limits = limits or ("caps.connections=10000", "caps.connections_per_second=10000")
        words = [f"model={model.resolve()}", "port=0", f"folder={folder}", *limits]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "fer_lightning.live", *words], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
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

    def processed(self) -> int:
        """Return the number of frames and looks that the server has processed so far."""
        address, _, token = self.address.partition("/?token=")
        request = urllib.request.Request(f"{address}/health", headers={"Authorization": f"Bearer {token}"})
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request) as answer:
            counts = json.load(answer)
        return counts["frames"] + counts["looks"]

    def level(self, file: Path, players: int, seconds: float) -> Level:
        words = [sys.executable, __file__, "play", self.address, file, players, seconds]
        before, frames_before = self.cpu_seconds(), self.processed()
        crowd = subprocess.Popen(list(map(str, words)), stdout=subprocess.PIPE, text=True)
        time.sleep(seconds)
        memory = self.memory()
        reached = json.loads(crowd.communicate(timeout=60)[0])
        frames = self.processed() - frames_before
        return Level(**reached | {"memory": memory, "cpu": 1000 * (self.cpu_seconds() - before) / max(frames, 1)})


# the players' process

WARM_UP = 2.0  # seconds at the beginning that are not measured


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
    """Player that sends frames on time with its own offset, and measures when the state after each frame arrives."""

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
            await socket.send(json.dumps({"type": "hello", "protocol": 2, "client": "benchmark"}))
            await socket.send(json.dumps({"type": "consent", "camera": True}))
            listening = asyncio.create_task(self._listen(socket, begin + WARM_UP))
            for number in range(1, int((WARM_UP + seconds) * RATE) + 1):
                due = begin + self._offset + number / RATE
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
                self._due[number] = due
                frame = self._jpegs[(number + 7 * self._number) % len(self._jpegs)]
                await socket.send(frame.decode() if frame.startswith(b"{") else frame)
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
