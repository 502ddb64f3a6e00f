"""Where a page listens, and the secret of its address."""

import errno
import os
import re
import secrets
import socket
from pathlib import Path

from fer_lightning.errors import UserError

LOOPBACK = "127.0.0.1"
EVERYWHERE = ("", "0.0.0.0")  # which no browser sends as the Host of its requests


def listen(host: str, port: int, *, key: str, free: str | None = None) -> socket.socket:
    """A socket that connections already queue at, so that the printed address works at once; 0: a free port.

    UserError, naming the setting `key`, where the port cannot be had, and where the host is none of this machine's.
    `free`: how the user asks for a free port; None: `key`=0.
    """
    if host in EVERYWHERE:
        raise UserError(
            f"host={host}: name the one address of this machine that it listens at; the default is {LOOPBACK}"
        )
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen()
    except OSError as error:
        listening.close()
        if error.errno not in (errno.EADDRINUSE, errno.EACCES):
            words = f"host={host}: {error.strerror}; an address of this machine is expected, the default is {LOOPBACK}"
            raise UserError(words) from error
        free = free or f"{key}=0"
        raise UserError(
            f"{key}={port}: {os.strerror(error.errno)}; end the program that listens there, or name another port "
            f"({free} takes a free one, but a page that is open finds the server again only at the same port)"
        ) from error
    return listening


def kept_secret(path: Path) -> str:
    """The random word in a file that its owner alone can read; made where there is none."""
    try:
        found = path.read_text().strip()
    except (FileNotFoundError, UnicodeDecodeError):
        found = ""
    if re.fullmatch(r"[0-9a-f]{32}", found):
        return found
    path.unlink(missing_ok=True)
    made = secrets.token_hex(16)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(made)
        file.flush()
        os.fsync(file.fileno())
    return made
