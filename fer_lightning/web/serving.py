"""Listening socket of a page, and the token of its address."""

import errno
import os
import re
import secrets
import socket
from pathlib import Path

from fer_lightning.errors import UserError

LOOPBACK = "127.0.0.1"
EVERYWHERE = ("", "0.0.0.0")  # nosec B104: all addresses; browsers never send these as the Host of a request


def listen(host: str, port: int, *, key: str, free: str | None = None) -> socket.socket:
    """Return a listening socket. Connections are queued from now on, so that the printed address works at once.

    host  address of this machine
    port  port; 0: a free port
    key   name of the setting of the port, for error messages
    free  setting that selects a free port, for error messages; None: `key`=0

    Raise UserError if the port is not available, or if the host is not an address of this machine.
    """
    if host in EVERYWHERE:
        raise UserError(f"host={host}: must be one specific address of this machine. The default is {LOOPBACK}.")
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen()
    except OSError as error:
        listening.close()
        if error.errno not in (errno.EADDRINUSE, errno.EACCES):
            words = f"host={host}: {error.strerror}. Use an address of this machine; the default is {LOOPBACK}."
            raise UserError(words) from error
        free = free or f"{key}=0"
        raise UserError(
            f"{key}={port}: {os.strerror(error.errno)}. Stop the program that uses this port, or name another port "
            f"({free} selects a free one). An open page finds the server again only at the same port."
        ) from error
    return listening


def kept_secret(path: Path) -> str:
    """Return the token in a file that only its owner can read. Create the file if it is missing or invalid."""
    try:
        token = path.read_text().strip()
    except (FileNotFoundError, UnicodeDecodeError):
        token = ""
    if re.fullmatch(r"[0-9a-f]{32}", token):
        return token
    path.unlink(missing_ok=True)
    token = secrets.token_hex(16)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(token)
        file.flush()
        os.fsync(file.fileno())
    return token
