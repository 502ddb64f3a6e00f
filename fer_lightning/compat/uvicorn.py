"""uvicorn's connections, whose methods are not documented, with additional limits, and its message texts."""

import asyncio
import logging
import socket
from collections.abc import Callable
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame
from websockets.http11 import Request

MOST_PARTS = 1000  # maximum number of frames of one message


class WebSocket(WebSocketsSansIOProtocol):
    """WebSocket with `scope["state"]["abort"]`, which ends the connection of a client that reads nothing.

    new_limit  returns, for each connection, a function of the time that is True while a ping or pong is allowed

    A regular close waits until the client has read all earlier messages, so that such a client could delay it.

    This class also limits the number of frames of one message, and the number of pings and pongs. The application does
    not see them, and without a limit they could use all of the server's time.
    """

    def __init__(self, *arguments: Any, new_limit: Callable[[], Callable[[float], bool]], **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._control_allowed = new_limit()

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if hasattr(self, "scope"):  # the handshake was valid
            self.scope["state"]["abort"] = self.transport.abort

    def keepalive_timeout(self) -> None:
        super().keepalive_timeout()
        self.transport.abort()

    def handle_ping(self) -> None:
        if self._take_control_frame():
            super().handle_ping()

    def handle_pong(self, event: Frame) -> None:
        if self._take_control_frame():
            super().handle_pong(event)

    def _take_control_frame(self) -> bool:
        """Return True if one more ping or pong is allowed; otherwise end the connection."""
        if self._control_allowed(self.loop.time()):
            return True
        self.transport.abort()
        return False

    def handle_cont(self, event: Frame) -> None:
        if len(self.frames) >= MOST_PARTS:
            self.transport.abort()
            return
        super().handle_cont(event)


class Http(H11Protocol):
    """HTTP connection that ends if no WebSocket is opened within `seconds`, and at once if there are too many.

    Without this limit anyone who reaches the port could occupy all connections of the system without a token.
    uvicorn's `limit_concurrency` is the maximum number of connections, including WebSockets.

    makes_room  True: if there are too many, the oldest connection ends instead of the new one
    """

    def __init__(self, *arguments: Any, seconds: float, makes_room: bool = False, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._seconds, self._makes_room = seconds, makes_room
        self._began = self.loop.time()
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(transport)
        if len(self.connections) >= self.limit_concurrency and not (self._makes_room and self._end_oldest()):
            transport.abort()
        else:
            self._timer = self.loop.call_later(self._seconds, self._end)

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        if self._timer:
            self._timer.cancel()

    def _end_oldest(self) -> bool:
        others = [other for other in self.connections if isinstance(other, Http) and other is not self]
        if others:
            oldest = min(others, key=lambda other: other._began)
            self.connections.discard(oldest)
            oldest.transport.abort()
        return bool(others)

    def _end(self) -> None:
        if self in self.connections:  # a WebSocket has replaced this object
            self.transport.abort()


# Messages of uvicorn about clients that send invalid text or invalid requests, or that are refused.
ABOUT_CLIENTS = (
    "Invalid UTF-8",
    "Invalid HTTP request",
    "Unsupported upgrade request",
    "ASGI callable returned without completing handshake",
)


class GreetingServer(uvicorn.Server):
    """Server that prints a greeting as soon as it handles Ctrl-C, so that its reader can end it in order."""

    def __init__(self, config: uvicorn.Config, greeting: str) -> None:
        super().__init__(config)
        self._greeting = greeting

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        print(self._greeting, flush=True)


def quiet() -> None:
    """Hide uvicorn's messages about clients; messages about the server remain."""
    logging.getLogger("uvicorn.error").addFilter(lambda record: not record.getMessage().startswith(ABOUT_CLIENTS))
