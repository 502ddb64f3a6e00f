"""A pool of urllib3 passes its sockets on before it sends a request, and its loggers are the ones that are filtered."""

import logging
import socket

import pytest
import urllib3.connection
import urllib3.connectionpool
import urllib3.util.retry
from collect_server import ImageHost

from fer_lightning.compat.urllib3 import REQUESTS, WARNINGS, watch_connections


def test_each_new_connection_is_passed_on():
    seen = []
    with ImageHost() as host:
        pool = urllib3.HTTPConnectionPool("127.0.0.1", host.port)
        watch_connections(pool, seen.append, secure=False)
        pool.request("GET", "/nothing", retries=False)
        pool.close()
    assert [type(one) for one in seen] == [socket.socket]


def test_tls_connections_are_watched_before_their_handshake():
    seen = []
    with ImageHost() as host:
        pool = urllib3.HTTPSConnectionPool("127.0.0.1", host.port, retries=False)
        watch_connections(pool, seen.append, secure=True)
        with pytest.raises(urllib3.exceptions.SSLError):
            pool.request("GET", "/nothing", timeout=1)
        pool.close()
    assert [type(one) for one in seen] == [socket.socket]


def test_the_loggers_have_these_names():
    modules = (urllib3.connectionpool, urllib3.util.retry)
    assert [module.log for module in modules] == [logging.getLogger(name) for name in REQUESTS]
    assert urllib3.connection.log is logging.getLogger(WARNINGS)
