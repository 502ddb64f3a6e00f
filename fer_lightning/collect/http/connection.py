"""Connections only to public IP addresses, each of them ended at a deadline."""

import logging
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from contextlib import suppress
from functools import partial
from ipaddress import ip_address
from typing import Any

import requests
from requests_hardened.ip_filter import InvalidIPAddress
from requests_hardened.ip_filter_adapter import IPFilterAdapter

from fer_lightning.compat import urllib3

PORTS = (None, 80, 443)
SHORTEST = 0.001  # minimum time limit in seconds; 0 would mean no limit
# These loggers print warnings about rejected IP addresses and damaged headers, with text that a host controls. The
# collection records such faults itself, and no host may write on the terminal.
logging.getLogger("requests_hardened").setLevel(logging.ERROR)
urllib3.set_log_level(logging.ERROR)


class PortNotAllowed(requests.RequestException):
    """The port is not 80 or 443."""


class Deadline:
    """Context manager that ends all network work inside it after a number of seconds, or when a thread calls `cut`.

    It shuts the sockets down, which wakes every thread that waits for them. A time limit on a socket holds only for
    each single wait, so a server that sends one byte now and then would never reach it.
    """

    def __init__(self, seconds: float) -> None:
        self.over = False
        self._end = time.monotonic() + seconds
        self._sockets: list[socket.socket] = []
        self._lock = threading.Lock()
        self._timer = threading.Timer(seconds, self.cut)
        self._timer.daemon = True

    def __enter__(self) -> "Deadline":
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        with self._lock:
            for duplicate in self._sockets:
                duplicate.close()
            self._sockets.clear()

    def left(self) -> float:
        """Return the seconds until the deadline."""
        return max(self._end - time.monotonic(), SHORTEST)

    def cut(self) -> None:
        with self._lock:
            self.over = True
            for duplicate in self._sockets:
                _shut(duplicate)

    def add(self, connected: socket.socket) -> None:
        """Add a socket. A duplicate is stored, because TLS replaces the socket object."""
        with self._lock:
            self._sockets.append(connected.dup())
            if self.over:
                _shut(connected)

    def run(self, function: Callable[[], Any]) -> Any:
        """Return the result of a function that cannot be interrupted; raise TimeoutError at the deadline.

        A function that takes too long continues in its own thread.
        """
        future: Future[Any] = Future()
        threading.Thread(target=_settle, args=(future, function), daemon=True).start()
        while not wait([future], timeout=min(0.1, self.left())).done:
            if self.over:
                raise TimeoutError
        return future.result()


def _shut(connected: socket.socket) -> None:
    with suppress(OSError):
        connected.shutdown(socket.SHUT_RDWR)


def _settle(future: "Future[Any]", function: Callable[[], Any]) -> None:
    try:
        future.set_result(function())
    except BaseException as error:
        future.set_exception(error)


class Adapter(IPFilterAdapter):
    """Transport of one request: the host name is resolved once, and the connection goes to that IP address.

    Raises InvalidIPAddress if the IP address is not public, and PortNotAllowed for ports other than 80 and 443.

    secure          True for https
    allow_loopback  True: 127.0.0.0/8 and ::1, at any port, count as public
    """

    def __init__(self, secure: bool, allow_loopback: bool, deadline: Deadline) -> None:
        super().__init__(is_https_proto=secure, allow_loopback=allow_loopback)
        self._secure, self._loopback_allowed, self._deadline = secure, allow_loopback, deadline

    def build_connection_pool_key_attributes(self, *args: Any, **options: Any) -> tuple[dict, dict]:
        where, pool = self._deadline.run(partial(super().build_connection_pool_key_attributes, *args, **options))
        address = ip_address(where["host"].strip("[]"))
        if self._loopback_allowed and address.is_loopback:
            return where, pool
        # requests-hardened does not reject these: IPv4 addresses inside reserved IPv6 ranges, and site-local IPv6.
        if address.is_reserved or _site_local(address):
            raise InvalidIPAddress(address)
        if where["port"] not in PORTS:
            raise PortNotAllowed(f"port {where['port']}")
        return where, pool

    def get_connection_with_tls_context(self, *args: Any, **options: Any) -> Any:
        pool = super().get_connection_with_tls_context(*args, **options)
        urllib3.watch_connections(pool, self._deadline.add, secure=self._secure)
        return pool


def _site_local(address: Any) -> bool:
    return address.version == 6 and address.is_site_local
