"""Private parts of urllib3: how it connects, and its loggers."""

import logging
import socket
from collections.abc import Callable
from functools import partial
from typing import Any

from urllib3.connection import HTTPConnection, HTTPSConnection

WARNINGS = "urllib3.connection"  # logger of warnings about damaged headers
REQUESTS = ("urllib3.connectionpool", "urllib3.util.retry")  # loggers of URLs, at the level DEBUG


class _Watched:
    """Connection that passes its socket to a function as soon as it is connected."""

    def __init__(self, *args: Any, connected: Callable[[socket.socket], None], **options: Any) -> None:
        super().__init__(*args, **options)
        self._connected = connected

    def _new_conn(self) -> socket.socket:
        new = super()._new_conn()
        self._connected(new)
        return new


class WatchedHTTP(_Watched, HTTPConnection):
    pass


class WatchedHTTPS(_Watched, HTTPSConnection):
    pass


def watch_connections(pool: Any, connected: Callable[[socket.socket], None], *, secure: bool) -> None:
    """Let a pool pass the socket of each new connection to a function, before TLS or a request."""
    pool.ConnectionCls = partial(WatchedHTTPS if secure else WatchedHTTP, connected=connected)


def set_log_level(level: int) -> None:
    """Set the level of urllib3's warnings."""
    logging.getLogger(WARNINGS).setLevel(level)


def filter_logged_urls(filter: logging.Filter) -> None:
    """Add a filter to the loggers that write URLs."""
    for name in REQUESTS:
        logging.getLogger(name).addFilter(filter)
