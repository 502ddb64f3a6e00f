"""Connections to public addresses alone, all of them ended at a deadline."""

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
from urllib3.connection import HTTPConnection, HTTPSConnection

PORTS = (None, 80, 443)
SHORTEST = 0.001  # seconds: a time limit of 0 would mean none
# They warn of hosts' faults, the one of refused addresses, the other of damaged headers with all that stands in the
# address; the collection has its own records, and no host is to write on the terminal.
for _talkative in ("requests_hardened", "urllib3.connection"):
    logging.getLogger(_talkative).setLevel(logging.ERROR)


class PortNotAllowed(requests.RequestException):
    """Neither 80 nor 443."""


class Watch:
    """Ends what is done within it when its time is over, or at a call of `cut` from any thread.

    It shuts the sockets down, which wakes whoever waits for them. A time limit on a socket would hold for each wait
    alone, and a server that sends a byte now and then would never reach it.
    """

    def __init__(self, seconds: float) -> None:
        self.over = False
        self._end = time.monotonic() + seconds
        self._sockets: list[socket.socket] = []
        self._lock = threading.Lock()
        self._timer = threading.Timer(seconds, self.cut)
        self._timer.daemon = True

    def __enter__(self) -> "Watch":
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        with self._lock:
            for duplicate in self._sockets:
                duplicate.close()
            self._sockets.clear()

    def left(self) -> float:
        """Seconds."""
        return max(self._end - time.monotonic(), SHORTEST)

    def cut(self) -> None:
        with self._lock:
            self.over = True
            for duplicate in self._sockets:
                _shut(duplicate)

    def add(self, connected: socket.socket) -> None:
        """A duplicate is kept: the socket itself changes hands when TLS begins."""
        with self._lock:
            self._sockets.append(connected.dup())
            if self.over:
                _shut(connected)

    def run(self, function: Callable[[], Any]) -> Any:
        """What a function returns that nothing can interrupt. One that takes too long is left alone: TimeoutError."""
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


class _Watched:
    """A connection of urllib3 whose socket is watched from its first moment on."""

    def __init__(self, *args: Any, watch: Watch, **options: Any) -> None:
        super().__init__(*args, **options)
        self._watch = watch

    def _new_conn(self) -> socket.socket:
        connected = super()._new_conn()
        self._watch.add(connected)
        return connected


class _WatchedHTTP(_Watched, HTTPConnection):
    pass


class _WatchedHTTPS(_Watched, HTTPSConnection):
    pass


class Adapter(IPFilterAdapter):
    """One request's way to the network: the name is resolved once, and the connection made to the address found.

    Raises InvalidIPAddress where that address is not public, PortNotAllowed at other ports than 80 and 443.

    secure          whether it is for https
    allow_loopback  whether 127.0.0.0/8 and ::1, at any port, count as public
    """

    def __init__(self, secure: bool, allow_loopback: bool, watch: Watch) -> None:
        super().__init__(is_https_proto=secure, allow_loopback=allow_loopback)
        self._watch = watch
        self._connection = partial(_WatchedHTTPS if secure else _WatchedHTTP, watch=watch)

    def build_connection_pool_key_attributes(self, *args: Any, **options: Any) -> tuple[dict, dict]:
        where, pool = self._watch.run(partial(super().build_connection_pool_key_attributes, *args, **options))
        address = ip_address(where["host"].strip("[]"))
        if self._allow_loopback and address.is_loopback:
            return where, pool
        # Beyond requests-hardened: IPv4 addresses in reserved forms of IPv6, and its abandoned site-local ones.
        if address.is_reserved or _site_local(address):
            raise InvalidIPAddress(address)
        if where["port"] not in PORTS:
            raise PortNotAllowed(f"port {where['port']}")
        return where, pool

    def get_connection_with_tls_context(self, *args: Any, **options: Any) -> Any:
        pool = super().get_connection_with_tls_context(*args, **options)
        pool.ConnectionCls = self._connection
        return pool


def _site_local(address: Any) -> bool:
    return address.version == 6 and address.is_site_local
