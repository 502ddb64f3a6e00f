"""uvicorn's WebSocket with what the live server needs besides: an end that waits for nobody."""

import logging

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame
from websockets.http11 import Request

MOST_PARTS = 1000  # of one message


class WebSocket(WebSocketsSansIOProtocol):
    """Gives the application `scope["state"]["abort"]`, which ends a connection whose client reads nothing.

    To close in order, what was sent before must be read. And a message in endless parts, each of no bytes, is none.
    """

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if hasattr(self, "scope"):  # the handshake was one
            self.scope["state"]["abort"] = self.transport.abort

    def keepalive_timeout(self) -> None:
        super().keepalive_timeout()
        self.transport.abort()

    def handle_cont(self, event: Frame) -> None:
        if len(self.frames) >= MOST_PARTS:
            self.transport.abort()
            return
        super().handle_cont(event)


# What uvicorn says of each client that sends what is no text, or that is not let in.
_CLIENTS_DOING = ("Invalid UTF-8", "ASGI callable returned without completing handshake")


def quiet() -> None:
    """uvicorn tells what is wrong with the server, and not what clients do."""
    logging.getLogger("uvicorn.error").addFilter(lambda record: not record.getMessage().startswith(_CLIENTS_DOING))
