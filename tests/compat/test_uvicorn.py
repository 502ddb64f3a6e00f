"""The methods of uvicorn's connections that are extended exist, and its messages have the texts that are hidden."""

import inspect
import logging
import signal
from pathlib import Path

import pytest
from uvicorn import Config
from uvicorn.protocols.http import h11_impl
from uvicorn.protocols.websockets import websockets_sansio_impl

from fer_lightning.compat import uvicorn

LIBRARY = {uvicorn.Http: h11_impl, uvicorn.WebSocket: websockets_sansio_impl}


@pytest.mark.parametrize(("kind", "method"), [(k, name) for k in LIBRARY for name in vars(k) if name[0] != "_"])
def test_an_extended_method_is_called_by_uvicorn(kind, method):
    base = kind.__mro__[1]
    assert len(inspect.signature(getattr(base, method)).parameters) == len(
        inspect.signature(getattr(kind, method)).parameters
    )
    source = inspect.getsource(base)
    called_by_asyncio = method.startswith("connection_")
    assert called_by_asyncio or f"self.{method}" in source.replace(f"def {method}", "")


@pytest.mark.parametrize("attribute", ["transport", "loop", "frames", "scope"])
def test_a_websocket_has_the_attributes_that_are_read(attribute):
    assert f"self.{attribute}" in inspect.getsource(websockets_sansio_impl.WebSocketsSansIOProtocol)


@pytest.mark.parametrize("attribute", ["transport", "loop", "connections", "limit_concurrency"])
def test_an_http_connection_has_the_attributes_that_are_read(attribute):
    assert f"self.{attribute}" in inspect.getsource(h11_impl.H11Protocol)


@pytest.mark.parametrize("text", uvicorn.ABOUT_CLIENTS)
def test_uvicorn_still_has_the_text_of_a_message(text):
    assert any(text in Path(module.__file__).read_text() for module in LIBRARY.values())


def test_only_messages_about_clients_are_hidden(caplog):
    log = logging.getLogger("uvicorn.error")
    filters = list(log.filters)
    uvicorn.quiet()
    try:
        log.error("Invalid HTTP request received.")
        log.error("The server failed.")
    finally:
        log.filters[:] = filters
    assert caplog.messages == ["The server failed."]


def test_a_greeting_is_printed_once_ctrl_c_is_handled(capfd):
    """A program that reads the greeting may send SIGINT at once. A handler from before would end the server midway."""
    before = signal.getsignal(signal.SIGINT)
    seen = []

    class Text(str):
        def __str__(self) -> str:
            seen.append(signal.getsignal(signal.SIGINT))
            server.should_exit = True
            return "here"

    server = uvicorn.GreetingServer(Config(_nothing, lifespan="off", log_level="warning", port=0), Text())
    server.run()
    assert capfd.readouterr().out == "here\n"
    assert len(seen) == 1
    assert seen[0] != before


async def _nothing(scope, receive, send):
    raise AssertionError("nobody asks")
