"""A game's side of the live protocol in Python: what to copy from for a game of one's own.

    with Client("http://127.0.0.1:8767/?token=...", name="my game 1.0") as client:
        client.text("ugh")
        client.outcome(correct=False, seconds=12.5, level=client.level)
        while message := client.receive(timeout=0.1):
            if message.type == "difficulty":
                print(message.level, message.reason)

It needs websockets and this file's neighbour protocol.py, and is for one thread.
"""

import random
import time
from contextlib import ExitStack, suppress
from typing import Literal
from urllib.parse import parse_qs, urlsplit

from pydantic import ValidationError
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from fer_lightning.errors import UserError
from fer_lightning.live import protocol

FIRST_WAIT, LONGEST_WAIT = 0.5, 10.0  # seconds between two tries
PATIENCE = 10.0  # seconds for a handshake and for the welcome
LARGEST = 1 << 20  # bytes of a message of the server
AWAY = (OSError, TimeoutError, EOFError, InvalidHandshake, ConnectionClosed)
REFUSALS = {  # statuses of HTTP, as docs/protocol.md has them
    400: "a server answers there, but not to this name: take host and port as it printed them",
    401: "a server answers there, but this token is not its own: take the address that it printed last",
    403: "a server answers there, but refuses what comes from a page of another origin: send no Origin header",
    503: "a server answers there, but it is full: try again in some seconds, or raise its caps.connections",
}


