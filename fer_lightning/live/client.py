"""Client of the live protocol in Python. Copy it for your own game.

    with GameClient("http://127.0.0.1:8767/?token=...", name="my game 1.0") as client:
        client.text("ugh")
        client.outcome(correct=False, seconds=12.5, level=client.level)
        while message := client.receive(timeout=0.1):
            if message.type == "difficulty":
                print(message.level, message.reason)

It needs the package websockets and protocol.py of this folder. Use each client in one thread only.
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

FIRST_WAIT, LONGEST_WAIT = 0.5, 10.0  # seconds between two connection attempts
PATIENCE = 10.0  # maximum seconds for a handshake and for the welcome
LARGEST = 1 << 20  # maximum bytes of a message of the server
UNREAD = 4096  # messages: more than an hour of states, which come once a second
AWAY = (OSError, TimeoutError, EOFError, InvalidHandshake, ConnectionClosed)
REFUSALS = {  # HTTP status codes of docs/protocol.md
    400: "the server does not accept this host name. Use host and port as the server printed them.",
    401: "the server does not accept this token. Use the address that the server printed last.",
    403: "the server rejects requests from a page of another origin. Send no Origin header.",
    503: "the server is full. Try again in a few seconds, or raise caps.connections of the server.",
}


class GameClient:
    """Connection that reconnects by itself and restores level, adaptation, the player's choice and the consent.

    Arguments:
        address  address that the server printed, with its token
        name     name and version of the game
        level    current level of the game; None: the server chooses
        adapt    False: the level is not adapted

    Attributes:
        welcome              last welcome of the server; None before the first
        level, adapt, held   values of the server's last `difficulty`, also while the server is unreachable
        agreed               True if the player agreed to the camera. It becomes False if the server comes back with
                             another model, another camera or another way of detection: ask the player again

    Entering the context connects and waits for the welcome. It raises UserError if no live server answers. Messages
    that are sent while the server is unreachable are lost; the game continues without it. The server disconnects a
    client that has UNREAD messages waiting, so call `receive` now and then, also while the player thinks.
    """

    def __init__(self, address: str, *, name: str, level: int | None = None, adapt: bool = True) -> None:
        parts = urlsplit(address)
        token = parse_qs(parts.query).get("token", [""])[0]
        if parts.scheme not in ("http", "https") or not parts.netloc or not token:
            raise UserError(
                f"{address}: must be the address that the server printed, such as http://HOST:PORT/?token=... "
                "Copy it from the server's terminal."
            )
        self._socket_address = f"{'wss' if parts.scheme == 'https' else 'ws'}://{parts.netloc}/ws"
        self._headers = {"Authorization": f"Bearer {token}"}
        self._name = name
        self.welcome: protocol.Welcome | None = None
        self.level, self.adapt, self.held, self.agreed = level, adapt, False, False
        self._agreed_to: tuple | None = None
        self._socket: ClientConnection | None = None
        self._ending = ExitStack()
        self._frames = self._failures = 0
        self._next_try = 0.0

    def __enter__(self) -> "GameClient":
        try:
            self._connect()
        except UserError:
            self.close()
            raise
        except InvalidStatus as error:
            self.close()
            status = error.response.status_code
            unknown = f"this is not a live server; it answered with HTTP status {status}. Check the address."
            words = REFUSALS.get(status, unknown)
            raise UserError(f"{self._socket_address}: {words}") from None
        except (*AWAY, ValidationError) as error:
            self.close()
            raise UserError(
                f"{self._socket_address}: no live server answers ({type(error).__name__}: {error}). Start one with "
                "python -m fer_lightning.live, and use the address that it prints, with its token."
            ) from None
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def connected(self) -> bool:
        """True if the server can be reached."""
        return self._socket is not None

    def receive(self, timeout: float | None = None) -> protocol.FromServer | bytes | None:
        """Return the next message, or None if no message came in time.

        bytes are a JPEG of the server's own camera; its Faces follow.

        timeout  seconds; None: wait without limit

        If the server becomes unreachable, this method returns a notice with the code "lost" once. Later calls try to
        reconnect, and return another welcome when the server is back.
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
            with suppress(ValidationError):  # a message type of a newer server
                return self._applied(protocol.from_server.validate_json(data))

    def text(self, text: str) -> bool:
        """Send what the player typed. This and the next methods return False if the server is unreachable."""
        return self._say(protocol.Text(text=text[: protocol.TEXT]))

    def outcome(self, *, correct: bool, seconds: float, level: int) -> bool:
        """Report a finished task: solved or not, its duration in seconds, and its level."""
        return self._say(protocol.Outcome(correct=correct, seconds=min(max(seconds, 0.0), 86_400.0), level=level))

    def override(self, change: Literal[-1, 0, 1] | None) -> bool:
        """Send the player's own choice: easier (-1), stay (0), harder (1). None returns the level to the server."""
        return self._say(protocol.Override(change=change))

    def set_adapt(self, on: bool) -> bool:
        """Switch the adaptation of the level on or off."""
        self.adapt = on
        return self._say(protocol.Adapt(on=on))

    def consent(self, camera: bool) -> bool:
        """Send the player's consent to the camera, or its withdrawal. Ask the player first, and explain the purpose."""
        self.agreed, self._agreed_to = camera, _what_consent_covers(self.welcome)
        return self._say(protocol.Consent(camera=camera))

    def frame(self, jpeg: bytes) -> int:
        """Send one image of the player's camera. Return its number in `Faces`, or 0 if it was not sent."""
        if not (self.agreed and self._send(jpeg)):
            return 0
        self._frames += 1
        return self._frames

    def look(self, look: protocol.ClientLook) -> int:
        """Send the faces of an image that this program processed itself. Return its number, or 0 if it was not sent."""
        if not (self.agreed and self._say(look)):
            return 0
        self._frames += 1
        return self._frames

    def close(self) -> None:
        """Close the connection."""
        self._socket = None
        self._ending.close()

    def _connect(self) -> None:
        """Send hello, wait for the welcome, and send the player's decisions again."""
        opening = connect(
            self._socket_address,
            additional_headers=self._headers,
            open_timeout=PATIENCE,
            max_size=LARGEST,
            max_queue=UNREAD,
            compression=None,
            proxy=None,
        )
        self._socket = self._ending.enter_context(opening)
        self._frames = 0
        hello = protocol.Hello(protocol=protocol.VERSION, client=self._name, level=self.level, adapt=self.adapt)
        self._socket.send(hello.model_dump_json())
        answer = protocol.from_server.validate_json(self._socket.recv(timeout=PATIENCE))
        if not isinstance(answer, protocol.Welcome):
            raise UserError(f"{self._socket_address}: {getattr(answer, 'message', 'the server sent no welcome')}")
        self.welcome = answer
        self.level, self._failures = self.welcome.level, 0
        if self.held:
            self.override(0)
        self.agreed = self.agreed and self._agreed_to == _what_consent_covers(answer)
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
        return protocol.Notice(level="warning", code="lost", message="The server is unreachable; trying again.")

    def _applied(self, message: protocol.FromServer) -> protocol.FromServer:
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
            return False  # `receive` reports it
        return True


def _what_consent_covers(welcome: protocol.Welcome | None) -> tuple | None:
    """Return the parts of a welcome on which a consent depends: it is valid only while they stay the same."""
    return welcome and (welcome.model, welcome.camera, welcome.inference, welcome.detection)
