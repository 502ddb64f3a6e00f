"""uvicorn's connections with what the live server needs besides: an end that waits for nobody."""

import asyncio
import logging
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame
from websockets.http11 import Request

from fer_lightning.live.limits import Bucket

MOST_PARTS = 1000  # of one message
CONTROL = (5.0, 100.0)  # pings and pongs of a client, a second and at once; browsers send none of their own accord


class WebSocket(WebSocketsSansIOProtocol):
    """Gives the application `scope["state"]["abort"]`, which ends a connection whose client reads nothing.

    To close in order, what was sent before must be read. And a message in endless parts, each of no bytes, is none;
    nor may pings, of which the application never hears, take all the time of those who share the server.
    """

    _control: Bucket | None = None

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if hasattr(self, "scope"):  # the handshake was one
            self.scope["state"]["abort"] = self.transport.abort

    def keepalive_timeout(self) -> None:
        super().keepalive_timeout()
        self.transport.abort()

    def handle_ping(self) -> None:
        if self._few():
            super().handle_ping()

    def handle_pong(self, event: Frame) -> None:
        if self._few():
            super().handle_pong(event)

    def _few(self) -> bool:
        self._control = self._control or Bucket(*CONTROL)
        if self._control.take(self.loop.time()):
            return True
        self.transport.abort()
        return False

    def handle_cont(self, event: Frame) -> None:
        if len(self.frames) >= MOST_PARTS:
            self.transport.abort()
            return
        super().handle_cont(event)


class Http(H11Protocol):
    """Ends a connection on which no WebSocket is opened in `seconds`, and at once where there are too many.

    Else whoever reaches the port could hold as many as the system has, without a token and without a word.
    uvicorn's `limit_concurrency` says how many are too many, WebSockets included.
    """

    def __init__(self, *arguments: Any, seconds: float, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._seconds = seconds
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(transport)
        if len(self.connections) >= self.limit_concurrency:
            transport.abort()
        else:
            self._timer = self.loop.call_later(self._seconds, self._end)

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        if self._timer:
            self._timer.cancel()

    def _end(self) -> None:
        if self in self.connections:  # a WebSocket takes the place of what it was opened on
            self.transport.abort()


# What uvicorn says of each client that sends what is no text, or no request, or that is not let in.
_CLIENTS_DOING = (
    "Invalid UTF-8",
    "Invalid HTTP request",
    "Unsupported upgrade request",
    "ASGI callable returned without completing handshake",
)


def quiet() -> None:
    """uvicorn tells what is wrong with the server, and not what clients do."""
    logging.getLogger("uvicorn.error").addFilter(lambda record: not record.getMessage().startswith(_CLIENTS_DOING))