class Client:
    """A connection that comes back by itself: at the game's level, with the player's switch, word and consent.

    address  as the server prints it, with its token
    name     of the game and its version
    level    where the game stands; None lets the server choose

    welcome  the server's last one; None before the first
    level, adapt, held  as the server's last `difficulty` said, also while the server is gone
    agreed   whether the player agreed that frames are looked at

    Entering connects and waits for the welcome; UserError where there is no such server. What is said while it is gone
    is lost: a game goes on without it.
    """

    def __init__(self, address: str, *, name: str, level: int | None = None, adapt: bool = True) -> None:
        parts = urlsplit(address)
        token = parse_qs(parts.query).get("token", [""])[0]
        if parts.scheme not in ("http", "https") or not parts.netloc or not token:
            raise UserError(f"{address}: expected the address that the server printed, http://HOST:PORT/?token=...")
        self._socket_address = f"{'wss' if parts.scheme == 'https' else 'ws'}://{parts.netloc}/ws"
        self._headers = {"Authorization": f"Bearer {token}"}
        self._name = name
        self.welcome: protocol.Welcome | None = None
        self.level, self.adapt, self.held, self.agreed = level, adapt, False, False
        self._socket: ClientConnection | None = None
        self._ending = ExitStack()
        self._frames = self._failures = 0
        self._next_try = 0.0

    def __enter__(self) -> "Client":
        try:
            self._connect()
        except UserError:
            self.close()
            raise
        except InvalidStatus as error:
            self.close()
            status = error.response.status_code
            words = REFUSALS.get(status, f"what answers there is no live server: HTTP status {status}")
            raise UserError(f"{self._socket_address}: {words}") from None
        except (*AWAY, ValidationError) as error:
            self.close()
            raise UserError(
                f"{self._socket_address}: no live server answers there ({type(error).__name__}: {error}). Start one, "
                f"python -m fer_lightning.live, and give the address that it prints, with its token"
            ) from None
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def connected(self) -> bool:
        """True if the server can be reached."""
        return self._socket is not None

    def receive(self, timeout: float | None = None) -> protocol.FromServer | bytes | None:
        """The next message; bytes: a JPEG of the server's own camera, with its Faces behind it; None: none in time.

        timeout  in seconds; None waits until there is one

        Where the server is gone, a notice with the code "lost" is made here, once; then it is tried again within
        `receive`, and its return is another welcome.
        """
        until = time.monotonic() + (float("inf") if timeout is None else timeout)
        while True:
            left = until - time.monotonic()
            if not self.connected:
                if self._reconnected(left):
                    return self.welcome
                if time.monotonic() >= until:
                    return None
                continue
            try:
                data = self._socket.recv(timeout=None if left == float("inf") else max(0.0, left))
            except TimeoutError:
                return None
            except AWAY:
                return self._lost()
            if isinstance(data, bytes):
                return data
            with suppress(ValidationError):  # what a newer server says besides
                return self._known(protocol.from_server.validate_json(data))

    def text(self, text: str) -> bool:
        """What the player typed; False: the server is gone, here and below."""
        return self._say(protocol.Text(text=text[: protocol.TEXT]))

    def outcome(self, *, correct: bool, seconds: float, level: int) -> bool:
        """Report a finished task: solved or not, its duration in seconds, and its level."""
        return self._say(protocol.Outcome(correct=correct, seconds=min(max(seconds, 0.0), 86_400.0), level=level))

    def override(self, change: Literal[-1, 0, 1] | None) -> bool:
        """The player's own word: easier, stay, harder; None gives the level back to the server."""
        return self._say(protocol.Override(change=change))

    def set_adapt(self, on: bool) -> bool:
        """Switch the adaptation of the level on or off."""
        self.adapt = on
        return self._say(protocol.Adapt(on=on))

    def consent(self, camera: bool) -> bool:
        """Whether the player agrees to be looked at. Ask them first, and say what for."""
        self.agreed = camera
        return self._say(protocol.Consent(camera=camera))

    def frame(self, jpeg: bytes) -> int:
        """Send a picture of the player's camera; -> its number in `Faces`, 0: not sent."""
        if not (self.agreed and self._send(jpeg)):
            return 0
        self._frames += 1
        return self._frames

    def close(self) -> None:
        """Close the connection."""
        self._socket = None
        self._ending.close()

    def _connect(self) -> None:
        """Say hello, wait for the welcome, and say again what the player decided."""
        opening = connect(
            self._socket_address,
            additional_headers=self._headers,
            open_timeout=PATIENCE,
            max_size=LARGEST,
            compression=None,
            proxy=None,
        )
        self._socket = self._ending.enter_context(opening)
        self._frames = 0
        hello = protocol.Hello(protocol=protocol.VERSION, client=self._name, level=self.level, adapt=self.adapt)
        self._socket.send(hello.model_dump_json())
        answer = protocol.from_server.validate_json(self._socket.recv(timeout=PATIENCE))
        if not isinstance(answer, protocol.Welcome):
            raise UserError(f"{self._socket_address}: {getattr(answer, 'message', 'no welcome came')}")
        self.welcome = answer
        self.level, self._failures = self.welcome.level, 0
        if self.held:
            self.override(0)
        if self.agreed:
            self.consent(True)

    def _reconnected(self, left: float) -> bool:
        wait = self._next_try - time.monotonic()
        if wait > left:
            time.sleep(max(0.0, left))
            return False
        time.sleep(max(0.0, wait))
        try:
            self._connect()
        except (*AWAY, ValueError):
            self._put_off()
            return False
        return True

    def _put_off(self) -> None:
        self.close()
        wait = min(FIRST_WAIT * 2**self._failures, LONGEST_WAIT) * random.uniform(0.75, 1.25)
        self._failures, self._next_try = self._failures + 1, time.monotonic() + wait

    def _lost(self) -> protocol.Notice:
        self._put_off()
        return protocol.Notice(level="warning", code="lost", message="The server is gone; it is tried again.")

    def _known(self, message: protocol.FromServer) -> protocol.FromServer:
        if isinstance(message, protocol.Difficulty):
            self.level, self.held, self.adapt = message.level, message.held, message.adapt
        return message

    def _say(self, message: protocol.FromClient) -> bool:
        return self._send(message.model_dump_json())

    def _send(self, data: str | bytes) -> bool:
        if not self._socket:
            return False
        try:
            self._socket.send(data)
        except AWAY:
            return False  # `receive` says so
        return True
