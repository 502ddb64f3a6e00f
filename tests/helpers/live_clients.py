"""Clients of the live server: a well-behaved client, and a bare socket that can send anything."""

import base64
import json
import os
import socket
import struct
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack
from types import TracebackType

from live_server import LiveServer
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

HELLO = {"type": "hello", "protocol": 1, "client": "test"}
PATIENCE = 15.0  # seconds


class Plain:
    """A connection that keeps all that it receives."""

    def __init__(self, server: LiveServer, *, hello: bool = True, camera: bool = False, **options: object) -> None:
        self._stack = ExitStack()
        self.socket = self._stack.enter_context(
            connect(server.socket, compression=None, proxy=None, max_size=1 << 22, **options)
        )
        self.heard: list[dict] = []
        self.pictures: list[bytes] = []
        if hello:
            self.say(HELLO)
            self.wait("difficulty")
        if camera:
            self.say({"type": "consent", "camera": True})

    def __enter__(self) -> "Plain":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stack.close()

    def say(self, message: object) -> None:
        self.socket.send(message if isinstance(message, str | bytes) else json.dumps(message))

    def wait(
        self, type_: str, such: Callable[[dict], object] = lambda message: True, seconds: float = PATIENCE
    ) -> dict:
        """The next message of this type for which `such` holds; all are kept in `heard`."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            try:
                data = self.socket.recv(timeout=left)
            except TimeoutError:
                break
            if isinstance(data, bytes):
                self.pictures.append(data)
                continue
            self.heard.append(json.loads(data))
            if self.heard[-1]["type"] == type_ and such(self.heard[-1]):
                return self.heard[-1]
        raise AssertionError(f"no such {type_}; the last: {self.heard[-3:]}")

    def ended(self, seconds: float = PATIENCE) -> tuple[int, list[dict]]:
        """Read to the connection's end; -> its close code and all notices."""
        deadline = time.monotonic() + seconds
        try:
            while True:
                data = self.socket.recv(timeout=deadline - time.monotonic())
                if isinstance(data, str):
                    self.heard.append(json.loads(data))
        except ConnectionClosed as closed:
            return (closed.rcvd.code if closed.rcvd else 1006), self.notices
        except TimeoutError:
            raise AssertionError(f"still open after {seconds} s; the last: {self.heard[-3:]}") from None

    @property
    def notices(self) -> list[dict]:
        return [message for message in self.heard if message["type"] == "notice"]


def handshake(server: LiveServer, *, receive_buffer: int | None = None) -> socket.socket:
    """A WebSocket's bare socket, after the answer to its handshake."""
    bare = socket.socket()
    if receive_buffer:
        bare.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    bare.settimeout(PATIENCE)
    bare.connect(("127.0.0.1", server.port))
    key = base64.b64encode(os.urandom(16)).decode()
    bare.sendall(
        f"GET /ws?token={server.token} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nUpgrade: websocket\r\n"
        f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += bare.recv(1)
    assert answer.startswith(b"HTTP/1.1 101"), answer
    return bare


def part(opcode: int, payload: bytes, *, final: bool = True) -> bytes:
    """A WebSocket frame (RFC 6455, section 5.2) with a mask of zeros."""
    size = len(payload)
    length = struct.pack("!B", 128 | size) if size < 126 else struct.pack("!BH", 128 | 126, size)
    if size > 65_535:
        length = struct.pack("!BQ", 128 | 127, size)
    return bytes([opcode | (128 if final else 0)]) + length + bytes(4) + payload


def closed_by_server(bare: socket.socket, seconds: float = PATIENCE) -> bool:
    """Return True if the server ends the connection in this time; its messages are read only now."""
    bare.settimeout(seconds)
    try:
        while bare.recv(65_536):
            pass
    except TimeoutError:
        return False
    except OSError:
        pass
    return True


def health(server: LiveServer) -> dict:
    return json.loads(visit(server, "/health", Authorization=f"Bearer {server.token}")[1])


def visit(server: LiveServer, path: str, **headers: str) -> tuple[int, str, dict[str, str]]:
    """Status, body and headers (in lower case); follows no redirect."""

    class Stay(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *_):
            return None

    request = urllib.request.Request(server.origin + path, headers=headers)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), Stay)
    try:
        with opener.open(request, timeout=PATIENCE) as answer:
            return (
                answer.status,
                answer.read().decode(),
                {name.lower(): value for name, value in answer.headers.items()},
            )
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode(), {name.lower(): value for name, value in error.headers.items()}
